"""The tables of a monitor: what is written is read again, and a second run goes on where the first ended."""
from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fastdht.crawl.monitor.book import READ_COLUMNS, Book, visit_row
from fastdht.crawl.monitor.settings import Member
from fastdht.crawl.monitor.store import FolderStore, StreamStore, cohort_rows, describe, read_cohort, read_rows
from fastdht.crawl.monitor.visitor import Visit
from fastdht.errors import PersistError

MINUTE = 60_000_000
START = 1_700_000_000_123_457
MEMBERS = [Member(bytes([number]) * 20, bytes([192, 0, 2, number, 26, 225])) for number in range(3)]
SIX = Member(b"6" * 20, bytes.fromhex("20010db8000000000000000000000001") + b"\x1a\xe1")


def some_visits() -> list[tuple[int, Visit, str]]:
    outcomes = ["alive", "alive", "renamed", "renamed", "alive", "silent", "refused", "error", "alive", "alive"]
    visits = []
    for number, outcome in enumerate(outcomes):
        for node in range(3):
            seen = b"other id of a node.." if outcome == "renamed" else None
            name = "alive" if node else outcome
            reason = "no answers" if number == 8 else ""
            visits.append((number, Visit(node, START + number * MINUTE + node, name, seen if not node else None,
                                         1234, 1), reason))
    return visits


def rows_of(visits: list[tuple[int, Visit, str]]) -> list[dict[str, Any]]:
    return [visit_row(number, visit, describe(MEMBERS[visit.node]), reason) for number, visit, reason in visits]


def book_of(visits: list[tuple[int, Visit, str]]) -> Book:
    book = Book(MEMBERS, MINUTE)
    for number, visit, reason in visits:
        book.add(number, visit, reason)
    return book


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_book_read_from_disk_is_the_book_that_was_kept(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    rows = rows_of(some_visits())
    for part in (rows[:13], rows[13:]):         # the second by a store of its own, as after a crash
        store = FolderStore(tmp_path, format_)
        store.add("visits", part)
        store.roll()
    assert len(list((tmp_path / "parts" / "visits").iterdir())) == 2
    assert list(read_rows(tmp_path, "visits", [*rows[0]])) == rows
    read, kept = Book(MEMBERS, MINUTE), book_of(some_visits())
    read.replay(read_rows(tmp_path, "visits", READ_COLUMNS))
    read.finish()
    kept.finish()
    assert read.summary() == kept.summary()
    assert list(read.session_rows()) == list(kept.session_rows())
    assert list(read.round_rows(12, START, MINUTE)) == list(kept.round_rows(12, START, MINUTE))


def test_book_counts_what_was_met() -> None:
    book = book_of(some_visits())
    book.finish()
    found = book.summary()
    assert (found["visits"], found["unobserved_visits"], found["rounds_observed"]) == (30, 3, 9)
    assert (found["renamed_nodes"], found["id_changes"]) == (1, 2)      # to the other id, and back
    rows = list(book.round_rows(11, START, MINUTE))
    assert [row["alive"] for row in rows] == [3, 3, 2, 2, 3, 2, 2, 2, 0, 3, 0]
    assert [row["unobserved"] for row in rows] == [0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 3]
    assert (rows[8]["reason"], rows[10]["reason"], rows[0]["reason"]) == ("no answers", "no visits", None)


def test_error_neither_proves_life_nor_ends_it() -> None:
    book = Book(MEMBERS[:1], MINUTE)
    for number, outcome in enumerate(["alive", "error", "alive", "error", "silent", "alive"]):
        book.add(number, Visit(0, START + number * MINUTE, outcome, None, 0, 1))
    book.finish()
    assert len(book.tracker.sessions) == 1
    assert book.tracker.sessions[0].visits == 3


def test_cohort_of_both_families_is_read_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, "jsonl")
    store.add("cohort", cohort_rows([*MEMBERS, SIX]))
    store.roll()
    assert read_cohort(tmp_path) == [*MEMBERS, SIX]


def test_rows_that_are_none_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "parts" / "cohort"
    folder.mkdir(parents=True)
    (folder / "part-0.jsonl").write_text('{"ip": "nowhere", "port": 1, "id": "00"}\n')
    with pytest.raises(PersistError, match="no node"):
        read_cohort(tmp_path)
    (folder / "part-0.jsonl").write_text('{"ip": "192.0.2.1"')
    with pytest.raises(PersistError, match=r"part-0\.jsonl"):
        read_cohort(tmp_path)


def test_visit_of_a_stranger_is_named() -> None:
    row = visit_row(0, some_visits()[0][1], describe(SIX), "")
    with pytest.raises(PersistError, match="no node of the cohort"):
        Book(MEMBERS, MINUTE).replay([row])


def test_part_that_was_never_completed_is_not_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, "jsonl")
    store.add("cohort", cohort_rows(MEMBERS))
    store.roll()
    (tmp_path / "parts" / "cohort" / "part-1.jsonl.tmp").write_text("{torn")
    assert read_cohort(tmp_path) == MEMBERS


def test_derived_tables_are_written_anew(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, "jsonl")
    book = book_of(some_visits())
    book.finish()
    for _ in range(2):
        store = FolderStore(tmp_path, "jsonl")
        store.forget(("sessions",))
        store.add("sessions", list(book.session_rows()))
        store.roll()
    assert len(list(read_rows(tmp_path, "sessions", ["ip"]))) == len(book.tracker.sessions)


def test_stream_has_a_line_for_each_visit() -> None:
    stream = io.BytesIO()
    store = StreamStore(stream)
    rows = rows_of(some_visits())
    store.add("visits", rows)
    store.add("sessions", [{"ip": "not a visit"}])
    store.roll()
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == rows
