"""The interval ledger against its slow twin, over growth, in memory and on disk."""
from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fastdht._ext.ledger import ENTRY_SIZE, HEADER_SIZE, Ledger
from fastdht.crawl.ledger import LedgerFile
from tests.oracle.ledger import SlowLedger

SECOND = 1_000_000
START = 1_700_000_000           # what the wall clock says when the other one starts


def empty(entries: int) -> bytearray:
    return bytearray(HEADER_SIZE + entries * ENTRY_SIZE)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_ledger_agrees_with_its_twin(seed: int) -> None:
    rng = random.Random(seed)
    fast, slow = Ledger(empty(16), bytes(16), START * SECOND), SlowLedger()
    places = [rng.randbytes(rng.choice([6, 18])) for _ in range(60)]
    now = 0.0
    for _ in range(400):
        now += rng.choice([0, 0.3, 1, 50, 3000])
        place, second = rng.choice(places), START + int(now)
        if len(fast) * 2 >= fast.capacity:
            fast.move(empty(2 * fast.capacity), int(now * SECOND))
        if rng.random() < 0.7:
            assert fast.ask(place, int(now * SECOND)) == slow.ask(place, second)
        else:
            interval = rng.choice([-5, 0, 60, 21_600, 1 << 40])
            fast.answered(place, interval, int(now * SECOND))
            slow.answered(place, interval, second)
        assert fast.count_live(int(now * SECOND)) == sum(each > second for each in slow.not_before.values())


def test_file_remembers_between_runs_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger"
    places = [random.Random(7).randbytes(6) for _ in range(1)] + [i.to_bytes(6, "big") for i in range(40_000)]
    for run in range(3):
        now = run * SECOND
        with LedgerFile(path, START * SECOND) as book:
            taken = 0
            for i, place in enumerate(places):
                taken += book.ledger.ask(place, now)
                if i % 5000 == 0:
                    book.tend(now, START * SECOND)
            assert taken == (len(places) if run == 0 else 0)
            assert book.ledger.capacity > 2 * len(places)
    with LedgerFile(path, (START + 22_000) * SECOND) as book:
        assert book.ledger.ask(places[0], 0)


def test_wall_clock_that_goes_on_while_the_machine_sleeps_counts() -> None:
    ledger, place = Ledger(empty(16), bytes(16), START * SECOND), b"\x01\x02\x03\x04\x05\x06"
    assert ledger.ask(place, 0)
    ledger.set_wall_offset((START + 22_000) * SECOND)
    assert ledger.ask(place, 1)
    ledger.set_wall_offset(START * SECOND)      # set back: what was known to have passed stays so
    assert not ledger.ask(place, 2)
