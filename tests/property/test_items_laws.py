"""ItemStore against its slow twin, and the laws that hold when it is full."""
from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fastdht._ext.items import ItemStore
from tests.oracle.items import SlowItems

SECOND = 1_000_000
TTL = 100 * SECOND
VALUES = [b"1:a", b"1:b", b"i5e", b"le", b"996:" + bytes(996), b"29:" + bytes(29)]
KEYS = [bytes(32), bytes(range(32)), b"29:" + bytes(29)]        # the last is a value, too
SIGNATURES = [bytes(64), bytes(range(64))]
SALTS = [b"", b"s", bytes(64)]
V4 = [bytes([20, 0, net, host, 26, 225]) for net in range(3) for host in (1, 2, 3)]
V6 = [bytes.fromhex("200148600000") + bytes([net, host]) + bytes([0] * 7 + [end]) + b"\x1a\xe1"
      for net in range(3) for host in (1, 2) for end in (1, 2)]


class Items(RuleBasedStateMachine):
    @initialize(family=st.sampled_from([4, 6]), of_ip=st.integers(1, 4), of_subnet=st.integers(1, 6))
    def start(self, family: int, of_ip: int, of_subnet: int) -> None:
        limits = {"items_per_ip": of_ip, "items_per_subnet": of_subnet, "ttl_us": TTL}
        self.fast = ItemStore(max_items=200, secret=bytes(16), seed=1, **limits)
        self.slow = SlowItems(**limits)
        self.sources = V4 if family == 4 else V6
        self.targets: set[bytes] = set()
        self.now_us = 0

    @rule(value=st.sampled_from(VALUES), source=st.integers(0, 8), step_us=st.sampled_from([1, SECOND, 30 * SECOND]))
    def put_value(self, value: bytes, source: int, step_us: int) -> None:
        self.now_us += step_us              # no two at one time: "the oldest" is then one
        packed = self.sources[source]
        target = self.fast.put_value(value, packed, self.now_us)
        assert target == self.slow.put_value(value, packed, self.now_us)
        self.targets.add(target)

    @rule(key=st.sampled_from(KEYS), salt=st.sampled_from(SALTS), value=st.sampled_from(VALUES), seq=st.integers(0, 4),
          cas=st.sampled_from([None, None, None, 0, 1, 2, 3]), signature=st.sampled_from(SIGNATURES),
          source=st.integers(0, 8), step_us=st.sampled_from([1, SECOND, 30 * SECOND]))
    def put_signed(self, key: bytes, salt: bytes, value: bytes, seq: int, cas: int | None, signature: bytes,
                   source: int, step_us: int) -> None:
        self.now_us += step_us
        packed = self.sources[source]
        assert self.fast.put_signed(key, signature, value, seq, packed, self.now_us, salt=salt, cas=cas) == (
            self.slow.put_signed(key, signature, value, seq, packed, self.now_us, salt, cas))

    @rule(step_us=st.sampled_from([SECOND, 60 * SECOND, 101 * SECOND]))
    def wait(self, step_us: int) -> None:
        self.now_us += step_us

    @rule()
    def reclaim(self) -> None:
        assert self.fast.reclaim(self.now_us, 10_000) == self.slow.expire(self.now_us)

    @rule()
    def reclaim_little_by_little(self) -> None:
        expected = self.slow.expire(self.now_us)
        assert sum(self.fast.reclaim(self.now_us, 1) for _ in range(2 * self.fast.item_count + 1)) == expected

    @rule(elapsed_us=st.sampled_from([0, 50 * SECOND]))
    def move_house(self, elapsed_us: int) -> None:
        """What is dumped and loaded is the same, an outage older."""
        self.fast.reclaim(self.now_us, 10_000)
        self.slow.expire(self.now_us)
        moved = ItemStore(max_items=200, secret=bytes(range(16)), seed=2, items_per_ip=self.slow.items_per_ip,
                          items_per_subnet=self.slow.items_per_subnet, ttl_us=TTL)
        self.now_us += elapsed_us
        self.slow.expire(self.now_us)
        assert moved.load(self.fast.dump(), self.now_us, elapsed_us) == len(self.slow.items)
        self.fast = moved

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "fast"):
            return
        self.fast.check_invariants()
        assert sorted(self.fast.targets()) == sorted(self.slow.items)
        for target in {target for target, _ in self.slow.items} | self.targets:
            found = self.fast.get(target, self.now_us)
            allowed = self.slow.get(target, self.now_us)
            assert found in allowed if allowed else found is None
        for packed in self.sources:
            assert self.fast.items_from(packed) == self.slow.items_from(packed)


TestItems = Items.TestCase
TestItems.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize("family", [4, 6])
def test_store_when_full_keeps_its_bounds_and_takes_every_put(family: int) -> None:
    seed = 51 + family
    print(f"seed {seed}")
    rng = random.Random(seed)
    store = ItemStore(max_items=60, items_per_ip=6, items_per_subnet=12, ttl_us=TTL, secret=rng.randbytes(16), seed=seed)
    now_us = 0
    for step in range(20_000):
        now_us += rng.randint(0, SECOND)
        net, host = min(rng.randrange(40), rng.randrange(40)), rng.randrange(8)
        packed = bytes([20, 0, net, host, 1, 1]) if family == 4 else bytes(6) + bytes([net, host]) + bytes(10)
        text = b"%d" % rng.randrange(500)
        target = store.put_value(b"%d:%s" % (len(text), text), packed, now_us)
        assert store.get(target, now_us) is not None
        if rng.random() < 0.05:
            store.reclaim(now_us, 5)
        if step % 200 == 0:
            store.check_invariants()
            assert store.item_count <= 60
            counts = Counter({(n, h): store.items_from(bytes([20, 0, n, h, 1, 1]) if family == 4
                                                       else bytes(6) + bytes([n, h]) + bytes(10))
                              for n in range(40) for h in range(8)})
            assert max(of_source for of_source, _ in counts.values()) <= 6
            assert max(of_subnet for _, of_subnet in counts.values()) <= 12
            assert sum(of_source for of_source, _ in counts.values()) == store.item_count
    assert store.evicted > 1000


def test_store_when_flooded_from_many_subnets_keeps_every_subnet_with_less() -> None:
    seed = 77
    print(f"seed {seed}")
    rng = random.Random(seed)
    store = ItemStore(max_items=256, secret=rng.randbytes(16), seed=seed)
    honest = {store.put_value(b"2:%02d" % i, bytes([30, 0, i, 1, 1, 1]), i) for i in range(64)}
    for i in range(20_000):             # thirty subnets that put without end
        text = b"%d" % i
        store.put_value(b"%d:%s" % (len(text), text), bytes([40, 0, i % 30, i % 7, 1, 1]), 100 + i)
    assert honest <= {target for target, _ in store.targets()}
