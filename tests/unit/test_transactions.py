"""Transactions: bounds, deadlines, late and duplicate answers, and tids that cannot be guessed."""
from __future__ import annotations

import random
from collections import Counter

import pytest

from fastdht._ext.transactions import TransactionTable

HERE = bytes([192, 0, 2, 7]) + (6881).to_bytes(2, "big")
STALL, TIMEOUT = 1_000_000, 10_000_000


def make_table(capacity: int = 4, seed: int = 1) -> TransactionTable:
    return TransactionTable(capacity, random.Random(seed).randbytes(16), STALL, TIMEOUT)


def open_one(table: TransactionTable, now_us: int = 0) -> int:
    slot = table.open_packed(HERE, now_us)
    assert slot is not None
    return slot


def test_open_when_every_slot_is_taken_is_refused_and_counted() -> None:
    table = make_table(capacity=3)
    assert len({open_one(table) for _ in range(3)}) == 3
    assert table.open_packed(HERE, 0) is None
    assert (table.count, table.refused) == (3, 1)
    table.check_invariants()


def test_match_from_another_port_is_refused_and_counted() -> None:
    table = make_table()
    slot = open_one(table)
    assert table.match_packed(table.tid(slot), HERE[:4] + b"\x00\x01") is None
    assert (table.mismatched, table.unknown) == (1, 0)
    assert table.match_packed(table.tid(slot), HERE) == slot


@pytest.mark.parametrize("tid", [b"", b"ab", b"abc", b"abcde"])
def test_match_with_a_tid_of_another_size_is_unknown(tid: bytes) -> None:
    table = make_table()
    open_one(table)
    assert table.match_packed(tid, HERE) is None
    assert table.unknown == 1


def test_match_after_close_is_unknown_even_when_the_slot_is_reused() -> None:
    table = make_table(capacity=1)
    slot = open_one(table)
    tid = table.tid(slot)
    table.close_slot(slot)
    assert open_one(table) == slot
    assert table.match_packed(tid, HERE) is None


def test_slot_when_late_stalls_once_then_times_out() -> None:
    table = make_table()
    slot = open_one(table, now_us=5)
    assert table.deadline() == 5 + STALL
    assert table.pop_stalled(4 + STALL) is None
    assert table.pop_stalled(5 + STALL) == slot
    assert table.pop_stalled(5 + STALL) is None
    assert (table.open_count, table.count, table.deadline()) == (0, 1, 5 + TIMEOUT)
    assert table.match_packed(table.tid(slot), HERE) == slot
    assert table.first_timed_out(4 + TIMEOUT) is None
    assert table.first_timed_out(5 + TIMEOUT) == slot
    table.close_slot(slot)
    assert table.first_timed_out(5 + TIMEOUT) is None
    assert table.deadline() == -1


def test_stall_time_when_shortened_applies_to_open_slots() -> None:
    table = make_table()
    slot = open_one(table)
    table.stall_us = 10
    assert table.pop_stalled(10) == slot


def test_timeout_when_shorter_than_the_stall_ends_open_slots() -> None:
    table = make_table()
    slot = open_one(table)
    table.timeout_us = 10
    assert table.deadline() == 10
    assert table.first_timed_out(10) == slot


def test_close_of_a_free_slot_from_python_raises() -> None:
    table = make_table()
    slot = open_one(table)
    table.close_slot(slot)
    for bad in (slot, -1, 4, 1 << 40):
        with pytest.raises(ValueError, match="is not outstanding"):
            table.close_slot(bad)


@pytest.mark.parametrize("arguments", [(0, bytes(16), 1, 1), (131_073, bytes(16), 1, 1), (1, bytes(15), 1, 1),
                                       (1, bytes(16), 0, 1), (1, bytes(16), 1, -1)])
def test_table_given_values_outside_their_limits_raises(arguments: tuple[int, bytes, int, int]) -> None:
    with pytest.raises(ValueError):
        TransactionTable(*arguments)


def test_tids_of_a_full_table_are_distinct_and_all_match() -> None:
    table = make_table(capacity=131_072)
    slots = [open_one(table) for _ in range(131_072)]
    tids = {table.tid(slot): slot for slot in slots}
    assert len(tids) == len(slots)
    assert all(table.match_packed(tid, HERE) == slot for tid, slot in tids.items())


def test_tids_in_sequence_have_evenly_spread_bytes() -> None:
    # Chi-square over 256 cells, 255 degrees of freedom: 330.5 is exceeded by chance once in a thousand.
    table = make_table(capacity=2048, seed=5)
    tids = []
    for _ in range(100_000):
        slot = open_one(table)
        tids.append(table.tid(slot))
        table.close_slot(slot)
    for position in range(4):
        counts = Counter(tid[position] for tid in tids)
        expected = len(tids) / 256
        assert sum((counts[b] - expected) ** 2 / expected for b in range(256)) < 330.5
    steps = Counter((int.from_bytes(b, "big") - int.from_bytes(a, "big")) % 2**32 for a, b in zip(tids, tids[1:]))
    assert max(steps.values()) <= 4, "the step from one tid to the next repeats itself"


def test_guesses_a_million_of_them_against_one_open_query_rarely_hit() -> None:
    table, rng = make_table(capacity=2048), random.Random(6)
    tid = table.tid(open_one(table))
    guesses = rng.randbytes(4_000_000)
    hits = sum(table.match_packed(guesses[i : i + 4], HERE) is not None for i in range(0, 4_000_000, 4))
    assert hits == sum(guesses[i : i + 4] == tid for i in range(0, 4_000_000, 4))
