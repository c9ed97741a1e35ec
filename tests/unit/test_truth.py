"""The truth as a file: both forms say the same, and a broken file is refused."""
from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from fastdht.errors import PersistError
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import (
    ANSWERS,
    BEP42,
    CHURNS,
    LISTED,
    REACHABLE,
    Truth,
    read_counters,
    read_truth,
    write_counters,
    write_truth,
)

PORT = 6881


@pytest.fixture
def swarm() -> Swarm:
    return Swarm(300, 9, PORT, profile="hard", adversaries={"ring": 7, "reflector": 3, "same-id": 5}, churn=0.2)


def written(swarm: Swarm, path: Path) -> Truth:
    write_truth(path, swarm.seed, swarm.nodes, swarm.contacts, swarm.truth_records)
    return read_truth(path)


@pytest.mark.parametrize("name", ["truth", "truth.parquet"])
def test_truth_when_written_and_read_then_is_the_same(swarm: Swarm, tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    truth = written(swarm, tmp_path / name)
    assert (truth.nodes, truth.seed, len(truth)) == (300, 9, 615)
    assert list(truth.rows()) == list(swarm.truth())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_truth_when_written_packed_then_has_the_documented_layout(swarm: Swarm, tmp_path: Path) -> None:
    written(swarm, tmp_path / "truth")
    data = (tmp_path / "truth").read_bytes()
    assert data[:8] == b"FDHTTRU1"
    assert int.from_bytes(data[8:12], "little") == 28
    assert int.from_bytes(data[12:16], "little") == 300
    assert int.from_bytes(data[16:24], "little") == 615
    assert int.from_bytes(data[24:32], "little") == 9
    first, row = data[32:60], next(swarm.truth())
    assert ".".join(map(str, first[:4])) == row.ip
    assert int.from_bytes(first[4:6], "big") == row.port
    assert first[6:26] == row.id
    assert first[26] & 1 == row.reachable
    assert first[27] == 0
    assert len(data) == 32 + 615 * 28


def test_keys_when_flag_given_then_are_those_rows(swarm: Swarm, tmp_path: Path) -> None:
    truth = written(swarm, tmp_path / "truth")
    rows = list(swarm.truth())
    for flag, name in ((REACHABLE, "reachable"), (ANSWERS, "answers"), (BEP42, "bep42"), (LISTED, "listed"), (CHURNS, "churns")):
        expected = {bytes(map(int, row.ip.split("."))) + row.port.to_bytes(2, "big") + row.id
                    for row in rows if getattr(row, name)}
        assert truth.keys(flag) == expected


def test_parquet_when_read_by_pyarrow_then_has_named_columns(swarm: Swarm, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    written(swarm, tmp_path / "truth.parquet")
    table = parquet.read_table(tmp_path / "truth.parquet")
    assert table.column_names == ["ip", "port", "id", "reachable", "answers", "bep42", "listed", "churns",
                                  "kind"]
    assert table.slice(0, 1).to_pylist() == [next(swarm.truth())._asdict()]


@pytest.mark.parametrize("data", [b"", b"short", b"FDHTTRU1", b"NOTTRUTH" + bytes(24), b"PAR1" + bytes(60)])
def test_truth_when_file_is_something_else_then_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "truth"
    path.write_bytes(data)
    with pytest.raises(PersistError, match="truth"):
        read_truth(path)


@pytest.mark.parametrize("change", [-1, 1, -28])
def test_truth_when_cut_or_grown_then_is_refused(swarm: Swarm, tmp_path: Path, change: int) -> None:
    written(swarm, tmp_path / "truth")
    data = (tmp_path / "truth").read_bytes()
    (tmp_path / "truth").write_bytes(data[:change] if change < 0 else data + b"x")
    with pytest.raises(PersistError, match="615 rows of 28 bytes expected"):
        read_truth(tmp_path / "truth")


def test_truth_when_folder_is_missing_then_writes_nothing(swarm: Swarm, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        written(swarm, tmp_path / "missing" / "truth")
    assert list(tmp_path.iterdir()) == []


def test_truth_when_writing_fails_then_leaves_no_file(swarm: Swarm, tmp_path: Path) -> None:
    def fail(_start: int, _count: int) -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_truth(tmp_path / "truth", 1, 1, 1, fail)
    assert list(tmp_path.iterdir()) == []


def test_counters_when_written_and_read_then_are_the_same(tmp_path: Path) -> None:
    write_counters(tmp_path / "counters", 3, 6, memoryview(array("I", [1, 0, 5])))
    counters = read_counters(tmp_path / "counters")
    assert (counters.kernel_drops, counters.received, counters.asked) == (3, 6, array("I", [1, 0, 5]))


def test_counters_when_cut_then_are_refused(tmp_path: Path) -> None:
    write_counters(tmp_path / "counters", 3, 6, memoryview(array("I", [1, 0, 5])))
    data = (tmp_path / "counters").read_bytes()
    for broken in (data[:-1], data[:10], b"x" + data[1:]):
        (tmp_path / "counters").write_bytes(broken)
        with pytest.raises(PersistError):
            read_counters(tmp_path / "counters")
