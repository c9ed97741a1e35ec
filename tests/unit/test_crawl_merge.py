"""Merged crawls: every node once, in each form; plans, zones, ids and costs."""
from __future__ import annotations

import json
import pickle
import sqlite3
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastdht.crawl import CrawlConfig, Zone
from fastdht.crawl.cost import estimate
from fastdht.crawl.layout import commit_entry, node_parts, read_note
from fastdht.crawl.merge import merge, read_rows
from fastdht.crawl.plan import Plan, from_note, new_id
from fastdht.crawl.records import NODE_COLUMNS, CrawlResult
from fastdht.crawl.runner import begin, finish, reopen
from fastdht.crawl.sinks import DirectorySink, write_json
from fastdht.errors import ConfigError
from tests.property.test_seen_laws import make_block

CONFIG = CrawlConfig(bootstrap=("127.0.0.1:9",), seed=5)
DONE = CrawlResult(found=30, contacts=60, sent=70, answered=35, timeouts=35, complete=True)


def write_crawl(folder: Path, blocks: list[bytes], format_: str) -> str:
    """A finished crawl of one zone; returns its id."""
    plan = Plan(CONFIG, format_)
    note = begin(folder, plan, {})
    sink = DirectorySink(folder, format_, zone=Zone().folder, attempt="aa", part_us=0)
    for block in blocks:
        sink.write(block, 0)
    sink.close()
    commit_entry(folder, Zone(), {"attempt": "aa", "parts": sink.parts, "complete": True, "result": DONE.as_dict(),
                                  "config_hash": plan.config_hash})
    finish(folder, note, DONE)
    return str(note["id"])


def rows_of(blocks: list[bytes], tmp_path: Path) -> dict[tuple[str, int, str], dict[str, Any]]:
    sink = DirectorySink(tmp_path / "plain", "jsonl")
    for block in blocks:
        sink.write(block, 0)
    sink.close()
    return {(row["ip"], row["port"], row["id"]): row for rows in read_rows(node_parts(tmp_path / "plain"))
            for row in rows}


def read_database(path: Path) -> list[tuple[Any, ...]]:
    if path.suffix == ".duckdb":
        duckdb = pytest.importorskip("duckdb")
        with duckdb.connect(str(path)) as database:
            rows: list[tuple[Any, ...]] = database.execute("SELECT * FROM nodes").fetchall()
            return rows
    database = sqlite3.connect(path)
    rows = database.execute("SELECT * FROM nodes").fetchall()
    assert database.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall() == [("1",)]
    assert database.execute("SELECT count(*) FROM crawls").fetchone() == (2,)
    database.close()
    return rows


@pytest.mark.parametrize("name", ["all.sqlite", "all.duckdb"])
def test_database_holds_each_node_of_all_crawls_once(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pyarrow")
    if name.endswith("duckdb"):
        pytest.importorskip("duckdb")
    blocks = [make_block(i, 20)[0] for i in range(3)]
    first = write_crawl(tmp_path / "a", blocks[:2], "parquet")
    second = write_crawl(tmp_path / "b", blocks[1:], "jsonl")
    wanted = rows_of(blocks, tmp_path)
    old = rows_of(blocks[:2], tmp_path / "old")
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / name) == len(wanted)
    found = read_database(tmp_path / name)
    assert len(found) == len(wanted)
    for row in found:
        *values, crawl = row
        key = (row[0], row[1], row[2])
        assert values == [wanted[key][column.name] for column in NODE_COLUMNS]
        assert crawl == (first if key in old else second)


def test_merged_directory_is_a_crawl_that_can_be_read(tmp_path: Path) -> None:
    blocks = [make_block(i, 20)[0] for i in range(3)]
    write_crawl(tmp_path / "a", blocks[:2], "jsonl")
    write_crawl(tmp_path / "b", blocks[1:], "jsonl")
    count = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    wanted = rows_of(blocks, tmp_path)
    rows = [row for rows in read_rows(node_parts(tmp_path / "all")) for row in rows]
    assert count == len(rows) == len(wanted)
    assert {(row["ip"], row["port"], row["id"]): row for row in rows} == wanted
    assert read_note(tmp_path / "all")["state"] == "complete"
    with pytest.raises(ConfigError, match="nothing to resume from"):
        reopen(tmp_path / "all")


@pytest.mark.parametrize(("mode", "words"), [("monitor", "monitor --resume"), ("harvest", "harvest, which keeps nothing")])
def test_resume_of_another_mode_says_what_to_do(tmp_path: Path, mode: str, words: str) -> None:
    begin(tmp_path, Plan(CONFIG, "jsonl"), {"mode": mode})
    with pytest.raises(ConfigError, match=words):
        reopen(tmp_path)


def test_merge_into_a_file_that_exists_is_refused(tmp_path: Path) -> None:
    write_crawl(tmp_path / "a", [make_block(1, 5)[0]], "jsonl")
    (tmp_path / "all.sqlite").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        merge([tmp_path / "a"], tmp_path / "all.sqlite")
    assert (tmp_path / "all.sqlite").read_text() == "mine"


def test_plan_comes_back_from_its_note_and_through_pickle(tmp_path: Path) -> None:
    plan = Plan(replace(CONFIG, zone=Zone(bytes([0xA4]) + bytes(19), 6)), "jsonl", 4, ((4, 1, 9), (6, 1 << 64, 1 << 65)))
    begin(tmp_path, plan, {"contact": "https://example.org"})
    assert reopen(tmp_path)[0] == plan == pickle.loads(pickle.dumps(plan))
    assert plan.going_on(9.0, time_s=1.0).config_hash == plan.config_hash
    assert replace(plan, exclude=()).config_hash != plan.config_hash


def test_note_that_was_changed_is_refused(tmp_path: Path) -> None:
    note = begin(tmp_path, Plan(CONFIG, "jsonl"), {})
    with pytest.raises(ConfigError, match="not what this crawl began with"):
        from_note({**note, "config": {**note["config"], "seed": 6}}, ())
    with pytest.raises(ConfigError, match="does not say how to go on"):
        from_note({**note, "config": {}}, ())
    write_json(tmp_path / "crawl.json", {**note, "layout": 9})
    with pytest.raises(ConfigError, match="layout 9"):
        reopen(tmp_path)


def test_zones_cover_their_whole_without_overlap() -> None:
    zones = Zone(bytes([0xA4]) + bytes(19), 6).split(8)
    assert [str(zone) for zone in zones] == ["a40/9", "a48/9", "a50/9", "a58/9", "a60/9", "a68/9", "a70/9", "a78/9"]
    assert (zones[0].folder, Zone().folder, Zone(bytes([0xAB]) + bytes(19), 8).folder) == (
        "zone=a40-9", "zone=all", "zone=ab")
    assert Zone.parse(str(zones[3])) == zones[3]
    for count in (0, 3, -2):
        with pytest.raises(ConfigError, match="a power of two needed"):
            Zone().split(count)


def test_workers_share_the_rates() -> None:
    share = Plan(replace(CONFIG, rate=3000.0, per_ip_rate=3.0), "jsonl").share(3).config
    assert (share.rate, share.per_ip_rate, share.per_ip_burst) == (1000.0, 1.0, 1)


def test_id_is_a_uuid_of_version_7() -> None:
    ids = [uuid.UUID(new_id()) for _ in range(100)]
    assert {(each.version, each.variant) for each in ids} == {(7, uuid.RFC_4122)}
    assert len(set(ids)) == 100


def test_cost_is_the_arithmetic_of_the_documentation() -> None:
    config = replace(CONFIG, rate=2000.0)
    cost = estimate(config, 1_000_000, "parquet")
    assert (cost.nodes, cost.packets) == (1_000_000, 3_470_000)
    assert cost.minutes == pytest.approx(3_470_000 / 2000 / 60)
    assert cost.mbit_out == pytest.approx(2.24)
    assert cost.nat_entries == 2_020_000
    limited = estimate(replace(config, time_s=60.0), 1_000_000, "parquet")
    assert (limited.packets, limited.limit) == (120_000, "time")
    assert estimate(replace(config, zone=Zone(bytes(20), 4)), 1_000_000, "jsonl").packets == round(3_470_000 / 16)
    assert json.dumps(estimate(replace(config, rate=0.0, passes=2), 1000, "jsonl").packets) == "5930"
