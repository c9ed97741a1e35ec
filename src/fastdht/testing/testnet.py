"""A whole DHT in one process: real nodes on a simulated network. Rate class: command (tests).

A Testnet starts `count` Nodes at public-looking addresses with ids that BEP 42 accepts, lets them join, and knows the
truth about who is there. Everything happens in virtual time and follows from the seed: nodes take their entropy,
the network its chance, and kill, revive and churn their choices from it.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

from fastdht.config import CoreConfig, ItemsConfig, PeersConfig, PutsConfig, ThrottleConfig
from fastdht.node import Node
from fastdht.stats import LookupReport
from fastdht.testing import builders
from fastdht.testing.clock import VirtualLoop
from fastdht.testing.latency import uniform
from fastdht.testing.nat import DEFAULT_LIFETIME_S, Nat, NatKind
from fastdht.testing.network import SimNetwork
from fastdht.types import Contact, Endpoint

JOIN_LIMIT_S = 300.0            # virtual; a node that has not joined by then never will
JOIN_STAGGER_S = 0.05           # between two starts: the first ones must be there for the last
SETTLE_S = 10.0                 # measured: recall 99.75 % of 400 nodes when all have joined, 100 % after this
ENTRY_HOSTS = 3                 # earlier nodes that a new one is told of
GHOSTS_FROM = 1_000_000         # numbers of dead contacts begin here, far from those of nodes
BUCKET_SIZE = 8
INSIDE = Endpoint("192.168.1.2", 6881)
INSIDE_IPV6 = Endpoint("fd00::2", 6881)

SMALL = CoreConfig(
    outbox=64, inbox=8, transactions=256, lookups=8, values_per_lookup=256, events=16,
    throttle=ThrottleConfig(sources=1024, subnets=512, proved=512, destinations=512),
    peers=PeersConfig(max_info_hashes=64, max_peers=1024, peers_per_info_hash=256),
    items=ItemsConfig(max_items=256), puts=PutsConfig(max_parked=16))
"""Sizes for thousands of nodes in one process; every limit as in a real node."""


class JoinFailed(RuntimeError):
    """Some nodes of a Testnet have not joined within the limit."""


class Truth:
    """What is so, whatever the nodes believe: the live and reachable nodes of a Testnet."""

    def __init__(self, testnet: Testnet) -> None:
        self._testnet = testnet

    def contacts(self) -> list[Contact]:
        """Every live node that anybody can reach, with its id of this moment."""
        return [contact_of(node) for node in self._testnet.nodes if node not in self._testnet.hidden]

    def closest(self, target: bytes, count: int = 8, *, without: Node | None = None) -> list[Contact]:
        """The `count` live nodes nearest to a target; `without` leaves one out, as a lookup leaves out its own."""
        own = None if without is None else without.id
        return builders.closest((found for found in self.contacts() if found.id != own), target, count)

    def recall(self, report: LookupReport, count: int = 8, *, without: Node | None = None) -> float:
        """The share of the `count` nearest live nodes among the first `count` that a lookup reports."""
        expected = {found.id for found in self.closest(report.target, count, without=without)}
        found = {closest.contact.id for closest in report.closest[:count]}
        return len(expected & found) / len(expected) if expected else 1.0


class Testnet:
    """`async with Testnet(50, seed=1) as net:` gives 50 joined nodes in `net.nodes`.

    Must run on a VirtualLoop. `fill_tables` loads routing tables from the known population instead of letting nodes
    join, which is much faster; `dead_contacts` is then the share of contacts in them at whose endpoints nobody is.
    `network` is made with `latency` and the like unless given; `options` go to every Node. Raises ValueError for an
    impossible share and JoinFailed when nodes have not joined in `join_limit_s` virtual seconds.
    """

    __test__ = False            # its name begins as pytest's classes of tests do

    def __init__(self, count: int, seed: int | None = None, *, fill_tables: bool = False, dead_contacts: float = 0.0,
                 is_ipv6: bool = False, network: SimNetwork | None = None, join_limit_s: float = JOIN_LIMIT_S,
                 config: CoreConfig = SMALL, options: dict[str, Any] | None = None, **conditions: Any) -> None:
        if not 0.0 <= dead_contacts < 1.0 or (dead_contacts and not fill_tables):
            raise ValueError(f"dead_contacts is {dead_contacts}; 0 to less than 1, and fill_tables with it")
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise RuntimeError(f"the running loop is {type(loop).__name__}; a Testnet needs a VirtualLoop")
        self.loop = loop
        self.seed = loop.seed if seed is None else seed
        self.rng = Random(self.seed)
        chance = self.rng.getrandbits(64)
        self.network = network or SimNetwork(loop, chance, **{"latency": uniform(10, 60)} | conditions)
        self.nodes: list[Node] = []
        self.dead: list[Contact] = []       # killed nodes that could be revived
        self.ghosts: list[Contact] = []     # dead contacts that never lived
        self.hidden: dict[Node, Nat] = {}   # live, but behind a NAT
        self.truth = Truth(self)
        self._count = count
        self._fills = fill_tables
        self._dead_contacts = dead_contacts
        self._is_ipv6 = is_ipv6
        self._join_limit_s = join_limit_s
        self._config = config
        self._options = options or {}
        self._next_number = 0

    async def __aenter__(self) -> Self:
        try:
            if self._fills:
                await self._start_filled()
            else:
                await self.add(self._count)
                await self.settle()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every node."""
        nodes, self.nodes = self.nodes, []
        for node in nodes:
            await node.close()

    async def add(self, count: int = 1, *, nat: NatKind | None = None, nat_lifetime_s: float = DEFAULT_LIFETIME_S,
                  **options: Any) -> list[Node]:
        """Start more nodes, each behind a translator of its own if `nat` is given, and wait until they have joined."""
        places = [self._next_endpoint() for _ in range(count)]
        if nat is None:
            return await self._start(places, **options)
        started = []
        for place in places:
            translator = Nat(nat, place.pack()[:-2], nat_lifetime_s)
            started += await self._start([INSIDE_IPV6 if self._is_ipv6 else INSIDE], translator, **options)
        return started

    async def settle(self, seconds: float = SETTLE_S) -> None:
        """Wait, then let every node look itself up: those that joined together come to know each other."""
        await asyncio.sleep(seconds)
        await asyncio.gather(*(node.find_node(node.id) for node in self.nodes), return_exceptions=True)

    async def kill(self, share: float = 0.0, *, nodes: Iterable[Node] | None = None) -> list[Contact]:
        """Close a random share of the nodes, or these, without a word to others; returns what they were."""
        killed = []
        for node in self._choose(share) if nodes is None else list(nodes):
            self.nodes.remove(node)
            if self.hidden.pop(node, None) is None:
                killed.append(contact_of(node))
            await node.close()
        self.dead += killed
        return killed

    async def revive(self, share: float = 1.0) -> list[Node]:
        """Bring back a random share of the killed, where and who they were, with empty tables; wait until joined."""
        chosen = self.rng.sample(self.dead, round(share * len(self.dead)))
        self.dead = [killed for killed in self.dead if killed not in set(chosen)]
        started = []
        for killed in chosen:
            started += await self._start([killed.endpoint], node_id=bytes(killed.id))
        return started

    async def churn(self, share: float) -> list[Node]:
        """Replace a random share of the nodes by new ones elsewhere; returns those, joined."""
        return await self.add(len(await self.kill(share)))

    def node(self) -> Node:
        """A random live node."""
        return self.rng.choice(self.nodes)

    async def _start(self, places: Sequence[Endpoint], nat: Nat | None = None, **options: Any) -> list[Node]:
        started = []
        for place in places:
            node = self._make(Node, place, nat, {"bootstrap": self._entries(places)} | options)
            await node.start()
            self.nodes.append(node)
            if nat is not None:
                self.hidden[node] = nat
            started.append(node)
            await asyncio.sleep(JOIN_STAGGER_S)
        if len(self.nodes) > 1:
            await self._wait_joined(started)
        return started

    async def _wait_joined(self, nodes: Sequence[Node]) -> None:
        waits = [asyncio.ensure_future(node.joined()) for node in nodes]
        _, late = await asyncio.wait(waits, timeout=self._join_limit_s)
        for wait in late:
            wait.cancel()
        if late:
            raise JoinFailed(f"{len(late)} of {len(nodes)} nodes had not joined after {self._join_limit_s:g} "
                             f"virtual seconds; seed {self.seed}")

    def _make(self, kind: Callable[..., Node], place: Endpoint, nat: Nat | None, options: dict[str, Any]) -> Node:
        settings: dict[str, Any] = {
            "bootstrap": (), "config": self._config, "clock": self.loop.clock, "entropy": self.rng.randbytes,
            "transport": lambda bind: self.network.open(bind, nat)}
        return kind(str(place), **settings | self._options | options)

    def _entries(self, coming: Sequence[Endpoint]) -> list[str]:
        """Some nodes that are there; for the very first, some that are to come."""
        places = [node.endpoints[0] for node in self.nodes if node not in self.hidden] or coming[1:]
        return [str(place) for place in self.rng.sample(places, min(ENTRY_HOSTS, len(places)))]

    def _choose(self, share: float) -> list[Node]:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share is {share}; 0 to 1")
        return self.rng.sample(self.nodes, round(share * len(self.nodes)))

    def _next_endpoint(self) -> Endpoint:
        self._next_number += 1
        return builders.endpoint(self._next_number - 1, is_ipv6=self._is_ipv6)

    async def _start_filled(self) -> None:
        members = builders.contacts(self._count, self.seed, is_ipv6=self._is_ipv6)
        self._next_number = self._count
        ghosts = round(self._count * self._dead_contacts / (1.0 - self._dead_contacts))
        self.ghosts = builders.contacts(ghosts, self.seed, first=GHOSTS_FROM, is_ipv6=self._is_ipv6)
        population = sorted(members + self.ghosts, key=lambda found: found.id)
        for member in members:
            options = {"node_id": member.id, "table": choose_table(member, population, self.rng)}
            node = self._make(FilledNode, member.endpoint, None, options)
            await node.start()
            self.nodes.append(node)


class FilledNode(Node):
    """A Node that has joined already: its table is given."""

    def __init__(self, bind: str, *, table: Sequence[Contact], **options: Any) -> None:
        super().__init__(bind, **options)
        self._table = table

    def _add_engine(self, bind: Endpoint) -> None:
        super()._add_engine(bind)
        engine, upkeep = self._engines[-1], self._upkeeps[-1]
        now_us = engine.clock()
        for found in self._table:
            engine.core.table.reply_from(bytes(found.id), found.endpoint.pack(), 50_000, now_us)
        upkeep.joined.set()


def contact_of(node: Node) -> Contact:
    """A node as others see it, when no NAT stands in front of it."""
    return Contact(node.id, node.endpoints[0])


def choose_table(member: Contact, population: Sequence[Contact], rng: Random) -> list[Contact]:
    """What a table around `member` would hold after long enough: up to 8 random contacts per bucket, near ones last.

    `population` is sorted by id, so that a bucket is a slice of it and the work is logarithmic in its size.
    """
    own = bytes(member.id)
    chosen: list[Contact] = []
    low, high = 0, len(population)
    bit = 0
    while high - low > 1 and bit < 160:
        middle = split_at(population, low, high, own, bit)
        if own[bit >> 3] >> (7 - (bit & 7)) & 1:
            bucket, low = (low, middle), middle
        else:
            bucket, high = (middle, high), middle
        chosen += sample_slice(population, *bucket, rng)
        bit += 1
    return chosen


def split_at(population: Sequence[Contact], low: int, high: int, own: bytes, bit: int) -> int:
    """The first index in a slice of ids that share `bit` leading bits with `own`, whose next bit is 1."""
    while low < high:
        middle = (low + high) // 2
        if population[middle].id[bit >> 3] >> (7 - (bit & 7)) & 1:
            high = middle
        else:
            low = middle + 1
    return low


def sample_slice(population: Sequence[Contact], low: int, high: int, rng: Random) -> list[Contact]:
    size = high - low
    return [population[low + index] for index in rng.sample(range(size), min(BUCKET_SIZE, size))]
