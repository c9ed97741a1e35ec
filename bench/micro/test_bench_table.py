"""Routing table: the eight closest, and noting an answer."""
from __future__ import annotations

import random
from typing import Any

import pytest
from bench.micro.state_setup import loops, per_call

from fastdht._ext.table import RoutingTable

OWN = bytes([0x5A] * 20)


def make_table(k: int, count: int, extended: bool = False) -> RoutingTable:
    """A table of `count` contacts, fed with ids ever closer to its own."""
    rng = random.Random(k)
    table = RoutingTable(OWN, 4, k=k, seed=1, extended=extended, bucket_subnet_limit=0, table_subnet_limit=0,
                         network_limit=0)
    while len(table) < count:
        bits = max(8, 160 - int(rng.expovariate(0.08)))
        node_id = (int.from_bytes(OWN, "big") ^ rng.getrandbits(bits)).to_bytes(20, "big")
        table.reply_from(node_id, rng.randbytes(6), 1, 0)
    return table


@pytest.mark.parametrize(("k", "count", "extended"), [(8, 160, False), (8, 400, True), (20, 300, False),
                                                      (64, 1280, False)])
def test_bench_closest_eight(benchmark: Any, k: int, count: int, extended: bool) -> None:
    per_call(benchmark, loops.closest, make_table(k, count, extended), random.Random(2).randbytes(20 * 1024), 8)


def test_bench_answer_of_a_known_contact(benchmark: Any) -> None:
    table = make_table(8, 160)
    per_call(benchmark, loops.answers, table, [contact[:2] for contact in table.contacts()])
