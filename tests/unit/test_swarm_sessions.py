"""Nodes of the virtual network that come and go: when, and what the truth says of it."""
from __future__ import annotations

import statistics
from itertools import pairwise
from pathlib import Path

import pytest

from fastdht.errors import ConfigError, PersistError
from fastdht.testing.sessions import ROW, Session, Sessions, path_of, read_sessions, write_sessions
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import CHURNS, KEY_SIZE, REACHABLE, RECORD, Truth
from tests.oracle import wire

PORT = 6881
ASKER = ("127.0.0.1", 40_000)
QUERY = wire.query(b"ping")


def churning(nodes: int = 2000, churn: float = 0.5, session_s: float = 60) -> tuple[Swarm, list[Session]]:
    swarm = Swarm(nodes, 3, PORT, churn=churn, session_s=session_s)
    sessions = swarm.sessions()
    assert sessions is not None
    return swarm, list(sessions.rows())


def test_node_when_asked_then_is_there_as_its_session_says() -> None:
    swarm, sessions = churning()
    rows = list(swarm.truth())
    unanswered = 0
    for session in sessions[:200]:
        row = rows[session.serial]
        for at_s in (0, 1, 7, 60, 61, 3600, 86_400 * 365):
            replies = swarm.handle(QUERY, ASKER, (row.ip, row.port), at_s * 1_000_000)
            assert bool(replies) == session.is_up(at_s * 1000)
            unanswered += not replies
    assert 0 < unanswered == swarm.counters()["to_away"]


def test_node_without_sessions_when_asked_then_is_always_there() -> None:
    swarm, sessions = churning()
    leaving = {session.serial for session in sessions}
    for serial, row in enumerate(swarm.truth()):
        if serial not in leaving:
            assert len(swarm.handle(QUERY, ASKER, (row.ip, row.port), serial * 977_000)) == 1


def test_sessions_when_drawn_then_have_the_share_and_the_median_asked_for() -> None:
    _, sessions = churning(20_000, 0.3)
    assert len(sessions) / 20_000 == pytest.approx(0.3, abs=0.015)
    for lengths in ([each.up_ms for each in sessions], [each.down_ms for each in sessions]):
        assert statistics.median(lengths) == pytest.approx(60_000, rel=0.15)
        assert sum(length > 45 * 60_000 for length in lengths) / len(lengths) == pytest.approx(0.03, abs=0.01)


def test_sessions_when_time_passes_then_as_many_are_there_as_before() -> None:
    _, sessions = churning(20_000, 1.0)
    shares = [sum(each.is_up(at_s * 1000) for each in sessions) / len(sessions) for at_s in (0, 100, 10_000)]
    assert shares == pytest.approx([0.5] * 3, abs=0.02)


def test_bootstrap_nodes_when_all_churn_then_stay() -> None:
    swarm, sessions = churning(100, 1.0)
    assert sorted(session.serial for session in sessions) == list(range(8, 100))
    assert len(swarm.bootstrap) == 8


def test_truth_when_nodes_churn_then_says_who_and_that_they_answer() -> None:
    swarm, sessions = churning(500)
    leaving = {session.serial for session in sessions}
    rows = list(swarm.truth())
    assert {serial for serial, row in enumerate(rows) if row.churns} == leaving
    assert [row.reachable for row in rows] == [serial not in leaving for serial in range(500)]
    assert all(row.answers for row in rows)


@pytest.mark.parametrize("first_ms", [0, 400, 999, 1000, 2500, 3000, 123_456])
def test_session_when_asked_for_a_span_then_agrees_with_looking_at_every_moment(first_ms: int) -> None:
    session = Session(9, 1000, 2000, 700)
    for length in (0, 1, 299, 300, 301, 1999, 2000, 2300, 2301, 3000, 5000):
        seen = [session.is_up(at) for at in range(first_ms, first_ms + length + 1)]
        assert session.is_up_throughout(first_ms, first_ms + length) == all(seen)
        assert session.is_up_ever(first_ms, first_ms + length) == any(seen)


def split(swarm: Swarm, first_us: int, last_us: int) -> tuple[set[int], set[int]]:
    """Serials that were there all the time of a span, and a part of it."""
    sessions = swarm.sessions()
    assert sessions is not None
    truth = Truth(swarm.nodes, swarm.seed, swarm.truth_records(0, swarm.contacts))
    serials = {truth.records[i * RECORD.size:i * RECORD.size + KEY_SIZE]: i for i in range(len(truth))}
    assert len(truth.keys(REACHABLE)) + len(truth.keys(CHURNS)) == swarm.nodes
    always, partly = Sessions(first_us, last_us, sessions.records).split(truth)
    return {serials[key] for key in always}, {serials[key] for key in partly}


def test_split_when_a_span_is_given_then_parts_the_nodes_by_it() -> None:
    swarm, sessions = churning(300)
    always, partly = split(swarm, 5_000_000, 65_000_000)
    steady = set(range(300)) - {session.serial for session in sessions}
    for session in sessions:
        moments = [session.is_up(at) for at in range(5000, 65_001, 100)]
        assert (session.serial in always) == all(moments)
        assert session.serial in partly or all(moments) or not any(moments)
    assert steady < always
    assert partly and not always & partly
    assert always | partly < set(range(300))


def test_split_when_the_network_still_runs_then_all_who_leave_are_part_time() -> None:
    swarm, sessions = churning(300)
    assert split(swarm, 0, 0)[1] == {session.serial for session in sessions}


def test_span_when_datagrams_came_then_is_from_the_first_to_the_last() -> None:
    swarm, _ = churning(50)
    row = next(swarm.truth())
    for at_us in (3_000_000, 4_000_000, 9_000_000):
        swarm.handle(QUERY, ASKER, (row.ip, row.port), at_us)
    sessions = swarm.sessions()
    assert sessions is not None
    assert (sessions.first_us, sessions.last_us) == (3_000_000, 9_000_000)


def test_span_when_nobody_asked_then_is_empty() -> None:
    with Swarm(50, 3, churn=0.5) as swarm:
        pass
    sessions = swarm.sessions()
    assert sessions is not None
    assert (sessions.first_us, sessions.last_us) == (0, 0)


def test_file_when_written_and_read_then_is_the_same_and_as_documented(tmp_path: Path) -> None:
    swarm, rows = churning(300)
    sessions = swarm.sessions()
    assert sessions is not None
    write_sessions(tmp_path / "truth", Sessions(5, 9, sessions.records))
    data = (tmp_path / "truth.sessions").read_bytes()
    assert data[:8] == b"FDHTSES1"
    assert [int.from_bytes(data[at:at + size], "little") for at, size in ((8, 4), (16, 8), (24, 8), (32, 8))] == [
        16, len(rows), 5, 9]
    assert len(data) == 40 + 16 * len(rows)
    again = read_sessions(tmp_path / "truth")
    assert again == Sessions(5, 9, sessions.records)
    assert list(again.rows()) == rows
    assert [path.name for path in tmp_path.iterdir()] == ["truth.sessions"]


def test_file_when_nobody_leaves_then_there_is_none(tmp_path: Path) -> None:
    assert Swarm(10, 1, PORT).sessions() is None
    assert read_sessions(tmp_path / "truth") is None


@pytest.mark.parametrize("data", [b"", b"FDHTSES1", b"NOTSESSI" + bytes(32), b"FDHTSES1" + bytes(8) + b"\1" + bytes(23)])
def test_file_when_it_is_something_else_then_is_refused(tmp_path: Path, data: bytes) -> None:
    path_of(tmp_path / "truth").write_bytes(data)
    with pytest.raises(PersistError, match="sessions"):
        read_sessions(tmp_path / "truth")


def test_swarm_when_seed_is_the_same_then_sessions_are() -> None:
    first, again, other = (Swarm(200, seed, PORT, churn=0.5).sessions() for seed in (1, 1, 2))
    assert first == again != other
    assert first is not None
    assert all(one < two for one, two in pairwise(row[0] for row in ROW.iter_unpack(first.records)))


@pytest.mark.parametrize("wrong", [{"churn": 1.5}, {"churn": -0.1}, {"session_s": 0.5}, {"node_limit": -1}])
def test_habits_outside_their_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Swarm(100, 1, **wrong)      # type: ignore[arg-type]
