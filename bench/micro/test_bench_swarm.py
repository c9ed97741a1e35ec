"""The swarm's reply in memory, a thousand queries a round, each to another node: what it costs beside the kernel.

Method: `Responder.replay` runs the whole path (find the node, decode, draw its table, write the reply) without
sockets. In a small swarm all of it is in the cache; in a large one the contacts are not, and their misses show.
"""
from __future__ import annotations

import random

import pytest

from fastdht.testing.swarm import Swarm

QUERIES = 1_000
FRAMES = {
    "ping": b"d1:ad2:id20:%be1:q4:ping1:t4:aaaa1:y1:qe",
    "find_node": b"d1:ad2:id20:%b6:target20:%be1:q9:find_node1:t4:aaaa1:y1:qe",
    "get_peers": b"d1:ad2:id20:%b9:info_hash20:%be1:q9:get_peers1:t4:aaaa1:y1:qe",
}


def queries(method: str) -> list[bytes]:
    rng = random.Random(1)
    frame = FRAMES[method]
    return [frame % tuple(rng.randbytes(20) for _ in range(frame.count(b"%b"))) for _ in range(QUERIES)]


@pytest.mark.parametrize("method", list(FRAMES))
@pytest.mark.parametrize(("nodes", "profile"), [(500, "clean"), (1_000_000, "clean"), (1_000_000, "hard")])
def test_bench_swarm_reply(benchmark, method: str, nodes: int, profile: str) -> None:
    swarm = Swarm(nodes, 1, 6881, profile=profile)
    made = benchmark(swarm._responder.replay, queries(method), 1)
    assert made > QUERIES * 50
