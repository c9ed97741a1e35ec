"""RoutingTable against its slow twin, and the laws that hold whatever happens."""
from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fastdht._ext.table import RoutingTable
from tests.oracle.table import SlowTable, distance, shared_prefix

SECOND = 1_000_000
OWN = bytes([0x5A] * 20)


def near_id(prefix: int, salt: int) -> bytes:
    """An id that shares exactly `prefix` bits with OWN."""
    bits = random.Random(1000 * prefix + salt).getrandbits(160)
    keep = 160 - prefix
    flipped = int.from_bytes(OWN, "big") ^ (1 << (keep - 1))
    mask = (1 << (keep - 1)) - 1
    return ((flipped & ~mask) | (bits & mask)).to_bytes(20, "big")


IDS = [near_id(prefix, salt) for prefix in range(7) for salt in range(5)] + [OWN, bytes(20)]
V4 = [bytes([20, 0, net, host]) + port.to_bytes(2, "big")
      for net in range(12) for host in (1, 2) for port in (1000, 1001)]
V6 = [bytes.fromhex("20014860") + bytes([0, net, sub, 0]) + bytes(7) + bytes([host]) + b"\x1a\xe1"
      for net in range(6) for sub in (0, 1, 2) for host in (1, 2)]


class Pair:
    def __init__(self, family: int, seed: int, **options: int) -> None:
        settings_of_both = {"k": 2, "replacements": 2, "max_buckets": 5, "one_per_ip": True,
                            "bucket_subnet_limit": 1 if family == 4 else 2, "table_subnet_limit": 3,
                            "network_limit": 0,
                            "questionable_us": 900 * SECOND, "candidate_wait_us": 90 * SECOND, "max_failures": 3}
        settings_of_both.update(options)
        self.fast = RoutingTable(OWN, family, seed=seed, **settings_of_both)    # type: ignore[arg-type]
        self.slow = SlowTable(OWN, family, **settings_of_both)                  # type: ignore[arg-type]
        self.options = settings_of_both
        self.family = family
        self.now_us = 0

    def tick(self, step_us: int = 1) -> int:
        self.now_us += max(1, step_us)      # never two events at one time: ties would be decided by list order
        return self.now_us

    def reply(self, node_id: bytes, packed: bytes, rtt_us: int = 7) -> None:
        now_us = self.tick()
        self.fast.reply_from(node_id, packed, rtt_us, now_us)
        self.slow.reply_from(node_id, packed, rtt_us, now_us)

    def query(self, node_id: bytes, packed: bytes) -> None:
        now_us = self.tick()
        self.fast.query_from(node_id, packed, now_us)
        self.slow.query_from(node_id, packed, now_us)

    def failure(self, packed: bytes) -> None:
        now_us = self.tick()
        self.fast.failure_of(packed, now_us)
        self.slow.failure_of(packed, now_us)

    def ping_one(self) -> bytes | None:
        now_us = self.tick()
        due = self.slow.due(now_us)
        picked = self.fast.next_questionable(now_us)
        assert (picked is None) == (not due)
        if picked is None:
            return None
        chosen = [e for e in due if (e.id, e.packed) == picked]
        assert chosen, "picked what is not due, or not silent longest"
        chosen[0].pinged_us = now_us
        return picked[1]

    def check(self) -> None:
        self.fast.check_invariants()
        live = sorted((e.id, e.packed, self.slow.standing(e), e.rtt_us, e.seen_us)
                      for e in self.slow.entries if e.role == "live")
        waiting = sorted((e.id, e.packed, e.role == "replacement", e.seen_us)
                         for e in self.slow.entries if e.role != "live")
        assert sorted(self.fast.contacts()) == live
        assert sorted(self.fast.waiting_contacts()) == waiting
        assert len(self.fast.bucket_sizes()) == self.slow.bucket_count
        check_laws(self.fast, self.options, self.family)


def check_laws(table: RoutingTable, options: dict[str, int], family: int) -> None:
    """Nobody twice, nothing over its bound."""
    ip_bytes, net_bytes = (4, 3) if family == 4 else (8, 6)
    contacts = table.contacts()
    everyone = [c[:2] for c in contacts] + [c[:2] for c in table.waiting_contacts()]
    for part in (0, 1):
        assert max(Counter(c[part] for c in everyone).values(), default=0) <= 1
    if options["one_per_ip"]:
        assert max(Counter(c[1][:ip_bytes] for c in everyone).values(), default=0) <= 1
    if options["table_subnet_limit"]:
        assert max(Counter(c[1][:net_bytes] for c in contacts).values(), default=0) <= options["table_subnet_limit"]
    if options["network_limit"]:
        network_bytes = 2 if family == 4 else 4
        assert max(Counter(c[1][:network_bytes] for c in contacts).values(), default=0) <= options["network_limit"]
    sizes = table.bucket_sizes()
    assert len(sizes) <= options["max_buckets"]
    assert all(live <= room and waiting <= options["replacements"] for live, room, waiting in sizes)


class Tables(RuleBasedStateMachine):
    @initialize(family=st.sampled_from([4, 6]), k=st.integers(1, 4), replacements=st.integers(0, 3),
                max_buckets=st.integers(1, 6), one_per_ip=st.booleans(), in_bucket=st.integers(0, 2),
                in_table=st.integers(0, 4), in_network=st.sampled_from([0, 1, 5, 9]))
    def start(self, family: int, k: int, replacements: int, max_buckets: int, one_per_ip: bool, in_bucket: int,
              in_table: int, in_network: int) -> None:
        self.addresses = V4 if family == 4 else V6
        self.pair = Pair(family, 1, k=k, replacements=replacements, max_buckets=max_buckets, one_per_ip=one_per_ip,
                         bucket_subnet_limit=in_bucket, table_subnet_limit=in_table,
                         network_limit=in_network)

    @rule(node_id=st.sampled_from(IDS), address=st.integers(0, 1000), rtt_us=st.integers(0, 2**32 - 1))
    def reply(self, node_id: bytes, address: int, rtt_us: int) -> None:
        self.pair.reply(node_id, self.addresses[address % len(self.addresses)], rtt_us)

    @rule(node_id=st.sampled_from(IDS), address=st.integers(0, 1000))
    def query(self, node_id: bytes, address: int) -> None:
        self.pair.query(node_id, self.addresses[address % len(self.addresses)])

    @rule(position=st.integers(0, 1000), count=st.integers(1, 4))
    def failure(self, position: int, count: int) -> None:
        entries = self.pair.slow.entries
        packed = entries[position % len(entries)].packed if entries else self.addresses[0]
        for _ in range(count):
            self.pair.failure(packed)

    @rule(position=st.integers(0, 1000))
    def known_replies(self, position: int) -> None:
        entries = self.pair.slow.entries
        if entries:
            e = entries[position % len(entries)]
            self.pair.reply(e.id, e.packed)

    @rule(packed=st.sampled_from([V4[0], V6[0]]))
    def reply_of_either_family(self, packed: bytes) -> None:
        self.pair.reply(IDS[0], packed)

    @rule(step_us=st.sampled_from([1, SECOND, 20 * SECOND, 91 * SECOND, 901 * SECOND]))
    def wait(self, step_us: int) -> None:
        self.pair.tick(step_us)

    @rule()
    def ping(self) -> None:
        self.pair.ping_one()

    @rule(aim=st.binary(min_size=20, max_size=20) | st.sampled_from(IDS), limit=st.sampled_from([0, 1, 3, 8, 128]))
    def closest(self, aim: bytes, limit: int) -> None:
        self.pair.slow.now_us = max(self.pair.slow.now_us, self.pair.now_us)
        self.pair.fast.good_count(self.pair.now_us)
        found = self.pair.slow.closest(aim, limit)
        assert self.pair.fast.closest_contacts(aim, limit) == found
        assert self.pair.fast.closest(aim, limit) == b"".join(node_id + packed for node_id, packed in found)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check()


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize("family", [4, 6])
def test_table_over_20_000_random_events_equals_its_twin(family: int) -> None:
    seed = 77 + family
    print(f"seed {seed}")
    rng = random.Random(seed)
    addresses = V4 if family == 4 else V6
    pair = Pair(family, seed, k=3, replacements=3, max_buckets=6)
    for step in range(20_000):
        action = rng.random()
        if action < 0.4:
            pair.reply(rng.choice(IDS), rng.choice(addresses))
        elif action < 0.6:
            pair.query(rng.choice(IDS), rng.choice(addresses))
        elif action < 0.8 and pair.slow.entries:
            pair.failure(rng.choice(pair.slow.entries).packed)
        elif action < 0.9:
            packed = pair.ping_one()
            if packed is not None and rng.random() < 0.5:
                pair.failure(packed)
        else:
            pair.tick(rng.choice([1, SECOND, 60 * SECOND, 500 * SECOND]))
        if step % 11 == 0:
            pair.check()


def random_contact(rng: random.Random, family: int) -> tuple[bytes, bytes]:
    prefix = min(159, int(rng.expovariate(0.5)))
    node_id = near_id(prefix, rng.getrandbits(40))
    address = rng.randbytes(4) if family == 4 else b"\x26" + rng.randbytes(15)
    return node_id, address + rng.randint(1, 65535).to_bytes(2, "big")


@pytest.mark.parametrize(("family", "k", "extended"), [(4, 8, False), (4, 8, True), (6, 8, True), (4, 20, False),
                                                      (4, 128, False)])
def test_closest_in_a_full_table_equals_sorting_all_good_contacts(family: int, k: int, extended: bool) -> None:
    seed = k + family
    print(f"seed {seed}")
    rng = random.Random(seed)
    table = RoutingTable(OWN, family, k=k, seed=seed, extended=extended, table_subnet_limit=0, bucket_subnet_limit=0,
                         network_limit=0)
    now_us = 0
    for _ in range(4000):
        now_us += SECOND // 4
        node_id, packed = random_contact(rng, family)
        table.reply_from(node_id, packed, 1, now_us)
        if rng.random() < 0.1 and (known := table.closest_contacts(node_id, 1)):
            table.failure_of(known[0][1], now_us)
    table.check_invariants()
    contacts = table.contacts()
    good = [c for c in contacts if c[2] == "good"]
    assert len(good) > 2 * k
    assert len(good) < len(contacts)
    for _ in range(300):
        target = rng.randbytes(20) if rng.random() < 0.5 else random_contact(rng, family)[0]
        limit = rng.choice([1, 8, 16, 100])
        expected = sorted((c[:2] for c in good), key=lambda c: distance(c[0], target))[:limit]
        if len(expected) == limit:
            assert table.closest_contacts(target, limit) == expected


@pytest.mark.parametrize("extended", [False, True])
def test_table_moved_to_other_ids_keeps_its_laws_and_whom_it_has_room_for(extended: bool) -> None:
    seed = 11
    print(f"seed {seed}")
    rng = random.Random(seed)
    options = {"k": 8, "replacements": 8, "max_buckets": 40, "table_subnet_limit": 0, "one_per_ip": True,
               "bucket_subnet_limit": 0, "network_limit": 0}
    table = RoutingTable(OWN, 4, seed=seed, extended=extended, **options)       # type: ignore[arg-type]
    for now_s in range(3000):
        table.reply_from(*random_contact(rng, 4), 1, now_s * SECOND // 10)
    for _ in range(20):
        before = {c[0] for c in table.contacts()}
        own_id = rng.choice([rng.randbytes(20), rng.choice(table.contacts())[0]])
        table.move_to(own_id)
        table.check_invariants()
        check_laws(table, options, 4)
        after = {c[0] for c in table.contacts()}
        assert table.center() == own_id not in after
        sizes = table.bucket_sizes()
        for node_id in before - after - {own_id}:
            bucket = min(shared_prefix(own_id, node_id), len(sizes) - 1)
            assert sizes[bucket][0] == sizes[bucket][1], "dropped although its bucket has room"
