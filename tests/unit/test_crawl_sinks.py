"""Sinks: parts are whole or absent, formats agree, and a disk that refuses is said in one line."""
from __future__ import annotations

import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest

from fastdht._ext import rows
from fastdht.crawl import sinks
from fastdht.crawl.records import NODE_COLUMNS
from fastdht.crawl.sinks import DirectorySink, StreamSink, prepare_directory, write_json
from fastdht.errors import ConfigError, PersistError
from tests.property.test_seen_laws import make_block

NAMES = [column.name for column in NODE_COLUMNS]


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("parts/nodes/*.jsonl"))
            for line in path.read_text().splitlines()]


def test_json_parts_turn_over_when_full(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path, "jsonl", part_rows=20)
    blocks = [make_block(i, 15)[0] for i in range(4)]
    for block in blocks:
        sink.write(block, 0)
    sink.close()
    assert sorted(path.name for path in tmp_path.glob("parts/nodes/*")) == ["part-0.jsonl", "part-1.jsonl"]
    found = read_lines(tmp_path)
    assert [list(row) for row in found] == [NAMES] * 60
    assert found == [json.loads(line) for line in rows.json_lines(b"".join(blocks)).splitlines()]


def test_part_turns_over_when_old(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path, "jsonl", part_us=1000)
    sink.write(make_block(1, 3)[0], 0)
    sink.write(b"", 2000)
    assert [path.name for path in tmp_path.glob("parts/nodes/*")] == ["part-0.jsonl"]
    sink.close()


def test_parquet_holds_the_same_as_json(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    blocks = [make_block(i, 100)[0] for i in range(3)]
    sink = DirectorySink(tmp_path, "parquet")
    for block in blocks:
        sink.write(block, 0)
    sink.close()
    table = parquet.read_table(tmp_path / "parts" / "nodes" / "part-0.parquet")
    assert table.schema.names == NAMES
    assert [str(field.type) for field in table.schema] == [column.kind for column in NODE_COLUMNS]
    assert table.to_pylist() == [json.loads(line) for line in rows.json_lines(b"".join(blocks)).splitlines()]


def test_disk_that_fills_up_leaves_the_whole_parts_and_no_torn_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = DirectorySink(tmp_path, "jsonl", part_rows=1)
    sink.write(make_block(1, 5)[0], 0)
    sink.write(make_block(2, 5)[0], 0)

    def refuse(self: object, block: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sinks.JsonPart, "write", refuse)
    with pytest.raises(PersistError, match="part-2.jsonl: No space left on device"):
        sink.write(make_block(3, 5)[0], 0)
    sink.close()
    assert sorted(path.name for path in tmp_path.glob("parts/nodes/*")) == ["part-0.jsonl", "part-1.jsonl"]
    assert len(read_lines(tmp_path)) == 10


def test_stream_gets_lines() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream)
    sink.write(make_block(1, 4)[0], 0)
    sink.close()
    assert len(stream.getvalue().splitlines()) == 4


def test_directory_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        prepare_directory(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_directory_below_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PersistError, match="cannot write .*file/out: Not a directory"):
        prepare_directory(tmp_path / "file" / "out")


def test_json_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "note.json").mkdir()
    with pytest.raises(PersistError, match="cannot write"):
        write_json(tmp_path / "note.json", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["note.json"]
