"""Edges: packed rows as lines and columns, and what the frontier does when they find no room."""
from __future__ import annotations

import json
import struct
from pathlib import Path
from random import Random

import pytest

from fastdht._ext import drive, edges
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.frontier import Frontier
from fastdht.crawl.packed import EDGES
from fastdht.crawl.sinks import DirectorySink

ROW = struct.Struct("=QQ")


def make_block(pairs: list[tuple[int, int]]) -> bytes:
    return b"".join(ROW.pack(*pair) for pair in pairs)


def make_node(number: int) -> bytes:
    return bytes([number] * 20) + bytes([8, 8, number, 1, 0, 99])


def frontier_asking(capacity: int) -> tuple[Frontier, tuple[bytes, bytes, bytes | None, int, int]]:
    """A frontier, and its question to the one node it knows of."""
    frontier = Frontier(bytes(20), AddressFilter(), edge_capacity=capacity, address_rate=0)
    frontier.offer(bytes([8, 8, 1, 1, 0, 99]))
    question = drive.ask(frontier, 0)
    assert question is not None
    return frontier, question


def test_lines_and_parquet_hold_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rng = Random(5)
    pairs = [(0, 2**64 - 1), *((rng.getrandbits(64), rng.getrandbits(64)) for _ in range(100))]
    expected = [{"from_id": f"{source:016x}", "to_id": f"{target:016x}"} for source, target in pairs]
    assert [json.loads(line) for line in edges.json_lines(make_block(pairs)).splitlines()] == expected
    sink = DirectorySink(tmp_path, "parquet", table=EDGES)
    sink.write(make_block(pairs), 0)
    sink.close()
    assert parquet.read_table(tmp_path / "parts" / "edges" / "part-0.parquet").to_pylist() == expected


def test_broken_block_is_refused() -> None:
    with pytest.raises(ValueError, match="a block of edges is 17 bytes; a multiple of 16 needed"):
        edges.json_lines(bytes(17))


def test_edges_are_named_by_their_bytes_in_network_order() -> None:
    frontier, question = frontier_asking(16)
    drive.answer(frontier, question, bytes(range(20)), nodes=bytes(range(100, 120)) + bytes([8, 8, 2, 1, 0, 99]))
    assert json.loads(edges.json_lines(frontier.take_edges())) == {
        "from_id": "0001020304050607", "to_id": "6465666768696a6b"}
    assert frontier.edges_waiting() == 0


def test_edges_without_room_are_counted_and_stop_the_asking_until_taken() -> None:
    frontier, question = frontier_asking(4)
    drive.answer(frontier, question, bytes([1] * 20), nodes=b"".join(make_node(number) for number in range(2, 10)))
    counts = frontier.counters()
    assert (counts["edges"], counts["edges_dropped"], frontier.edges_waiting()) == (4, 4, 4)
    assert drive.ask(frontier, 0) is None
    assert frontier.take_edges() == make_block(
        [(int.from_bytes([1] * 8, "big"), int.from_bytes([number] * 8, "big")) for number in range(2, 6)])
    assert drive.ask(frontier, 0) is not None


def test_families_that_are_not_crawled_have_no_edges() -> None:
    frontier, question = frontier_asking(4)
    drive.answer(frontier, question, bytes([1] * 20), nodes6=bytes(38))
    assert frontier.counters()["edges"] == 0


def test_frontier_that_keeps_no_edges_gives_none() -> None:
    frontier, question = frontier_asking(0)
    drive.answer(frontier, question, bytes([1] * 20), nodes=make_node(2))
    assert (frontier.take_edges(), frontier.counters()["edges"], frontier.counters()["edges_dropped"]) == (b"", 0, 0)
