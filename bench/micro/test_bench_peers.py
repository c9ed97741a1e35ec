"""Peer store: fifty values for a reply, and an announce, at 64 info-hashes in turn."""
from __future__ import annotations

from typing import Any

import pytest
from bench.micro.state_setup import loops, per_call

from fastdht._ext.peers import PeerStore

INFO_HASHES = [bytes([i]) * 20 for i in range(64)]


def make_store() -> PeerStore:
    return PeerStore(4, secret=bytes(16), seed=1, max_peers=500_000, info_hashes_per_ip=10**6,
                     info_hashes_per_subnet=10**6)


@pytest.mark.parametrize("size", [10, 50, 500])
def test_bench_fifty_values(benchmark: Any, size: int) -> None:
    store = make_store()
    for info_hash in INFO_HASHES:
        for i in range(size):
            store.announce(info_hash, bytes([20, i >> 8, i & 255, 1, 1, 1]), False, 0)
    per_call(benchmark, loops.values, store, INFO_HASHES, 50)


@pytest.mark.parametrize("size", [10, 100, 500])
def test_bench_announce(benchmark: Any, size: int) -> None:
    per_call(benchmark, loops.announces, make_store(), INFO_HASHES, size)
