"""Laws of a whole core over hostile input, without sanitizers: nothing raises, every datagram is accounted for."""
from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fastdht._ext.core import Core
from fastdht.config import CoreConfig

ROOT = Path(__file__).resolve().parents[2]
CORPUS = [path.read_bytes() for path in sorted((ROOT / "fuzz" / "corpus").glob("*.bin"))]
SECOND_US = 1_000_000
SOURCE = bytes((80, 1, 2, 3, 26, 225))


@st.composite
def damaged(draw):
    """A message of the corpus with a slice replaced."""
    data = draw(st.sampled_from(CORPUS))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 24)))
    return data[:start] + draw(st.binary(max_size=24)) + data[end:]


def test_corpus_when_collected_then_covers_each_kind():
    assert len(CORPUS) > 50
    assert {data[-3:-1] for data in CORPUS} >= {b":q", b":r", b":e"}


@given(st.lists(st.one_of(damaged(), st.binary(max_size=200), st.sampled_from(CORPUS)), max_size=20),
       st.integers(1, 30 * SECOND_US))
def test_core_when_fed_anything_then_never_raises_and_accounts_for_all(datagrams, pause_us):
    core = Core(CoreConfig(outbox=4, lookups=2, transactions=64), bytes(range(20)), bytes(96), 1)
    now_us = 1_000 * SECOND_US
    for i, data in enumerate(datagrams):
        core.receive(data, SOURCE[:3] + bytes((i,)) + SOURCE[4:], now_us)
        now_us += pause_us
        core.advance(now_us)
        if i % 3 == 0:
            core.drain()
    core.check_invariants()
    assert core.counters()["received"] == len(datagrams)
