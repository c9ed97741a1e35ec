"""The share of a node's time that observers get, and what becomes of the rest."""
from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastdht._ext.core import Core
from fastdht.config import ThrottleConfig
from fastdht.ops.watching import RING, SHARE_US, SLICE, Observer, QueryWatch
from fastdht.testing import builders
from tests.unit.core_kit import ASKER, Kit

LOOK_US = 1000          # what each look at the clock takes here


@dataclass
class SlowEngine:
    """An engine whose clock moves whenever it is read."""

    core: Core
    looks: int = 0
    seen: list[object] = field(default_factory=list)

    def clock(self) -> int:
        self.looks += 1
        return self.looks * LOOK_US


def watched(count: int) -> tuple[QueryWatch, list[object], Observer]:
    """A watch whose node has handled `count` queries, and what its observer has been called with; needs a loop."""
    kit = Kit(throttle=ThrottleConfig.off())
    watch = QueryWatch([SlowEngine(kit.core)])
    seen: list[object] = []
    observer = Observer(watch, seen.append, 1)
    for number in range(count):
        kit.send(builders.query("find_node", ASKER.id, target=builders.node_id(number)))
    return watch, seen, observer


def test_observer_when_its_share_of_time_is_up_then_the_rest_comes_in_the_next_periods_in_order():
    async def main():
        watch, seen, observer = watched(500)
        counts = []
        while len(seen) < 500:
            watch._hand_over()
            counts.append(len(seen))
        observer.close()
        return counts, seen

    counts, seen = asyncio.run(main())
    most = SLICE * SHARE_US // LOOK_US
    assert all(0 < later - earlier <= most for earlier, later in zip([0, *counts], counts))
    assert [query.target for query in seen] == [builders.node_id(number) for number in range(500)]


def test_observer_when_the_ring_has_overflowed_then_lost_tells_how_many():
    async def main():
        watch, seen, observer = watched(RING + 7)
        before = observer.lost
        while watch._logs[0].count:
            watch._hand_over()
        late = Observer(watch, seen.append, 1)
        losses = before, observer.lost, late.lost
        watch.close()
        return losses, len(seen), (observer.is_closed, late.is_closed)

    losses, seen, closed = asyncio.run(main())
    assert losses == (7, 7, 0)
    assert seen == RING
    assert closed == (True, True)
