"""A large network that lives for a day, affordable: its nodes serve, but do not look after themselves.

Every node is a real Node with a real core and real stores. What is missing is upkeep: instead of pinging and refreshing
for itself, each has its table corrected from the known population every fifteen minutes, as its own refreshing would
(BEP 5), and until then it names nodes that are gone. Only who keeps, and who looks, run whole.
"""
from __future__ import annotations

import asyncio
import functools
import math
from bisect import insort
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Literal, Self

from fastdht.config import CoreConfig
from fastdht.crypto import BEP44_TEST
from fastdht.errors import DHTError
from fastdht.items import make_item, sign_item
from fastdht.node import Node
from fastdht.testing import SimNetwork, builders
from fastdht.testing.clock import VirtualLoop
from fastdht.testing.latency import uniform
from fastdht.testing.testnet import SMALL, FilledNode, choose_table
from fastdht.types import Contact, Endpoint, InfoHash, Item

CORRECT_S = 900.0           # BEP 5: a bucket unchanged for 15 minutes is refreshed
CORRECT_JITTER_S = 120.0
MAX_FAILURES = 3
PORT = 51413
SAMPLE_S = 60.0
HALF_LIFE_S = 3 * 3600.0    # in which half of all nodes are replaced
WHOLE = 3_000_000           # numbers of the nodes that keep and look, far from those of the population
SECRET = b"0123456789abcdef"


class QuietNode(FilledNode):
    """Serves, and is otherwise looked after by its Population."""

    def _add_engine(self, bind: Endpoint) -> None:
        super()._add_engine(bind)
        upkeep, engine = self._upkeeps[-1], self._engines[-1]
        upkeep.start = lambda: engine.core.rotate_token_secret(SECRET, engine.clock())  # type: ignore[method-assign]

    def correct(self, alive: Collection[bytes], table: list[tuple[bytes, bytes]]) -> None:
        """Give up who is gone, learn who is there, forget what is old: what upkeep does in fifteen minutes."""
        engine = self._engines[0]
        core, now_us = engine.core, engine.clock()
        for _, packed, *_ in core.table.contacts():
            if packed not in alive:
                for _ in range(MAX_FAILURES):
                    core.table.failure_of(packed, now_us)
        for node_id, packed in table:
            core.table.reply_from(node_id, packed, 50_000, now_us)
        core.expire_peers(64, now_us)
        core.expire_items(64, now_us)


@dataclass
class Member:
    contact: Contact
    node: QuietNode
    correct_at: float


class Population:
    """`count` quiet nodes on a simulated network, of which half are replaced every three hours, evenly."""

    def __init__(self, count: int, seed: int) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.rng = Random(seed)
        self.network = SimNetwork(loop, seed, latency=uniform(10, 60))
        self.members: list[Member] = []
        self._count = count
        self._seed = seed
        self._next = 0
        self._sorted: list[Contact] = []
        self._packed: dict[bytes, bytes] = {}       # id → compact endpoint of who is alive
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        contacts = [self._new_contact() for _ in range(self._count)]
        for contact in contacts:
            self._add(contact)
        for contact in contacts:
            await self._start(contact)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
        for member in self.members:
            await member.node.close()

    def live(self, *, replaces: bool = True) -> None:
        """Begin to replace and to correct."""
        self._task = asyncio.create_task(self._live(HALF_LIFE_S / (self._count / 2) if replaces else math.inf))

    @property
    def nodes(self) -> list[QuietNode]:
        return [member.node for member in self.members]

    def node(self) -> QuietNode:
        """A random one."""
        return self.rng.choice(self.members).node

    async def kill(self, nodes: list[QuietNode]) -> None:
        """Close these without a word to others."""
        for member in [member for member in self.members if member.node in nodes]:
            self.members.remove(member)
            self._remove(member.contact)
            await member.node.close()

    async def whole(self, number: int, limits: Literal["node", "off"] = "node") -> Node:
        """A whole node, started and joined, outside the population; one that only measures has no limits."""
        hosts = [str(member.contact.endpoint) for member in self.rng.sample(self.members, 8)]
        node = Node(str(builders.endpoint(WHOLE + number)), bootstrap=hosts, config=CoreConfig(), clock=self.loop.clock,
                    entropy=self.rng.randbytes, transport=self.network.open, limits=limits)
        await node.start()
        await node.joined()
        return node

    async def _live(self, gap: float) -> None:
        next_death = self.loop.time() + gap
        while True:
            due = min(self.members, key=lambda member: member.correct_at)
            await asyncio.sleep(max(0.0, min(due.correct_at, next_death) - self.loop.time()))
            if next_death <= due.correct_at:
                next_death += gap
                await self._replace()
            else:
                self._correct(due)

    async def _replace(self) -> None:
        gone = self.members.pop(self.rng.randrange(len(self.members)))
        await gone.node.close()
        self._remove(gone.contact)
        contact = self._new_contact()
        self._add(contact)
        await self._start(contact)

    def _correct(self, member: Member) -> None:
        member.correct_at = self._next_correction()
        chosen = choose_table(member.contact, self._sorted, self.rng)
        member.node.correct(frozenset(self._packed.values()), [(bytes(found.id), self._packed[found.id]) for found in chosen])

    async def _start(self, contact: Contact) -> None:
        """A node that has joined: its table is given."""
        node = QuietNode(str(contact.endpoint), node_id=contact.id, table=choose_table(contact, self._sorted, self.rng),
                         bootstrap=(), config=SMALL, clock=self.loop.clock, entropy=self.rng.randbytes,
                         transport=self.network.open)
        await node.start()
        self.members.append(Member(contact, node, self._next_correction()))

    def _next_correction(self) -> float:
        return self.loop.time() + CORRECT_S + self.rng.uniform(-CORRECT_JITTER_S, CORRECT_JITTER_S)

    def _new_contact(self) -> Contact:
        self._next += 1
        return builders.contact(self._next - 1, self._seed & 0xFFFF)

    def _add(self, contact: Contact) -> None:
        insort(self._sorted, contact, key=lambda found: found.id)
        self._packed[contact.id] = contact.endpoint.pack()

    def _remove(self, contact: Contact) -> None:
        self._sorted.remove(contact)
        del self._packed[contact.id]


@dataclass
class Kept:
    """What is kept alive: torrents and items, some mutable."""

    info_hashes: list[InfoHash]
    items: list[Item]

    @classmethod
    def make(cls, count: int, rng: Random) -> Kept:
        salts = [rng.randbytes(8) for _ in range(count)]
        items = [make_item(salt) if at % 2 else sign_item(BEP44_TEST, at, seq=at, salt=salt)
                 for at, salt in enumerate(salts)]
        return cls([InfoHash(rng.randbytes(20)) for _ in range(count)], items)


@dataclass
class Findings:
    """The share of all kept things that was found at each sampled minute, and how often each was missed."""

    shares: list[float] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)

    async def sample(self, seeker: Node, keeper: Endpoint, kept: Kept) -> None:
        """Look for everything within a minute, evenly."""
        async def has_peer(info_hash: InfoHash) -> bool:
            return Endpoint(keeper.ip, PORT) in (await seeker.get_peers(info_hash)).values

        async def has_item(item: Item) -> bool:
            found = await seeker.get(item.target, salt=item.salt)
            return (found.raw, found.seq) == (item.raw, item.seq)

        async def is_found(at: int, find: Callable[[], Awaitable[bool]]) -> bool:
            await asyncio.sleep(at * gap_s)
            try:
                return await find()
            except DHTError:
                return False

        finds = [functools.partial(has_peer, each) for each in kept.info_hashes]
        finds += [functools.partial(has_item, each) for each in kept.items]
        gap_s = SAMPLE_S / len(finds)
        found = await asyncio.gather(*(is_found(at, find) for at, find in enumerate(finds)))
        self.shares.append(sum(found) / len(found))
        targets = [*kept.info_hashes, *(item.target for item in kept.items)]
        self.missed.update(str(target) for target, is_there in zip(targets, found) if not is_there)


def datagrams(node: Node) -> int:
    """Datagrams that this node's queries have cost so far, both ways."""
    counters = node.counters()
    return int(counters["sent_queries"]) + int(counters["responses_handled"]) + int(counters["errors_handled"])
