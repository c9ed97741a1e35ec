"""`fastdht conform`: our own node conforms in every check; of a node with a fault exactly that is named."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from fastdht.cli.conform_checks import CHECKS
from tests.cli.network_kit import Query, Scripted, invoke, neighbours

Results = dict[bytes, Any]
SAMPLES = {b"samples": b"", b"num": 0, b"interval": 0}


def check(endpoint: str, *words: str) -> tuple[int, dict[str, str]]:
    """The exit code, and the remark of each check that deviates by its name."""
    done = invoke("conform", endpoint, "--json", "--query-timeout", "300ms", *words)
    found = json.loads(done.stdout)
    deviating = {each["name"]: each["remark"] for each in found["checks"] if each["verdict"] == "deviates"}
    assert found["deviations"] == len(deviating)
    return done.exit_code, deviating


def test_our_node_when_checked_then_conforms_to_every_row() -> None:
    with neighbours(1, 64) as node:
        done = invoke("conform", node.endpoint(), "--json")
    assert done.exit_code == 0, done.stdout
    verdicts = [each["verdict"] for each in json.loads(done.stdout)["checks"]]
    assert verdicts == ["conforms"] * len(CHECKS)


def plain(query: Query) -> Results:
    """What a decent node of BEP 5 alone answers."""
    return {b"nodes": b"", b"token": b"t"} if query[b"q"] in (b"find_node", b"get_peers") else {}


def with_fault(method: bytes, fault: Results) -> Callable[[Query], Results]:
    return lambda query: plain(query) | (fault if query[b"q"] == method else {})


@pytest.mark.parametrize(("bep", "method", "fault", "name", "told"), [
    (5, b"ping", {b"id": b"short"}, "ping", "id is 5 bytes"),
    (5, b"find_node", {b"nodes": b"x" * 27}, "find_node", "no multiple of 26"),
    (5, b"find_node", {b"id": b"z" * 20}, "find_node", "another id"),
    (5, b"get_peers", {b"token": b""}, "get_peers", "without token"),
    (5, b"get_peers", {b"values": [b"\x7f\0\0\1\x67\x12"]}, "announced peer", "not among|is not|swapped"),
    (5, b"get_peers", {b"values": [b"\x7f\0\0\1" + (4711).to_bytes(2, "little")]}, "announced peer", "bytes swapped"),
    (32, b"find_node", {b"nodes6": b"x" * 39}, "want n6", "no multiple of 38"),
    (33, b"get_peers", {b"BFsd": b"x" * 255, b"BFpe": b"x" * 256}, "scrape", "not 256 bytes"),
    (44, b"get", {b"nodes": b""}, "get", "without token"),
    (51, b"sample_infohashes", SAMPLES | {b"interval": 21_601}, "sample_infohashes", "interval is 21601"),
    (51, b"sample_infohashes", SAMPLES | {b"samples": b"x" * 21}, "sample_infohashes", "no multiple of 20"),
    (51, b"sample_infohashes", SAMPLES | {b"samples": b"x" * 40, b"num": 1}, "sample_infohashes", "num is not"),
])
def test_node_when_it_has_a_fault_then_it_is_named(bep: int, method: bytes, fault: Results, name: str,
                                                   told: str) -> None:
    with Scripted(with_fault(method, fault)) as node:
        code, deviating = check(node.endpoint, "--bep", str(bep))
    assert code == 1
    assert re.search(told, deviating[name])


def test_node_when_it_keeps_another_value_then_that_is_named() -> None:
    def answer(query: Query) -> Results:
        return plain(query) | {b"token": b"t", b"nodes": b""} | ({b"v": b"forged"} if query[b"q"] == b"get" else {})

    with Scripted(answer) as node:
        _, deviating = check(node.endpoint, "--bep", "44")
    assert deviating["stored item"] == "another value than was put"
    assert deviating["large value"] == "an answer instead of error 205"


def test_node_when_it_speaks_no_extension_then_does_not_deviate_in_them() -> None:
    with Scripted(plain) as node:
        code, deviating = check(node.endpoint, "--bep", "32", "--bep", "33", "--bep", "42")
    assert (code, deviating) == (0, {})


def test_node_when_silent_then_fails_in_one_line() -> None:
    with Scripted(lambda query: None) as node:
        done = invoke("conform", node.endpoint, "--query-timeout", "100ms")
        assert done.stderr == f"fastdht: {node.endpoint}: no answer to a ping within 0.1 s\n"
    assert (done.exit_code, done.stdout) == (1, "")


