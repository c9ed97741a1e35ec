"""TransactionTable against its slow twin, by Hypothesis and by a long seeded walk."""
from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastdht._ext.transactions import TransactionTable
from tests.oracle.transactions import SlowTransactions

ENDPOINTS = [bytes([10, 0, 0, i]) + (6881).to_bytes(2, "big") for i in range(3)]
ENDPOINTS += [bytes(15) + bytes([i]) + (6881).to_bytes(2, "big") for i in range(2)]
STALL, TIMEOUT = 10, 25


class Pair:
    """The table and its twin, driven together; every method asserts that they agree."""

    def __init__(self, capacity: int, secret: bytes) -> None:
        self.fast = TransactionTable(capacity, secret, STALL, TIMEOUT)
        self.slow = SlowTransactions(capacity, STALL, TIMEOUT)
        self.dead: list[tuple[bytes, bytes]] = []
        self.now_us = 0

    def open(self, packed: bytes) -> None:
        slot = self.fast.open_packed(packed, self.now_us)
        assert (slot is None) == self.slow.is_full()
        if slot is not None:
            self.slow.opened(slot, self.fast.tid(slot), packed, self.now_us)

    def answer(self, tid: bytes, packed: bytes, close: bool) -> None:
        slot = self.fast.match_packed(tid, packed)
        assert slot == self.slow.match(tid, packed)
        if slot is not None and close:
            self.close(slot)

    def close(self, slot: int) -> None:
        query = self.slow.by_slot[slot]
        self.dead.append((query.tid, query.packed))
        self.fast.close_slot(slot)
        self.slow.close(slot)

    def sweep(self) -> None:
        while due := self.slow.stall_due(self.now_us):
            slot = self.fast.pop_stalled(self.now_us)
            assert slot in due
            self.slow.by_slot[slot].stalled = True
        assert self.fast.pop_stalled(self.now_us) is None
        while due := self.slow.timeout_due(self.now_us):
            slot = self.fast.first_timed_out(self.now_us)
            assert slot in due
            self.close(slot)
        assert self.fast.first_timed_out(self.now_us) is None

    def set_times(self, stall_us: int, timeout_us: int) -> None:
        self.fast.stall_us = self.slow.stall_us = stall_us
        self.fast.timeout_us = self.slow.timeout_us = timeout_us

    def check(self) -> None:
        self.fast.check_invariants()
        assert self.fast.count == len(self.slow.by_slot)
        assert self.fast.deadline() == self.slow.deadline()
        assert self.fast.outstanding() == {s: (q.packed, q.stalled) for s, q in self.slow.by_slot.items()}


class Transactions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(5, bytes(range(16)))

    @rule(packed=st.sampled_from(ENDPOINTS))
    def open(self, packed: bytes) -> None:
        self.pair.open(packed)

    @precondition(lambda self: self.pair.slow.by_slot)
    @rule(data=st.data(), packed=st.sampled_from(ENDPOINTS), close=st.booleans())
    def answer(self, data: st.DataObject, packed: bytes, close: bool) -> None:
        query = data.draw(st.sampled_from(sorted(self.pair.slow.by_slot.items())))[1]
        self.pair.answer(query.tid, packed, close)

    @precondition(lambda self: self.pair.dead)
    @rule(data=st.data())
    def answer_late(self, data: st.DataObject) -> None:
        self.pair.answer(*data.draw(st.sampled_from(self.pair.dead)), close=True)

    @rule(tid=st.binary(max_size=6), packed=st.sampled_from(ENDPOINTS))
    def guess(self, tid: bytes, packed: bytes) -> None:
        self.pair.answer(tid, packed, close=True)

    @rule(step_us=st.integers(0, 30))
    def advance(self, step_us: int) -> None:
        self.pair.now_us += step_us
        self.pair.sweep()

    @rule(step_us=st.integers(0, 30))
    def wait_without_sweeping(self, step_us: int) -> None:
        self.pair.now_us += step_us

    @rule(stall_us=st.integers(1, 40), timeout_us=st.integers(1, 40))
    def set_times(self, stall_us: int, timeout_us: int) -> None:
        self.pair.set_times(stall_us, timeout_us)

    @invariant()
    def agrees(self) -> None:
        self.pair.check()


TestTransactions = Transactions.TestCase
TestTransactions.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def test_table_over_200_000_random_steps_never_diverges() -> None:
    seed = 20_260
    print(f"seed {seed}")
    rng = random.Random(seed)
    pair = Pair(16, rng.randbytes(16))
    for step in range(200_000):
        action = rng.random()
        if action < 0.45:
            pair.open(rng.choice(ENDPOINTS))
        elif action < 0.75 and pair.slow.by_slot:
            query = rng.choice(list(pair.slow.by_slot.values()))
            pair.answer(query.tid, query.packed if rng.random() < 0.9 else rng.choice(ENDPOINTS), close=True)
        elif action < 0.85 and pair.dead:
            pair.answer(*pair.dead[-rng.randint(1, min(50, len(pair.dead)))], close=True)
        elif action < 0.9:
            pair.answer(rng.randbytes(4), rng.choice(ENDPOINTS), close=True)
        else:
            pair.now_us += rng.randint(0, 12)
            pair.sweep()
        if step % 97 == 0:
            pair.check()
    pair.check()
