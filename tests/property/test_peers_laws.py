"""PeerStore against its slow twin, and the laws that hold when it is full."""
from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fastdht._ext.peers import PeerStore
from tests.oracle.peers import SlowPeers

SECOND = 1_000_000
TTL = 100 * SECOND
HASHES = [bytes([i]) * 20 for i in range(6)]
V4 = [bytes([20, 0, net, host]) + port.to_bytes(2, "big") for net in range(3) for host in (1, 2) for port in (1, 2, 3)]
V6 = [bytes.fromhex("20014860") + bytes([0, 0, 0, net]) + bytes(7) + bytes([host]) + port.to_bytes(2, "big")
      for net in range(3) for host in (1, 2) for port in (1, 2, 3)]


def split_values(values: bytes, family: int) -> list[bytes]:
    """The compact peers of bencoded strings back to back; fails on anything else."""
    prefix, size = (b"6:", 6) if family == 4 else (b"18:", 18)
    found = []
    while values:
        assert values.startswith(prefix)
        found.append(values[len(prefix) : len(prefix) + size])
        assert len(found[-1]) == size
        values = values[len(prefix) + size :]
    return found


class Peers(RuleBasedStateMachine):
    @initialize(family=st.sampled_from([4, 6]), ports=st.integers(1, 3), in_subnet=st.integers(1, 4),
                of_ip=st.integers(1, 4), of_subnet=st.integers(1, 5))
    def start(self, family: int, ports: int, in_subnet: int, of_ip: int, of_subnet: int) -> None:
        limits = {"ports_per_ip": ports, "peers_per_subnet": in_subnet, "info_hashes_per_ip": of_ip,
                  "info_hashes_per_subnet": of_subnet, "ttl_us": TTL}
        self.fast = PeerStore(family, max_info_hashes=8, max_peers=1000, peers_per_info_hash=40, secret=bytes(16),
                              seed=1, **limits)
        self.slow = SlowPeers(family, **limits)
        self.family = family
        self.addresses = V4 if family == 4 else V6
        self.now_us = 0

    @rule(info_hash=st.sampled_from(HASHES), address=st.integers(0, 17), is_seed=st.booleans(),
          step_us=st.sampled_from([1, SECOND, 30 * SECOND]))
    def announce(self, info_hash: bytes, address: int, is_seed: bool, step_us: int) -> None:
        self.now_us += step_us              # no two at one time: "the oldest" is then one
        packed = self.addresses[address]
        assert self.fast.announce(info_hash, packed, is_seed, self.now_us) == self.slow.announce(
            info_hash, packed, is_seed, self.now_us)

    @rule(packed=st.sampled_from([V4[0], V6[0]]))
    def announce_of_either_family(self, packed: bytes) -> None:
        self.now_us += 1
        assert self.fast.announce(HASHES[0], packed, False, self.now_us) == self.slow.announce(
            HASHES[0], packed, False, self.now_us)

    @rule(info_hash=st.sampled_from(HASHES), limit=st.sampled_from([0, 1, 3, 50]), noseed=st.booleans(),
          seed=st.integers(0, 2**64 - 1))
    def values(self, info_hash: bytes, limit: int, noseed: bool, seed: int) -> None:
        found = split_values(self.fast.values(info_hash, limit, self.now_us, noseed, seed), self.family)
        alive = self.slow.alive(info_hash, self.now_us, noseed)
        assert len(set(found)) == len(found) == min(limit, len(alive))
        assert set(found) <= alive

    @rule(step_us=st.sampled_from([SECOND, 60 * SECOND, 101 * SECOND]))
    def wait(self, step_us: int) -> None:
        self.now_us += step_us

    @rule()
    def reclaim(self) -> None:
        assert self.fast.reclaim(self.now_us, 10_000) == self.slow.expire(self.now_us)

    @rule(budget=st.integers(1, 3))
    def reclaim_little_by_little(self, budget: int) -> None:
        expected, removed = self.slow.expire(self.now_us), 0
        for _ in range(2 * self.fast.peer_count + 16):
            removed += self.fast.reclaim(self.now_us, budget)
        assert removed == expected

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "fast"):
            return
        self.fast.check_invariants()
        assert sorted(self.fast.info_hashes()) == sorted(self.slow.swarms)
        assert {self.fast.info_hash_at(i) for i in range(self.fast.info_hash_count)} == set(self.slow.swarms)
        for info_hash in HASHES:
            assert sorted(self.fast.peers_of(info_hash)) == sorted(
                (packed, r.is_seed, r.seen_us) for packed, r in self.slow.swarms.get(info_hash, {}).items())
        for packed in self.addresses[::3]:
            assert self.fast.info_hashes_from(packed) == self.slow.info_hashes_from(packed)


TestPeers = Peers.TestCase
TestPeers.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize("family", [4, 6])
def test_store_when_full_in_every_way_keeps_its_bounds(family: int) -> None:
    seed = 21 + family
    print(f"seed {seed}")
    rng = random.Random(seed)
    store = PeerStore(family, max_info_hashes=20, max_peers=300, peers_per_info_hash=33, ports_per_ip=2,
                      peers_per_subnet=5, info_hashes_per_ip=6, info_hashes_per_subnet=12, ttl_us=TTL,
                      secret=rng.randbytes(16), seed=seed)
    ip_size, subnet_size = (4, 3) if family == 4 else (16, 8)
    now_us = 0
    for step in range(30_000):
        now_us += rng.randint(0, SECOND // 20)
        info_hash = rng.randrange(40).to_bytes(20, "big")
        packed = bytes([20]) + bytes(subnet_size - 2) + bytes([rng.randrange(30)])
        packed += bytes(ip_size - subnet_size - 1) + bytes([rng.randrange(8), 0, rng.randrange(1, 5)])
        stored = store.announce(info_hash, packed, rng.random() < 0.5, now_us)
        assert stored == (packed in {p for p, _, _ in store.peers_of(info_hash)})
        if rng.random() < 0.05:
            store.reclaim(now_us, 50)
        if step % 500 == 0:
            store.check_invariants()
            assert store.info_hash_count <= 20
            assert store.peer_count <= 300
            spread: Counter[bytes] = Counter()
            for info_hash in store.info_hashes():
                peers = [p for p, _, _ in store.peers_of(info_hash)]
                assert len(peers) <= 33
                assert max(Counter(p[:ip_size] for p in peers).values()) <= 2
                assert max(Counter(p[:subnet_size] for p in peers).values()) <= 5
                spread.update({p[:ip_size] for p in peers})
            assert max(spread.values()) <= 6
    assert store.evicted > 1000
    assert store.refused > 100
