"""Reports of what was done and found. Rate class: lookup and command.

Mixed outcomes are data: a report tells what each contact did, an error is raised only when nobody did anything.
"""
from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastdht._ext.endpoints import Endpoints
from fastdht._ext.findings import Findings
from fastdht.types import Contact, Endpoint, InfoHash, Item, NodeId

SECOND_US = 1_000_000
CLOSEST = struct.Struct("=I20sB18sBB64s")       # shortlist.pxd: PackedClosest
Sequence.register(Endpoints)
CONFLICTS = (301, 302)          # BEP 44: cas mismatch, seq less than current


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping: who, after how many seconds, and the client's version string (BEP 5 `v`)."""

    id: NodeId
    endpoint: Endpoint
    rtt: float
    version: bytes | None


@dataclass(frozen=True, slots=True)
class ClosestContact:
    """A node of a lookup's closest set: its write token, round-trip time in seconds and distance in hops."""

    contact: Contact
    token: bytes | None
    rtt: float
    hops: int


class LookupReport(Findings):
    """What a lookup found and what it cost.

    target: 20 bytes. outcome: "done", "late" (deadline), "exhausted" (budget of queries) or "cancelled".
    elapsed: seconds. queries: how many nodes were asked. responses: how many of them answered. Everything else is
    unpacked when it is read.
    """

    __slots__ = ()
    endpoint_class = Endpoint
    if TYPE_CHECKING:
        @property
        def values(self) -> Sequence[Endpoint]:
            """The peers found, each once, in the order they came; an immutable sequence."""

    @property
    def failures(self) -> int:
        """How many refused, or had not answered when the lookup ended."""
        return sum([result.failures for result in self.results])

    @property
    def closest(self) -> tuple[ClosestContact, ...]:
        """The closest nodes that answered, nearest first."""
        closest: tuple[ClosestContact, ...] | None = self.unpacked_closest
        if closest is None:
            number = int.from_bytes(self.target, "big")
            found = [unpack_closest(entry) for result in self.results for entry in CLOSEST.iter_unpack(result.closest)]
            found.sort(key=lambda each: int.from_bytes(each.contact.id, "big") ^ number)
            closest = self.unpacked_closest = tuple(found)
        return closest

    @property
    def hops(self) -> int:
        """The longest road to one of the closest."""
        return max((found.hops for found in self.closest), default=0)

    @property
    def first_value(self) -> float | None:
        """Seconds until the first peer was known, or None."""
        firsts = [result.first_value_us for result in self.results if result.first_value_us >= 0]
        return min(firsts) / SECOND_US if firsts else None

    @property
    def value_count(self) -> int:
        """How many peers were found, counted per address family."""
        return sum([result.value_count for result in self.results])

    @property
    def values_dropped(self) -> int:
        """Peers beyond the room for them: counted, not kept."""
        return sum([result.values_dropped for result in self.results])

    def __repr__(self) -> str:
        return (f"LookupReport({self.target}, {self.outcome}, {len(self.closest)} closest, {self.value_count} values, "
                f"{self.queries} queries, {self.elapsed:.3f} s)")


def unpack_closest(entry: tuple[Any, ...]) -> ClosestContact:
    rtt_us, node_id, size, endpoint, hops, token_size, token = entry
    contact = Contact(NodeId(node_id), Endpoint.unpack(endpoint[:size]))
    return ClosestContact(contact, token[:token_size] or None, rtt_us / SECOND_US, hops)


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of a write at one node: `error` is None when it was accepted.

    code: that of the KRPC error the node answered (BEP 5; BEP 44: 205 too large, 206 bad signature, 301 another cas,
    302 an older seq), None when it was silent.
    """

    contact: Contact
    error: str | None
    code: int | None = None

    @property
    def accepted(self) -> bool:
        return self.error is None

    @property
    def is_conflict(self) -> bool:
        """Whether the node holds what somebody else has written meanwhile (301 or 302)."""
        return self.code in CONFLICTS


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What became of a write at each node it was sent to, and the lookup that found them.

    target: what was written is found under it. seq: that of a mutable item, else None.
    """

    target: NodeId
    outcomes: tuple[WriteOutcome, ...]
    lookup: LookupReport
    seq: int | None = None

    @property
    def accepted(self) -> int:
        """How many nodes accepted the write."""
        return sum(outcome.accepted for outcome in self.outcomes)

    @property
    def conflicts(self) -> tuple[WriteOutcome, ...]:
        """The nodes that refused because they hold another writer's item."""
        return tuple(outcome for outcome in self.outcomes if outcome.is_conflict)


@dataclass(frozen=True, slots=True)
class ItemCopy:
    """A valid copy of an item, and the node that holds it."""

    contact: Contact
    item: Item


@dataclass(frozen=True, slots=True)
class ItemReport:
    """Every valid copy of an item that a lookup has met (BEP 44), in the order they came."""

    target: NodeId
    copies: tuple[ItemCopy, ...]
    lookup: LookupReport

    @property
    def newest(self) -> Item | None:
        """The copy of the highest seq, the first of several; an immutable item when there is one. None: no copy."""
        return max((copy.item for copy in self.copies), key=age_rank, default=None)


def age_rank(item: Item) -> float:
    """What makes one copy newer than another."""
    return float("inf") if item.seq is None else item.seq


@dataclass(frozen=True, slots=True)
class SwarmCount:
    """How many distinct addresses filters hold (BEP 33): an estimate and its bounds of 95 % confidence.

    A saturated filter says only that there are at least `low`; `high` is then infinite.
    """

    estimate: float
    low: float
    high: float
    is_saturated: bool


@dataclass(frozen=True, slots=True)
class ScrapeAnswer:
    """What one node said of a swarm; both counts are None when it knows no BEP 33. values: peers it named."""

    contact: Contact
    seeds: SwarmCount | None
    peers: SwarmCount | None
    values: int


@dataclass(frozen=True, slots=True)
class Swarm:
    """The size of a swarm as the nodes closest to it know it (BEP 33): their filters taken together.

    peers: those that are no seeds; what nodes without BEP 33 name counts as peers while fewer than two sent filters.
    answers: of each node that knew the swarm.
    """

    info_hash: InfoHash
    seeds: SwarmCount
    peers: SwarmCount
    answers: tuple[ScrapeAnswer, ...]
    lookup: LookupReport

    @property
    def answered(self) -> int:
        """How many nodes have answered at all."""
        return self.lookup.responses


@dataclass(frozen=True, slots=True)
class NodeSamples:
    """Infohashes that one node holds (BEP 51).

    num: how many it holds in all, None when it does not say. interval: seconds until it shows others, 0 to 21600.
    not_before: when it may be asked again, in seconds of this node's clock (time.monotonic).
    """

    contact: Contact
    samples: tuple[InfoHash, ...]
    num: int | None
    interval: int
    not_before: float


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of every node on a lookup's way that answers BEP 51."""

    target: NodeId
    nodes: tuple[NodeSamples, ...]
    lookup: LookupReport

    @property
    def info_hashes(self) -> tuple[InfoHash, ...]:
        """All infohashes, each once, in the order they came."""
        return tuple(dict.fromkeys(info_hash for node in self.nodes for info_hash in node.samples))


@dataclass(frozen=True, slots=True)
class SocketStats:
    """One bound address of a node: what its tables hold now, and what it has counted since the start.

    lookups and transactions: running now. info_hashes, peers and items: stored for others. counters: datagrams by
    fate, by the names of Core.counters. methods: queries served, by name. socket: bytes, datagrams and calls.
    """

    endpoint: Endpoint
    id: NodeId
    contacts: int
    lookups: int
    transactions: int
    info_hashes: int
    peers: int
    items: int
    counters: dict[str, int]
    methods: dict[str, int]
    socket: dict[str, int]


@dataclass(frozen=True, slots=True)
class NodeStats:
    """A node at one moment; uptime in seconds, the rest per bound address and summed over them."""

    uptime: float
    sockets: tuple[SocketStats, ...]

    @property
    def contacts(self) -> int:
        """Verified contacts in the routing tables."""
        return sum(each.contacts for each in self.sockets)

    @property
    def lookups(self) -> int:
        """Lookups running, one per address family that a lookup walks."""
        return sum(each.lookups for each in self.sockets)

    @property
    def peers(self) -> int:
        """Peers stored for others."""
        return sum(each.peers for each in self.sockets)

    @property
    def items(self) -> int:
        """Items stored for others (BEP 44)."""
        return sum(each.items for each in self.sockets)

    def total(self, counter: str) -> int:
        """A counter summed over all addresses; raises KeyError for a name that none counts."""
        return sum(each.counters[counter] for each in self.sockets)
