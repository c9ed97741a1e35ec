"""Verification against a truth made by hand, and zones."""
from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from fastdht._ext.ids import secure_id
from fastdht.crawl.sinks import DirectorySink
from fastdht.crawl.verify import verify
from fastdht.crawl.zones import Zone
from fastdht.errors import ConfigError, PersistError

ROW = struct.Struct("=16s20sI4sHBB")
MAPPED = bytes(10) + b"\xff\xff"


def key(i: int, first: int = 0) -> bytes:
    return bytes([127, 0, 0, i]) + (6881).to_bytes(2, "big") + bytes([first]) + bytes([i] * 19)


def write_crawl(folder: Path, keys: list[bytes], format_: str = "jsonl", zone: str | None = None) -> None:
    sink = DirectorySink(folder, format_)
    for each in keys:
        sink.write(ROW.pack(MAPPED + each[:4], each[6:], 1000, b"LT\0\1", int.from_bytes(each[4:6], "big"), 0, 1), 0)
    sink.close()
    (folder / "summary.json").write_text(json.dumps({"sent": 40, "complete": True, "zone": zone}))


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_verdict_counts_the_missed_the_false_and_the_doubled(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    write_crawl(tmp_path, [key(1), key(2), key(3), key(9), key(3)], format_)
    reachable = {key(i) for i in range(1, 7)}
    verdict = verify(tmp_path, reachable, reachable | {key(7)})
    assert (verdict.recall, verdict.precision) == (0.5, 0.75)
    assert (verdict.found, verdict.missed, verdict.false_rows, verdict.doubled_rows) == (4, 3, 1, 1)
    assert verdict.msgs_per_found == 10
    assert verdict.complete


def test_verdict_of_a_zone_asks_only_for_the_zone(tmp_path: Path) -> None:
    write_crawl(tmp_path, [key(1, 0xA0)], zone="a/4")
    reachable = {key(1, 0xA0), key(2, 0xAF), key(3, 0xB0)}
    assert verify(tmp_path, reachable, reachable).recall == 0.5


def test_verdict_tells_those_who_came_or_went_apart(tmp_path: Path) -> None:
    write_crawl(tmp_path, [key(1), key(2), key(3)])
    stayed, part_time = {key(1), key(4)}, {key(2), key(3), key(5)}
    verdict = verify(tmp_path, stayed, stayed | part_time, part_time)
    assert (verdict.recall, verdict.precision, verdict.reachable) == (0.5, 1.0, 2)
    assert (verdict.part_time, verdict.part_time_found) == (3, 2)


def test_verdict_of_a_zone_limits_who_came_or_went(tmp_path: Path) -> None:
    write_crawl(tmp_path, [key(1, 0xA0)], zone="a/4")
    verdict = verify(tmp_path, set(), {key(1, 0xA0)}, {key(1, 0xA0), key(2, 0xB0)})
    assert (verdict.part_time, verdict.part_time_found) == (1, 1)


def test_verdict_tells_the_share_of_secure_ids(tmp_path: Path) -> None:
    endpoint = bytes([1, 2, 3, 4]) + (6881).to_bytes(2, "big")
    keys = [endpoint + secure_id(endpoint, 1), key(1), key(2), key(3)]
    write_crawl(tmp_path, keys)
    assert verify(tmp_path, set(keys), set(keys)).bep42_share == 0.25


def test_directory_without_a_summary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PersistError, match="holds no finished crawl"):
        verify(tmp_path, set(), set())


def test_part_that_is_no_table_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    write_crawl(tmp_path, [])
    (tmp_path / "parts" / "nodes" / "part-0.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(PersistError, match="cannot be read"):
        verify(tmp_path, set(), set())


def test_zone_holds_the_ids_of_its_prefix_and_halves_share_them() -> None:
    zone = Zone(bytes([0xA4]) + bytes(19), 6)
    assert bytes([0xA7]) + bytes(19) in zone
    assert bytes([0xA8]) + bytes(19) not in zone
    low, high = zone.halves()
    assert (str(low), str(high), str(zone)) == ("a4/7", "a6/7", "a4/6")


def test_zone_with_bits_beyond_its_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="beyond its 4"):
        Zone(bytes([0xA4]) + bytes(19), 4)
