"""The swarm is right when ways to crawl find of it what they find of a network like it.

The figures are those of a Monte-Carlo of Kademlia tables (k = 8, half of them with libtorrent's larger first buckets)
with the profile's dead contacts, loss and popularity, confirmed by a crawler in C over real UDP. Here crawls run over
the tables in memory, with the loss applied per question.
"""
from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from fastdht._ext.swarm import Responder
from fastdht.testing.swarm import LIARS, PROFILES, Swarm
from fastdht.testing.truth import KEY_SIZE, RECORD
from tests.oracle import wire

NODES = 20_000
PORT = 6881
BOOTSTRAP = 8
BUCKETS = 18                # the deepest that 40,000 contacts fill is the 15th

Ask = Callable[[int, bytes], bool]


class Crawl:
    """A crawl in memory: the contacts heard of, in order, and which of them answered."""

    def __init__(self, swarm: Swarm, seed: int) -> None:
        self.random = random.Random(seed)
        self.answer: Callable[[int, bytes], bytes] = responder_of(swarm).answer
        self.nodes = swarm.nodes
        self.lives = (1 - swarm.profile.loss) ** 2
        records = swarm.truth_records(0, swarm.contacts)
        starts = range(0, len(records), RECORD.size)
        self.serials = {records[at : at + 6]: serial for serial, at in enumerate(starts)}
        self.ids = [records[at + 6 : at + KEY_SIZE] for at in starts]
        self.heard = dict.fromkeys(range(BOOTSTRAP))
        self.queue = list(self.heard)
        self.found: set[int] = set()
        self.sent = 0

    def ask(self, serial: int, target: bytes, tries: int = 1) -> bool:
        for _ in range(tries):
            self.sent += 1
            if serial < self.nodes and self.random.random() <= self.lives:
                self.found.add(serial)
                named = self.answer(serial, target)
                for at in range(20, len(named), 26):
                    other = self.serials[named[at : at + 6]]
                    if other not in self.heard:
                        self.heard[other] = None
                        self.queue.append(other)
                return True
        return False

    def run(self, visit: Callable[[Crawl, int], object]) -> Crawl:
        for serial in self.queue:           # grows while it runs
            visit(self, serial)
        return self

    @property
    def recall(self) -> float:
        return len(self.found) / self.nodes

    def anywhere(self) -> bytes:
        return self.random.randbytes(20)


def responder_of(swarm: Swarm) -> Responder:
    return swarm._responder     # answer(ip, …) parses an address for each question; a crawl asks millions


def ask_random(crawl: Crawl, serial: int) -> None:
    crawl.ask(serial, crawl.anywhere())


def ask_own(crawl: Crawl, serial: int) -> None:
    crawl.ask(serial, crawl.ids[serial])


def ask_half(crawl: Crawl, serial: int) -> None:
    crawl.ask(serial, crawl.ids[serial] if crawl.random.random() < 0.5 else crawl.anywhere())


def ask_standard(crawl: Crawl, serial: int) -> None:
    if crawl.ask(serial, crawl.anywhere()):
        crawl.ask(serial, crawl.ids[serial])


def drain(crawl: Crawl, serial: int) -> None:
    if not crawl.ask(serial, crawl.anywhere(), tries=3):
        return
    own = int.from_bytes(crawl.ids[serial], "big")
    for bucket in range(BUCKETS):
        target = own ^ (1 << (159 - bucket)) ^ crawl.random.getrandbits(159 - bucket)
        crawl.ask(serial, target.to_bytes(20, "big"), tries=2)
    crawl.ask(serial, crawl.ids[serial], tries=2)


@pytest.fixture(scope="module")
def hard() -> Swarm:
    return Swarm(NODES, 1, PORT, profile="hard")


@pytest.mark.parametrize(("visit", "low", "high"), [
    (ask_random, 0.78, 0.82),
    (ask_own, 0.0, 0.02),
    (ask_half, 0.88, 0.91),
    (ask_standard, 0.955, 0.972),
    (drain, 0.998, 1.0),
])
def test_recall_when_profile_is_hard_then_is_what_each_way_to_crawl_finds(
    hard: Swarm, visit: Callable[[Crawl, int], None], low: float, high: float
) -> None:
    crawl = Crawl(hard, seed=1).run(visit)
    assert low <= crawl.recall <= high


def test_cost_when_profile_is_hard_then_there_are_two_contacts_for_each_found_node(hard: Swarm) -> None:
    once, twice = Crawl(hard, seed=2).run(ask_random), Crawl(hard, seed=2).run(ask_standard)
    assert len(once.heard) / len(once.found) == pytest.approx(2.04, abs=0.04)
    assert once.sent == len(once.heard)
    assert twice.sent / len(twice.found) == pytest.approx(3.04, abs=0.04)


def test_recall_when_profile_is_easy_then_standard_misses_one_in_a_hundred() -> None:
    crawl = Crawl(Swarm(NODES, 3, PORT, profile="easy"), seed=3).run(ask_standard)
    assert crawl.recall == pytest.approx(0.989, abs=0.003)
    assert crawl.sent / len(crawl.found) == pytest.approx(2.5, abs=0.04)


def test_recall_when_profile_is_clean_then_standard_finds_all() -> None:
    crawl = Crawl(Swarm(NODES, 4, PORT), seed=4).run(ask_standard)
    assert crawl.recall == 1.0
    assert len(crawl.heard) == NODES


def strict_answers(replies: list[tuple[bool, bytes]], tid: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(id, nodes) of replies that a strict crawler takes: from the asked endpoint, with its tid, of kind r."""
    for from_other_port, data in replies:
        message = wire.decode(data)
        if not from_other_port and message[b"t"] == tid and message[b"y"] == b"r":
            nodes = message[b"r"].get(b"nodes", b"")
            yield message[b"r"][b"id"], nodes if len(nodes) % 26 == 0 else b""


def test_precision_when_a_fifth_are_liars_then_a_strict_crawl_lists_only_what_answers() -> None:
    swarm = Swarm(2_000, 5, PORT, profile=PROFILES["clean"], adversaries=0.2)
    truth = {(row.id, row.ip, row.port): row for row in swarm.truth()}
    net = {(row.ip, row.port) for row in truth.values()}
    rng = random.Random(5)
    queue = [(row.id, row.ip, row.port) for row in list(truth.values())[:BOOTSTRAP]]
    heard, found = set(queue), set()
    for contact in queue:
        if contact[1:] not in net:
            continue                        # a bogon; the address filter drops it
        for target in (rng.randbytes(20), contact[0]):
            replies = swarm.handle(wire.query(b"find_node", target=target), ("127.0.0.1", 9), contact[1:])
            for node_id, nodes in strict_answers(replies, b"aa"):
                if node_id != contact[0]:
                    continue                # not the one that was named
                found.add(contact)
                fresh = [named for named in wire.contacts(nodes) if named not in heard]
                heard.update(fresh)
                queue += fresh[: 3 * len(truth) - len(queue)]
    assert all(truth[contact].answers for contact in found)
    assert {contact for contact, row in truth.items() if row.reachable} <= found
    kinds = {truth[contact].kind for contact in found}
    assert kinds == {"honest", *LIARS} - {"invented-id", "reflector", "id-mirror", "wrong-tid", "other-port"}
