"""The slow twin of TransactionTable: a list of outstanding queries, searched from end to end."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Outstanding:
    tid: bytes
    packed: bytes
    sent_us: int
    stalled: bool = False


class SlowTransactions:
    """Keeps what a caller was told (slot and tid) and recomputes everything else from the definition."""

    def __init__(self, capacity: int, stall_us: int, timeout_us: int) -> None:
        self.capacity = capacity
        self.stall_us = stall_us
        self.timeout_us = timeout_us
        self.by_slot: dict[int, Outstanding] = {}

    def is_full(self) -> bool:
        return len(self.by_slot) == self.capacity

    def opened(self, slot: int, tid: bytes, packed: bytes, now_us: int) -> None:
        assert slot not in self.by_slot, "a slot was given twice"
        assert all(other.tid != tid for other in self.by_slot.values()), "two outstanding queries share a tid"
        self.by_slot[slot] = Outstanding(tid, packed, now_us)

    def match(self, tid: bytes, packed: bytes) -> int | None:
        for slot, query in self.by_slot.items():
            if query.tid == tid and query.packed == packed:
                return slot
        return None

    def close(self, slot: int) -> None:
        del self.by_slot[slot]

    def stall_due(self, now_us: int) -> set[int]:
        """The slots that may stall next: the oldest late ones (several when sent at the same time)."""
        late = {s: q.sent_us for s, q in self.by_slot.items() if not q.stalled and now_us >= q.sent_us + self.stall_us}
        return {s for s, sent in late.items() if sent == min(late.values())}

    def timeout_due(self, now_us: int) -> set[int]:
        return {s for s, q in self.by_slot.items() if now_us >= q.sent_us + self.timeout_us}

    def deadline(self) -> int:
        waits = [q.sent_us + (self.timeout_us if q.stalled else min(self.stall_us, self.timeout_us))
                 for q in self.by_slot.values()]
        return min(waits, default=-1)
