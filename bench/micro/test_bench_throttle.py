"""Throttle: the three calls of a served query, and the one of a query of ours; limits raised until nothing is refused."""
from __future__ import annotations

from typing import Any

import pytest
from bench.micro.state_setup import loops, per_call

from fastdht._ext.throttle import Throttle


def make_throttle() -> Throttle:
    return Throttle(bytes(range(16)), per_ip_rate=10**9, per_ip_burst=10**12, per_subnet_rate=10**9,
                    per_subnet_burst=10**12, reply_bytes_per_s=10**12, subnet_reply_bytes_per_s=10**12,
                    outbound_per_ip=10**12, outbound_per_subnet=10**12)


@pytest.mark.parametrize("sources", [64, 16_384])
def test_bench_admit_allow_spend(benchmark: Any, sources: int) -> None:
    per_call(benchmark, loops.inbound, make_throttle(), sources)


@pytest.mark.parametrize("destinations", [64, 16_384])
def test_bench_admit_query_to(benchmark: Any, destinations: int) -> None:
    per_call(benchmark, loops.outbound, make_throttle(), destinations)
