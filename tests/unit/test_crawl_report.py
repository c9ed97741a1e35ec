"""The report's counts against rows counted by hand, and its alarm against planted crowds."""
from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from fastdht.crawl.report.nodes import gather, name_client, rtt_edges
from fastdht.crawl.report.page import read_source
from fastdht.crawl.report.sybil import judge_density, upper_limit, widen
from fastdht.errors import PersistError
from tests.conftest import SEED

ROWS = [
    {"ip": "192.0.2.1", "port": 1, "id": "00a" + "0" * 37, "status": "ok", "rtt_us": 100_000, "v": "4c54020b",
     "bep42": True},
    {"ip": "192.0.2.1", "port": 2, "id": "00a" + "1" * 37, "status": "ok", "rtt_us": 1, "v": None, "bep42": False},
    {"ip": "192.0.2.9", "port": 1, "id": "fff" + "0" * 37, "status": "renamed", "rtt_us": 4_000_000_000,
     "v": "ffff0102", "bep42": True},
    {"ip": "2001:db8::1", "port": 1, "id": "800" + "0" * 37, "status": "ok", "rtt_us": 100_000, "v": "4c54020b",
     "bep42": True},
]


def write_crawl(folder: Path, format_: str) -> Path:
    nodes = folder / "parts" / "nodes"
    nodes.mkdir(parents=True)
    (folder / "crawl.json").write_text(json.dumps({"state": "complete", "command": "fastdht crawl <&>", "config": {}}))
    (folder / "summary.json").write_text(json.dumps({"sent": 9, "answered": 6, "contacts": 7, "elapsed_s": 3.0}))
    (folder / "timeline.jsonl").write_text('{"sent": 1}\n{"sent": 2}\n{"se')
    for number, rows in enumerate((ROWS[:3], ROWS[3:])):
        if format_ == "jsonl":
            (nodes / f"part-{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            import pyarrow
            import pyarrow.parquet
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), nodes / f"part-{number}.parquet")
    return folder


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_findings_equal_rows_counted_by_hand(tmp_path: Path, format_: str) -> None:
    found = gather(read_source(write_crawl(tmp_path, format_)))
    assert (found.nodes, found.addresses, found.ipv6, found.bep42) == (4, 3, 1, 3)
    assert {i: count for i, count in enumerate(found.prefixes) if count} == {0x00A: 2, 0x800: 1, 0xFFF: 1}
    assert found.crowded == [("192.0.2.1", 2)]
    assert found.networks == [("192.0.2.0/24", 3)]
    assert found.clients == {"libtorrent": 2, "says nothing": 1, "unknown": 1}
    assert found.statuses == {"ok": 3, "renamed": 1}
    assert found.timeline == [{"sent": 1}, {"sent": 2}]
    edges = [*rtt_edges(), float("inf")]
    assert sum(found.rtt) == 4
    assert found.rtt[0] == 1                            # 1 µs, below the first edge
    assert found.rtt[-1] == 1                           # beyond the last
    (middle,) = [i for i, count in enumerate(found.rtt) if count == 2]
    assert edges[middle] <= 100 < edges[middle + 1]


@pytest.mark.parametrize(("digits", "expected"), [
    ("4c54020b", ("libtorrent", "libtorrent 2.11")), ("55540100", ("µTorrent", "µTorrent 1.0")),
    ("51510000", ("QQ", "QQ 0.0")), ("00000000", ("unknown", "00000000")), (None, ("says nothing", "says nothing")),
])
def test_client_is_named_by_its_letters(digits: str | None, expected: tuple[str, str]) -> None:
    assert name_client(digits) == expected


def test_directory_that_holds_no_crawl_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PersistError, match=re.escape("crawl.json")):
        read_source(tmp_path)


def test_uniform_ids_raise_no_alarm_and_planted_ones_do() -> None:
    rng = random.Random(SEED)
    alarms = 0
    for _ in range(30):
        counts = [0] * 4096
        for _ in range(120_000):
            counts[rng.randrange(4096)] += 1
        alarms += bool(judge_density(counts).crowded)
    assert alarms <= 1, f"{alarms} of 30 honest networks; one in a thousand is expected"
    counts[77] += 50
    density = judge_density(counts)
    assert [place for place, _ in density.crowded] == [77]


def test_divergence_of_uniform_ids_is_what_chance_gives() -> None:
    rng = random.Random(SEED)
    counts = [0] * 256
    for _ in range(100_000):
        counts[rng.randrange(256)] += 1
    density = judge_density(counts)
    assert 0.7 < density.divergence / density.expected < 1.4
    assert judge_density([0] * 256).crowded == ()


def test_upper_limit_is_the_quantile_of_a_poisson_count() -> None:
    rng = random.Random(SEED)
    draws = [sum(rng.random() < 0.01 for _ in range(500)) for _ in range(4000)]        # mean 5
    share = sum(draw > upper_limit(5.0, 0.01) for draw in draws) / len(draws)
    assert share < 0.02
    assert sum(draw > upper_limit(5.0, 0.01) - 2 for draw in draws) / len(draws) > 0.01


def test_few_nodes_are_compared_in_wide_slices() -> None:
    counts = [0] * 4096
    counts[0] = counts[17] = 5
    assert widen(counts)[:3] == [5, 5, 0]
    assert len(widen([100] * 4096)) == 4096
