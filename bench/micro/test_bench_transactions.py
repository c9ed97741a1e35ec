"""Transactions: tid, match, close and open again, in random order."""
from __future__ import annotations

from typing import Any

import pytest
from bench.micro.state_setup import loops, per_call

from fastdht._ext.transactions import TransactionTable


@pytest.mark.parametrize("in_flight", [64, 4096, 65_536])
def test_bench_match_close_open(benchmark: Any, in_flight: int) -> None:
    table = TransactionTable(131_072, bytes(range(16)), 1_000_000, 10_000_000)
    per_call(benchmark, loops.transactions, table, in_flight)
