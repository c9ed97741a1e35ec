"""What a program does with the core while hostile datagrams arrive. Rate class: batch.

Four participants take turns: a server with every limit on, one without, one of IPv6, and a crawl. Lookups are opened
and stepped by the real policy, direct queries and upkeep are sent, time jumps, and ids and secrets change. After every
batch each part of the core is asked whether it contradicts itself.
"""
from __future__ import annotations

import random
from typing import Any

from core_target import CoreTarget
from mutator import Mutator

from fastdht._ext.addresses import AddressFilter
from fastdht._ext.core import Core
from fastdht._ext.frontier import Frontier
from fastdht._ext.packets import Inbox
from fastdht.config import CoreConfig, ItemsConfig, LookupConfig, PeersConfig, PutsConfig, ThrottleConfig
from fastdht.lookup.machine import Machine

START_US = 1_000_000_000
SECOND_US = 1_000_000
SLICE = 50                      # inputs between two acts of the program
SMALL: dict[str, Any] = {       # small ceilings are reached
    "outbox": 16, "transactions": 256, "lookups": 8, "values_per_lookup": 64, "events": 8,
    "peers": PeersConfig(max_info_hashes=16, max_peers=200, peers_per_info_hash=40),
    "items": ItemsConfig(max_items=16, items_per_ip=3, items_per_subnet=5),
    "puts": PutsConfig(max_parked=8, parked_per_ip=3, parked_per_subnet=5),
}


class Branch:
    """One lookup's policy, as the engine would hold it."""

    def __init__(self, participant: Participant, slot: int) -> None:
        self.participant = participant
        self.slot = slot
        self.machine = Machine(LookupConfig().alpha)

    def step(self, in_flight: int, fresh: int, pending: int, answered: int, flags: int) -> int:
        return self.machine.step(in_flight, fresh, pending, answered, flags)

    def on_results(self) -> None:
        self.participant.core.lookup_values(self.slot)

    def on_finished(self) -> None:
        self.participant.core.finish_lookup(self.slot, 8)
        self.participant.branches[self.slot] = None

    def on_failed(self, error: Exception) -> None:
        raise error


class Participant:
    """A core, its program and its clock."""

    def __init__(self, config: CoreConfig, mutator: Mutator, seed: int, current: Any, is_crawl: bool = False) -> None:
        self.rng = random.Random(seed)
        own_id = self.rng.randbytes(20)
        self.frontier = Frontier(own_id, AddressFilter(()), seed=seed, families=1 if config.family == 4 else 2,
                                 max_contacts=5000, rate=500.0) if is_crawl else None
        self.core = Core(config, own_id, self.rng.randbytes(96), seed, self.frontier)
        self.target = CoreTarget(self.core, mutator, seed, current, START_US)
        self.branches: list[Branch | None] = [None] * config.lookups
        self.family = config.family

        if self.frontier is not None:
            self.frontier.offer(b"".join(self.endpoint() for _ in range(50)))

    def run(self, inputs: int) -> None:
        for _ in range(0, inputs, SLICE):
            self.target.run(SLICE)
            self.target.advance(self.rng.choice((0, 10_000, 200_000, SECOND_US)))
            if self.frontier is not None:
                self.frontier.take_found()
            else:
                self.act()
        self.target.advance(self.rng.choice((SECOND_US, 12 * SECOND_US, 1200 * SECOND_US)))
        self.core.check_invariants()
        if not self.core.counters()["received"] == self.target.fed:
            raise AssertionError(f"{self.target.fed} inputs fed, {self.core.counters()['received']} received")

    def act(self) -> None:
        now, core, rng = self.target.now_us, self.core, self.rng
        self.open_lookup(now)
        core.query(rng.randrange(4), self.endpoint(), 1, now, target=rng.randbytes(20), token=bytes(rng.randrange(64)),
                   port=rng.randrange(65536), want=rng.randrange(4), expected_id=rng.choice((None, rng.randbytes(20))))
        core.step_lookups(self.branches, now)
        core.take_events()
        core.take_votes()
        rare = rng.randrange(64)
        if rare < 8:
            core.ping_questionable(8, now)
            core.refresh_target(now)
            core.expire_peers(4, now)
            core.expire_items(4, now)
            core.items.load(core.items.dump(), now)
        elif rare == 8:
            core.change_id(rng.randbytes(20))
        elif rare == 9:
            core.rotate_token_secret(rng.randbytes(16), now)
        elif rare < 14:
            self.refuse(now)
        elif rare == 14:
            self.cancel_lookup()
        core.next_deadline(now)

    def open_lookup(self, now: int) -> None:
        slot = self.core.open_lookup(
            self.rng.choice((1, 2)), self.rng.randbytes(20), 8, 16, self.rng.randrange(2), 40, now + 20 * SECOND_US,
            now, seeds=[self.endpoint() for _ in range(self.rng.randrange(6))], is_fixed=self.rng.random() < 0.1)
        if slot >= 0:
            self.branches[slot] = Branch(self, slot)

    def cancel_lookup(self) -> None:
        for slot, branch in enumerate(self.branches):
            if branch is not None:
                self.core.finish_lookup(slot, 8)
                self.branches[slot] = None
                return

    def refuse(self, now: int) -> None:
        """The network returns some of what we sent."""
        inbox = Inbox(16)
        for data, target in self.core.drain():
            inbox.put(data, target)
        self.core.receive_unreachable(inbox, now)

    def endpoint(self) -> bytes:
        if self.family == 4:
            return bytes((self.rng.randrange(64, 128),)) + self.rng.randbytes(5)
        return b"\x2a\x00" + self.rng.randbytes(16)


class Scene:
    """Four participants that take turns, a batch each."""

    def __init__(self, mutator: Mutator, seed: int, current: Any) -> None:
        configs = (
            CoreConfig(throttle=ThrottleConfig.small(), **SMALL),
            CoreConfig(**SMALL).limits_off(),
            CoreConfig(family=6, **SMALL).limits_off(),
            CoreConfig.crawl(),
        )
        self.participants = [Participant(config, mutator, seed + i, current, is_crawl=config.read_only)
                             for i, config in enumerate(configs)]
        self.turn = 0

    def run(self, inputs: int) -> None:
        self.participants[self.turn % len(self.participants)].run(inputs)
        self.turn += 1

    @classmethod
    def replay(cls, data: bytes) -> None:
        """One input to each participant in its first state."""
        for participant in cls(Mutator([data], 1), 1, bytearray(8 + 8192)).participants:
            participant.target.feed(data)
            participant.target.advance(SECOND_US)
            participant.core.check_invariants()
