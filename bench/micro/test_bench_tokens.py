"""Tokens: one issued and checked, which is three hashes."""
from __future__ import annotations

from typing import Any

from bench.micro.state_setup import loops, per_call

from fastdht._ext.tokens import TokenIssuer


def test_bench_issue_and_accept(benchmark: Any) -> None:
    per_call(benchmark, loops.tokens, TokenIssuer(bytes(range(32)), 0))
