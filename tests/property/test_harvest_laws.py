"""What holds of every harvest, whatever the network answers: nobody is asked for samples twice, or before time."""
from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fastdht._ext import drive
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.frontier import Frontier
from fastdht._ext.ledger import Ledger

OWN_ID = b"\x5a" * 20
LEDGER_SIZE = 64 + 16 * 1024


class Walk:
    """A harvest through a made-up network that answers, refuses, is silent, late, or never gets the question."""

    def __init__(self, seed: int, ledger: Ledger) -> None:
        self.random = random.Random(seed)
        self.frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), seed=seed, ledger=ledger, address_rate=0,
                                 max_in_flight=12, max_contacts=1024, slots=256)
        self.places = [bytes([127, 0, i // 16, 1]) + (i % 16 + 1).to_bytes(2, "big") for i in range(150)]
        self.ids = {place: self.random.randbytes(20) for place in self.places}
        self.out: list[tuple[tuple[bytes, bytes, bytes | None, int, int], bool]] = []
        self.sampled: list[bytes] = []      # questions for samples that were sent
        self.asked: set[bytes] = set()
        self.told: set[bytes] = set()
        self.samplers = self.refused = 0
        for place in self.places[:4]:
            self.frontier.offer(place)

    def run(self) -> None:
        for _ in range(20_000):
            if self.frontier.is_exhausted():
                break
            if self.random.random() < 0.5:
                self.ask()
            elif self.out:
                self.settle()
            self.frontier.tend(64)
        assert self.frontier.is_exhausted()

    def ask(self) -> None:
        question = drive.ask(self.frontier, 0)
        if question is None:
            return
        if self.random.random() < 0.1:
            drive.give_back(self.frontier, question)
            return
        self.out.append((question, False))
        self.asked.add(question[0])
        if drive.method_of(question) == "sample_infohashes":
            self.sampled.append(question[0])

    def settle(self) -> None:
        question, is_stalled = self.out.pop(self.random.randrange(len(self.out)))
        choice, is_sample = self.random.random(), drive.method_of(question) == "sample_infohashes"
        if choice < 0.1 and not is_stalled:
            drive.stall(self.frontier, question)
            self.out.append((question, True))
        elif choice < 0.3:
            drive.time_out(self.frontier, question, is_stalled=is_stalled)
        elif choice < 0.45:
            drive.answer_error(self.frontier, question, is_stalled=is_stalled)
            self.refused += is_sample
        else:
            self.answer(question, is_stalled, is_sample and self.random.random() < 0.6)

    def answer(self, question: tuple[bytes, bytes, bytes | None, int, int], is_stalled: bool, shows: bool) -> None:
        named = self.random.sample(self.places, 8)
        samples = [self.random.randbytes(20) for _ in range(self.random.randrange(4))] if shows else None
        drive.answer(self.frontier, question, self.ids[question[0]], is_stalled=is_stalled, num=50,
                     nodes=b"".join(self.ids[place] + place for place in named),
                     samples=b"".join(samples) if samples is not None else None)
        if samples is not None:
            self.samplers += 1
            self.told.update(samples)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
def test_nobody_is_asked_for_samples_twice(seed: int) -> None:
    memory = bytearray(LEDGER_SIZE)
    first = Walk(seed, Ledger(memory, bytes(16)))
    first.run()
    counts = first.frontier.counters()
    assert len(first.sampled) == len(set(first.sampled)) == counts["sample_queries"]
    assert (counts["samplers"], counts["refused"], counts["num_sum"]) == (
        first.samplers, first.refused, 50 * first.samplers)
    block = first.frontier.take_samples()
    assert {block[i:i + 20] for i in range(0, len(block), 52)} == first.told
    assert counts["fallbacks"] + counts["retries"] <= 0.45 * counts["found"] + 1
    again = Walk(seed + 1, Ledger(memory, bytes(16)))
    again.run()
    assert not set(again.sampled) & set(first.sampled)
    assert again.frontier.counters()["not_due"] > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32))
def test_everybody_is_asked_again_when_the_longest_interval_has_passed(seed: int) -> None:
    memory = bytearray(LEDGER_SIZE)
    first = Walk(seed, Ledger(memory, bytes(16)))
    first.run()
    later = Walk(seed + 1, Ledger(memory, bytes(16), 21_700 * 1_000_000))
    later.run()
    assert set(later.sampled) == later.asked
    assert later.asked & set(first.sampled)
