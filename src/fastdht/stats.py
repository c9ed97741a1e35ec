"""Reports of what was done and found. Rate class: lookup and command.

Mixed outcomes are data: a report tells what each contact did, an error is raised only when nobody did anything.
"""
from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastdht._ext.endpoints import unpack_values
from fastdht.types import Contact, Endpoint, NodeId

SECOND_US = 1_000_000
CLOSEST = struct.Struct("=I20sB18sBB64s")       # shortlist.pxd: PackedClosest


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


class LookupReport:
    """What a lookup found and what it cost.

    target: 20 bytes. outcome: "done", "late" (deadline), "exhausted" (budget of queries) or "cancelled".
    elapsed: seconds. Everything else is unpacked when it is read.
    """

    __slots__ = ("_closest", "_results", "_values", "elapsed", "outcome", "target")

    def __init__(self, target: NodeId, outcome: str, elapsed_us: int, results: Sequence[tuple[Any, ...]]) -> None:
        """`results` are those of Core.finish_lookup, one per family."""
        self.target = target
        self.outcome = outcome
        self.elapsed = elapsed_us / SECOND_US
        self._results = results
        self._values: tuple[Endpoint, ...] | None = None
        self._closest: tuple[ClosestContact, ...] | None = None

    @property
    def queries(self) -> int:
        """How many nodes were asked."""
        results = self._results
        queries: int = results[0][0] if len(results) == 1 else sum([result[0] for result in results])
        return queries

    @property
    def responses(self) -> int:
        """How many of them answered."""
        results = self._results
        responses: int = results[0][1] if len(results) == 1 else sum([result[1] for result in results])
        return responses

    @property
    def failures(self) -> int:
        """How many refused, or had not answered when the lookup ended."""
        return sum([result[2] for result in self._results])

    @property
    def closest(self) -> tuple[ClosestContact, ...]:
        """The closest nodes that answered, nearest first."""
        if self._closest is None:
            number = int.from_bytes(self.target, "big")
            found = [unpack_closest(entry) for result in self._results for entry in CLOSEST.iter_unpack(result[6])]
            found.sort(key=lambda each: int.from_bytes(each.contact.id, "big") ^ number)
            self._closest = tuple(found)
        return self._closest

    @property
    def values(self) -> tuple[Endpoint, ...]:
        """The peers found, each once, in the order they came."""
        if self._values is None:
            found: list[Endpoint] = []
            for result in self._results:
                found += unpack_values(Endpoint, result[7])
            self._values = tuple(found if len(self._results) == 1 else dict.fromkeys(found))
        return self._values

    @property
    def hops(self) -> int:
        """The longest road to one of the closest."""
        return max((found.hops for found in self.closest), default=0)

    @property
    def first_value(self) -> float | None:
        """Seconds until the first peer was known, or None."""
        firsts = [result[5] for result in self._results if result[5] >= 0]
        return min(firsts) / SECOND_US if firsts else None

    @property
    def value_count(self) -> int:
        """How many peers were found, counted per address family."""
        return sum([result[3] for result in self._results])

    @property
    def values_dropped(self) -> int:
        """Peers beyond the room for them: counted, not kept."""
        return sum([result[4] for result in self._results])

    def __repr__(self) -> str:
        return (f"LookupReport({self.target}, {self.outcome}, {len(self.closest)} closest, {self.value_count} values, "
                f"{self.queries} queries, {self.elapsed:.3f} s)")


def unpack_closest(entry: tuple[Any, ...]) -> ClosestContact:
    rtt_us, node_id, size, endpoint, hops, token_size, token = entry
    contact = Contact(NodeId(node_id), Endpoint.unpack(endpoint[:size]))
    return ClosestContact(contact, token[:token_size] or None, rtt_us / SECOND_US, hops)


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of a write at one node: `error` is None when it was accepted."""

    contact: Contact
    error: str | None

    @property
    def accepted(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What became of a write at each node it was sent to, and the lookup that found them."""

    target: NodeId
    outcomes: tuple[WriteOutcome, ...]
    lookup: LookupReport

    @property
    def accepted(self) -> int:
        """How many nodes accepted the write."""
        return sum(outcome.accepted for outcome in self.outcomes)
