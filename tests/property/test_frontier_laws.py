"""Frontier against its slow twin on small networks with every kind of answer; and what holds of pacing."""
from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdht._ext import drive
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.frontier import Frontier
from fastdht._ext.rows import json_lines
from tests.oracle.frontier import EXHAUSTIVE, FAST, STANDARD, Question, SlowFrontier

OWN_ID = b"\x5a" * 20
WINDOW = 12
SLOTS = 256            # makes 320 places: grows at 260 contacts, while old places move


class Walk:
    """A Frontier and its twin through a made-up network that answers in every way an adversary could."""

    def __init__(self, seed: int, depth: int, zone_bits: int, max_contacts: int = 1 << 12) -> None:
        self.random = random.Random(seed)
        zone = OWN_ID if zone_bits else bytes(20)
        self.fast = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), depth=depth, seed=seed, zone=zone,
                             zone_bits=zone_bits, max_in_flight=WINDOW, max_contacts=max_contacts, slots=SLOTS,
                             address_rate=0)
        self.slow = SlowFrontier(OWN_ID, depth, zone, zone_bits, max_contacts)
        self.ids = [self.random.randbytes(20) for _ in range(90)] + [OWN_ID]
        self.ids += [OWN_ID[:1] + self.random.randbytes(19) for _ in range(30)]
        self.places = [bytes([127, 0, i // 16, 1]) + (i % 16).to_bytes(2, "big") for i in range(280)]
        self.places += [bytes([10, 0, 0, i, 1, 1]) for i in range(8)]
        self.out: list[tuple[Question, bool]] = []
        self.rows: list[tuple[str, int, str, str]] = []
        for place in self.random.sample(self.places, 5):
            self.fast.offer(place)
            self.slow.offer(place)

    def run(self) -> None:
        for _ in range(20_000):
            if self.fast.is_exhausted():
                break
            self.step()
            self.compare()
        assert self.fast.is_exhausted()
        self.check_end()

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.5:
            self.ask()
        elif choice < 0.6:
            self.stall()
        elif self.out:
            self.settle()
        if self.random.random() < 0.1:
            self.fast.tend(8)
            self.take_rows()

    def ask(self) -> None:
        question, is_growing = drive.ask(self.fast, 0), True
        while question is None and is_growing:
            is_growing = self.fast.tend(8)
            question = drive.ask(self.fast, 0)
        if question is None:
            in_flight = sum(not is_stalled for _, is_stalled in self.out)
            assert in_flight == WINDOW or not self.slow.ready()
            return
        self.slow.asked(question)
        if self.random.random() < 0.05:
            drive.give_back(self.fast, question)
            self.slow.given_back(question)
        else:
            self.out.append((question, False))

    def stall(self) -> None:
        live = [i for i, (_, is_stalled) in enumerate(self.out) if not is_stalled]
        if live:
            i = self.random.choice(live)
            drive.stall(self.fast, self.out[i][0])
            self.out[i] = (self.out[i][0], True)

    def settle(self) -> None:
        question, is_stalled = self.out.pop(self.random.randrange(len(self.out)))
        kind = self.random.random()
        if kind < 0.25:
            drive.time_out(self.fast, question, is_stalled=is_stalled)
            self.slow.failed(question, "timeouts")
        elif kind < 0.3:
            drive.answer_error(self.fast, question, is_stalled=is_stalled)
            self.slow.failed(question, "errors")
        else:
            node_id, nodes = self.answer_of(question)
            packed = b"".join(each + place for each, place in nodes)
            drive.answer(self.fast, question, node_id, nodes=packed, is_stalled=is_stalled)
            self.slow.answered(question, node_id, nodes)

    def answer_of(self, question: Question) -> tuple[bytes | None, list[tuple[bytes, bytes]]]:
        nodes = [(self.random.choice(self.ids), self.random.choice(self.places))
                 for _ in range(self.random.choice([0, 1, 8, 8, 8, 20, 310]))]
        kind = self.random.random()
        if kind < 0.7 and question[2] is not None:
            return question[2], nodes
        if kind < 0.8:
            return (int.from_bytes(question[1], "big") + 1).to_bytes(21, "big")[1:], nodes
        return self.random.choice([*self.ids, None]), nodes

    def take_rows(self) -> None:
        for line in json_lines(self.fast.take_found()).splitlines():
            row = json.loads(line)
            self.rows.append((row["ip"], row["port"], row["id"], row["status"]))

    def compare(self) -> None:
        counters = self.fast.counters()
        assert counters["contacts"] == len(self.slow.contacts)
        for name, count in self.slow.counts.items():
            assert counters[name] == count, name
        assert counters["waiting"] == len(self.out)
        assert counters["in_flight"] == sum(not is_stalled for _, is_stalled in self.out)

    def check_end(self) -> None:
        self.take_rows()
        expected = [(".".join(map(str, place[:4])), int.from_bytes(place[4:], "big"), node_id.hex(), status)
                    for place, node_id, status in self.slow.rows]
        assert self.rows == expected
        assert not self.slow.ready()
        if self.slow.has_budget():
            assert not [each for each in self.slow.silent() if self.slow.may_retry(each)]
        most: dict[bytes, int] = {}
        for place, contact in self.slow.contacts.items():
            most[place[:4]] = most.get(place[:4], 0) + contact.asked
        for at_once in (1, 3, 1 << 20):
            assert self.fast.max_packets_per_address(at_once) == max(most.values(), default=0)


@pytest.mark.parametrize("depth", [FAST, STANDARD, EXHAUSTIVE])
@pytest.mark.parametrize("zone_bits", [0, 3])
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_frontier_when_anything_is_answered_equals_its_slow_twin(depth: int, zone_bits: int, seed: int) -> None:
    Walk(seed, depth, zone_bits).run()


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_frontier_when_it_is_full_counts_what_it_leaves_out(seed: int) -> None:
    walk = Walk(seed, STANDARD, 0, max_contacts=40)
    walk.run()
    assert walk.fast.counters()["contacts"] <= 40


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), depth=st.sampled_from([FAST, STANDARD, EXHAUSTIVE]))
def test_frontier_with_the_same_seed_asks_the_same(seed: int, depth: int) -> None:
    assert questions_of(seed, depth) == questions_of(seed, depth)


def questions_of(seed: int, depth: int) -> list[Any]:
    walk = Walk(seed, depth, 0)
    for _ in range(400):
        walk.step()
    return [question for question, _ in walk.out]


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), depth=st.sampled_from([FAST, STANDARD, EXHAUSTIVE]))
def test_node_that_makes_its_id_from_the_target_never_gets_a_row(seed: int, depth: int) -> None:
    rng = random.Random(seed)
    offset = rng.choice([0, 1, 256, 65536])
    frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), depth=depth, seed=seed, address_rate=0)
    places = [bytes([127, 0, 0, i, 26, 225]) for i in range(1, 60)]
    frontier.offer(places[0])
    while (question := drive.ask(frontier, 0)) is not None:
        made_up = ((int.from_bytes(question[1], "big") + offset) % (1 << 160)).to_bytes(20, "big")
        drive.answer(frontier, question, made_up, nodes=b"".join(rng.randbytes(20) + place for place in places))
    assert frontier.is_exhausted()
    assert frontier.take_found() == b""
    assert frontier.counters()["filtered_changed_id"] == len(places)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), rate=st.sampled_from([50.0, 333.0, 20_000.0]))
def test_pace_never_lets_more_leave_than_the_rate_and_one_quantum(seed: int, rate: float) -> None:
    rng = random.Random(seed)
    frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), rate=rate, max_in_flight=1 << 30, seed=seed)
    frontier.offer(b"".join(bytes([127, i >> 8, i & 255, 1, 1, 1]) for i in range(5000)))
    sent: list[int] = []
    now = rng.randrange(1 << 40)
    start = now
    while now < start + 250_000_000 / rate:     # time enough for 250
        while drive.ask(frontier, now) is not None:
            sent.append(now)
        now = max(now + rng.randrange(1, 4000), drive.due(frontier, now))
    for first in range(0, len(sent), 7):
        for last in range(first + 1, len(sent), 11):
            assert last - first + 1 <= rate * (sent[last] - sent[first] + 5000) / 1e6 + 2
    assert len(sent) >= 0.9 * 250


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_address_with_many_nodes_when_paced_is_asked_at_its_rate_and_wholly(seed: int) -> None:
    rng = random.Random(seed)
    frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), depth=FAST, seed=seed)
    ports = 30
    frontier.offer(b"".join(bytes([127, 0, 0, 1]) + (1000 + i).to_bytes(2, "big") for i in range(ports)))
    ids = {1000 + i: rng.randbytes(20) for i in range(ports)}
    sent: list[int] = []
    now = rng.randrange(1 << 40)
    while not frontier.is_exhausted():
        question = drive.ask(frontier, now)
        if question is None:
            now = max(now + 1, drive.due(frontier, now))
            continue
        sent.append(now)
        drive.answer(frontier, question, ids[int.from_bytes(question[0][4:], "big")])
    assert frontier.counters()["found"] == ports
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first + 1 <= (sent[last] - sent[first]) / 1e6 + 4 + 1e-3


def test_crowded_address_that_alone_keeps_the_crawl_going_is_given_up_after_its_time() -> None:
    second, patience = 1_000_000, 10_000_000
    crowd, other = bytes([127, 0, 0, 1]), bytes([127, 0, 0, 2])
    frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), depth=FAST, address_rate=1.0, address_burst=4)
    frontier.offer(b"".join(crowd + bytes([1, port]) for port in range(15)) + other + bytes([1, 1]))
    asked: list[tuple[bytes, int]] = []
    start, given_up = 1 << 40, 0
    now = start
    while not frontier.is_exhausted():
        while (question := drive.ask(frontier, now)) is not None:
            asked.append((question[0], now))
            drive.answer(frontier, question, question[0] + bytes(14))
        given_up += frontier.give_up_crowded(now, patience)
        now += second // 10
    last_other = max(when for place, when in asked if place[:4] == other)
    assert last_other < start + second
    assert last_other + patience <= max(when for _, when in asked) + second <= last_other + patience + 2 * second
    times = Counter(place for place, _ in asked if place[:4] == crowd)
    assert max(times.values()) == 2                         # the second question is for a witness of the id
    assert given_up == frontier.counters()["not_asked"] == 15 - list(times.values()).count(2)


def test_crowded_address_when_others_are_still_asked_is_not_given_up() -> None:
    frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), address_rate=1.0, address_burst=1, max_in_flight=2)
    frontier.offer(b"".join(bytes([127, 0, 0, 1, 1, port]) for port in range(3)))
    frontier.offer(bytes([127, 0, 0, 2, 1, 1]))
    assert drive.ask(frontier, 0) is not None
    assert frontier.give_up_crowded(1, 1) == 0
    assert frontier.give_up_crowded(10**8, 1) == 0          # 127.0.0.2 still waits for its turn
    assert drive.ask(frontier, 10**8) is not None


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_addresses_asked_at_once_do_not_wait_for_each_other(seed: int) -> None:
    frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), depth=STANDARD, seed=seed, max_in_flight=1 << 20)
    places = [bytes([127, i >> 16, i >> 8 & 255, i & 255, 1, 1]) for i in range(5000)]
    frontier.offer(b"".join(places))
    asked: Counter[bytes] = Counter()
    while (question := drive.ask(frontier, 1000)) is not None:
        asked[question[0]] += 1
        drive.answer(frontier, question, question[0] + bytes(14))
    assert asked == dict.fromkeys(places, 2)
    assert frontier.counters()["postponed"] == 0


def test_address_when_there_is_no_room_to_note_it_waits_for_some() -> None:
    one_line, second = 16, 1_000_000        # words of memory; they hold ten addresses
    frontier = Frontier(OWN_ID, AddressFilter(["127.0.0.0/8"]), depth=FAST, address_cells=one_line, address_burst=4)
    frontier.offer(b"".join(bytes([127, 0, 0, i, 1, 1]) for i in range(1, 12)))
    asked = []
    while (question := drive.ask(frontier, 0)) is not None:
        asked.append(question)
    assert len({question[0] for question in asked}) == 10
    assert drive.ask(frontier, second - 1) is None
    later = drive.due(frontier, second - 1)
    assert second <= later < second + (1 << 16)         # the wheel's lists are 2^15 µs wide
    last = drive.ask(frontier, later)
    assert last is not None
    assert last[0] not in {question[0] for question in asked}
