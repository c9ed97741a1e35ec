"""Samples as a harvest keeps them: rows, their tally, and what it says of the infohashes not seen."""
from __future__ import annotations

import io
import json
import random
import struct
from collections import Counter
from pathlib import Path

import pytest

from fastdht._ext import drive, samples
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.frontier import Frontier
from fastdht._ext.ledger import Ledger
from fastdht._ext.samples_tally import SampleTally
from fastdht.crawl.estimate import estimate
from fastdht.crawl.packed import SAMPLES
from fastdht.crawl.sinks import DirectorySink, StreamSink

ROW = struct.Struct("=20s16sIIIHH")         # as samples.pxd has it
WALL = 1_700_000_000
OWN, NODE = b"\x5a" * 20, b"\x11" * 20
PLACE = bytes([9, 8, 7, 6, 0x1A, 0xE1])


def harvest(**options: object) -> Frontier:
    frontier = Frontier(OWN, AddressFilter(), ledger=Ledger(bytearray(64 + 16 * 64), bytes(16), WALL * 1_000_000),
                        address_rate=0, seed=3, **options)    # type: ignore[arg-type]
    frontier.offer(PLACE)
    return frontier


def answer(frontier: Frontier, told: bytes, num: int, interval: int) -> list[tuple[object, ...]]:
    question = drive.ask(frontier, 0)
    assert question is not None
    assert drive.method_of(question) == "sample_infohashes"
    drive.answer(frontier, question, NODE, samples=told, num=num, interval=interval, now_us=2_500_000)
    return list(ROW.iter_unpack(frontier.take_samples()))


def test_answer_becomes_a_row_per_infohash() -> None:
    told = bytes(range(20)) + bytes(range(20, 40))
    rows = answer(harvest(), told, 95, 600)
    place = b"\0" * 10 + b"\xff\xff" + PLACE[:4]
    assert rows == [(told[:20], place, 95, 600, WALL + 2, 6881, 2), (told[20:], place, 95, 600, WALL + 2, 6881, 2)]


def test_infohash_that_an_answer_repeats_counts_once() -> None:
    rows = answer(harvest(), b"\x01" * 20 + b"\x02" * 20 + b"\x01" * 20, 3, 0)
    assert [(row[0][:1], row[6]) for row in rows] == [(b"\x01", 2), (b"\x02", 2)]   # type: ignore[index]


@pytest.mark.parametrize(("num", "interval", "kept"), [(-5, -1, (2, 0)), (1, 30_000, (2, 21_600)),
                                                       (1 << 40, 1 << 50, (1 << 20, 21_600))])
def test_numbers_beyond_reason_are_bounded(num: int, interval: int, kept: tuple[int, int]) -> None:
    rows = answer(harvest(), b"\x01" * 20 + b"\x02" * 20, num, interval)
    assert {row[2:4] for row in rows} == {kept}


def test_samples_without_room_are_counted() -> None:
    frontier = harvest(sample_capacity=3)
    rows = answer(frontier, random.Random(1).randbytes(100), 5, 0)
    assert (len(rows), frontier.counters()["samples_lost"]) == (3, 2)


def test_samples_that_nobody_takes_stop_the_asking() -> None:
    frontier = harvest(sample_capacity=4)
    frontier.offer(bytes([9, 8, 7, 5, 0, 80]))
    question = drive.ask(frontier, 0)
    assert question is not None
    drive.answer(frontier, question, NODE, samples=random.Random(1).randbytes(60), num=3)
    assert drive.ask(frontier, 0) is None
    frontier.take_samples()
    assert drive.ask(frontier, 0) is not None


def test_json_and_parquet_hold_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rng = random.Random(4)
    rows = [(rng.randbytes(20), b"\0" * 10 + b"\xff\xff\x0a\x00\x00\x01", rng.randrange(1 << 20), 21_600, WALL, 9, 20)
            for _ in range(50)] + [(bytes(20), b"\x20\x01" + bytes(13) + b"\x07", 0, 0, 0, 65_535, 1)]
    block = b"".join(ROW.pack(*row) for row in rows)
    stream = io.BytesIO()
    StreamSink(stream, SAMPLES).write(block, 0)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines[0] == {"info_hash": rows[0][0].hex(), "ip": "10.0.0.1", "port": 9, "num": rows[0][2],
                        "interval": 21_600, "t": WALL}
    assert (lines[-1]["ip"], lines[-1]["port"]) == ("2001::7", 65_535)
    sink = DirectorySink(tmp_path, "parquet", table=SAMPLES)
    sink.write(block, 0)
    sink.close()
    assert pyarrow.parquet.read_table(tmp_path / "parts" / "samples" / "part-0.parquet").to_pylist() == lines


def test_broken_block_is_refused() -> None:
    for function in (samples.hash_column, samples.json_lines, SampleTally().add):
        with pytest.raises(ValueError, match="multiple of 52"):
            function(bytes(53))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tally_agrees_with_a_dictionary(seed: int) -> None:
    rng = random.Random(seed)
    hashes = [rng.randbytes(20) for _ in range(9000)]
    tally, sightings, weights = SampleTally(seed), Counter[bytes](), Counter[bytes]()
    for _ in range(20):
        rows = [(rng.choice(hashes), bytes(16), rng.randrange(20, 900), 0, 0, 1, 20) for _ in range(900)]
        tally.add(b"".join(ROW.pack(*row) for row in rows))
        sightings.update(row[0] for row in rows)
        for row in rows:
            weights[row[0]] += row[2] / 20      # type: ignore[assignment]
    sums = tally.sums()
    assert (sums["distinct"], sums["sightings"]) == (len(sightings), 18_000) == (len(tally), 18_000)
    assert (sums["once"], sums["twice"]) == tuple(sum(n == k for n in sightings.values()) for k in (1, 2))
    assert sums["pairs"] == pytest.approx(sum((n - 1) * weights[each] for each, n in sightings.items()), rel=1e-4)


@pytest.mark.parametrize(("replicas", "share"), [(8, 0.6), (5, 0.3), (12, 0.9)])
def test_estimate_of_a_known_network_is_close(replicas: int, share: float) -> None:
    rng = random.Random(replicas)
    nodes, existing = 1000, 8000
    held: list[list[bytes]] = [[] for _ in range(nodes)]
    for number in range(existing):
        for node in rng.sample(range(nodes), replicas):
            held[node].append(number.to_bytes(20, "big"))
    tally, samplers = SampleTally(), 0
    for hashes in held:
        if rng.random() > share:
            continue
        samplers += 1
        told = rng.sample(hashes, min(20, len(hashes)))
        tally.add(b"".join(ROW.pack(each, bytes(16), len(hashes), 0, 0, 1, len(told)) for each in told))
    guess = estimate(tally.sums(), nodes=nodes, samplers=samplers)
    assert guess.total == pytest.approx(existing, rel=0.05)
    assert guess.replicas == pytest.approx(replicas, rel=0.08)
    assert guess.total_chao2 is not None and guess.infohashes < guess.total_chao2 < 1.05 * existing


def test_estimate_of_nothing_says_nothing() -> None:
    guess = estimate(SampleTally().sums(), nodes=10, samplers=0)
    assert (guess.infohashes, guess.total, guess.coverage, guess.total_chao2) == (0, None, None, None)


def log_normal_network(rng: random.Random, nodes: int) -> list[tuple[int, list[bytes]]]:
    """Each node's num and what it shows: infohashes on five nodes each, of which some have far more than others."""
    weights = [rng.lognormvariate(0, 1) for _ in range(nodes)]
    held: list[list[bytes]] = [[] for _ in range(nodes)]
    for number in range(20 * nodes):
        for node in set(rng.choices(range(nodes), weights, k=5)):
            held[node].append(number.to_bytes(20, "big"))
    return [(len(hashes), rng.sample(hashes, min(20, len(hashes)))) for hashes in held]


def estimated_total(answers: list[tuple[int, list[bytes]]]) -> tuple[float, int]:
    tally = SampleTally()
    for at in range(0, len(answers), 500):
        tally.add(b"".join(ROW.pack(each, bytes(16), num, 0, 0, 1, len(shown))
                           for num, shown in answers[at:at + 500] for each in shown))
    guess = estimate(tally.sums(), nodes=len(answers), samplers=len(answers))
    assert guess.total is not None
    return guess.total, guess.doubted


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_estimate_among_nodes_that_say_billions_is_as_without_them(seed: int) -> None:
    rng = random.Random(seed)
    honest = log_normal_network(rng, 2000)
    total, doubted = estimated_total(honest)
    assert doubted <= 2
    liars = [(1 << 20, shown) for _, shown in honest[:100]]
    poisoned, doubted = estimated_total(rng.sample(honest[100:] + liars, 2000))
    assert 100 <= doubted <= 102
    assert poisoned == pytest.approx(total, rel=0.05)


def test_estimate_where_all_store_alike_doubts_who_says_far_more() -> None:
    shown = [random.Random(1).randbytes(20)]
    assert estimated_total([(100, shown)] * 99 + [(1 << 20, shown)])[1] == 1
    assert estimated_total([(100, shown)] * 99 + [(500, shown)])[1] == 0
    assert estimated_total([(100, shown)] * 9 + [(1 << 20, shown)])[1] == 0     # too few to say what is usual
