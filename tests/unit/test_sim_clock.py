"""Virtual time: exact, never early, never really waiting."""
from __future__ import annotations

import asyncio
import socket
import time

import pytest

from fastdht.testing import VirtualClock, VirtualDeadlock, VirtualLoop, VirtualTimeout, run
from fastdht.testing.clock import START_US


@pytest.fixture
def loop():
    loop = VirtualLoop(seed=1)
    yield loop
    loop.close()


def test_clock_when_advanced_then_only_forward() -> None:
    clock = VirtualClock(5)
    clock.advance(7)
    assert clock() == clock.now_us == 12
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)


def test_sleep_when_a_day_long_then_takes_a_day_of_virtual_and_no_real_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(86_400)
        return loop.time() - before

    before = time.monotonic()
    assert run(main) == pytest.approx(86_400, abs=1e-6)
    assert time.monotonic() - before < 20       # the day was jumped over; a wide margin, not a timing assertion


@pytest.mark.parametrize("delay_us", [1, 3, 7, 999_999, 1_000_001, 86_399_999_999])
def test_timer_when_set_to_a_microsecond_then_fires_in_it(loop: VirtualLoop, delay_us: int) -> None:
    fired: list[int] = []
    due_us = loop.clock.now_us + delay_us
    loop.call_at(due_us / 1e6, lambda: (fired.append(loop.clock.now_us), loop.stop()))
    loop.run_forever()
    assert fired == [due_us]
    assert loop.time() == due_us / 1e6


def test_timers_when_between_microseconds_then_never_early_and_at_most_one_late(loop: VirtualLoop) -> None:
    fired: list[tuple[float, float]] = []
    start = loop.time()
    deadlines = [start + loop.rng.random() * 1000 for _ in range(500)]
    for deadline in deadlines:
        loop.call_at(deadline, lambda deadline=deadline: fired.append((deadline, loop.time())))
    loop.call_at(start + 2000, loop.stop)
    loop.run_forever()
    assert len(fired) == 500
    assert all(-1e-7 < now - deadline <= 1e-6 + 1e-7 for deadline, now in fired)
    assert fired == sorted(fired)


def test_time_when_callbacks_are_ready_then_stands_still(loop: VirtualLoop) -> None:
    times: list[int] = []

    def again(left: int) -> None:
        times.append(loop.clock.now_us)
        loop.call_soon(again, left - 1) if left else loop.stop()

    loop.call_later(0.001, loop.stop)
    loop.call_soon(again, 100)
    loop.run_forever()
    assert times == [START_US] * 101


def test_timeout_when_nothing_answers_then_raised_on_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(12.5):
                await loop.create_future()
        return loop.time() - before

    assert run(main) == pytest.approx(12.5, abs=1e-6)


def test_run_when_waiting_for_nothing_then_says_who_waits() -> None:
    async def main() -> None:
        asyncio.current_task().set_name("the one that waits")
        await asyncio.get_running_loop().create_future()

    with pytest.raises(VirtualDeadlock, match="the one that waits"):
        run(main)


def test_run_when_waiting_past_the_limit_then_stops() -> None:
    async def main() -> None:
        for _ in range(1_000_000):
            await asyncio.sleep(10)

    with pytest.raises(VirtualTimeout, match="limit"):
        run(main, limit_s=3600)


def test_run_when_main_raises_then_raises_it_and_cancels_the_rest() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append("cancelled")

    async def main() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(1)
        raise KeyError(task.get_name())

    with pytest.raises(KeyError):
        run(main)
    assert ended == ["cancelled"]


def test_run_when_given_a_coroutine_then_returns_its_result_and_seeds_the_loop() -> None:
    async def main() -> float:
        return asyncio.get_running_loop().rng.random()

    assert run(main(), seed=7) == run(main(), seed=7) != run(main(), seed=8)


def test_executor_when_used_then_runs_at_once_and_passes_errors() -> None:
    async def main() -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(sum, [1, 2])

    assert run(main) == 3


def test_names_when_there_is_no_network_then_refused() -> None:
    async def main() -> list[tuple[object, ...]]:
        loop = asyncio.get_running_loop()
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("router.example", 6881)
        return await loop.getaddrinfo("192.0.2.1", 6881, type=socket.SOCK_DGRAM)

    assert run(main)[0][4] == ("192.0.2.1", 6881)


def test_loop_when_made_and_closed_a_thousand_times_then_holds_no_descriptor() -> None:
    import os

    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    loops = [VirtualLoop() for _ in range(1000)]
    held = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for loop in loops:
        loop.close()
    assert held == before


def test_advance_when_timers_lie_in_the_gap_then_they_fire_after_it(loop: VirtualLoop) -> None:
    fired: list[float] = []
    start = loop.time()
    loop.call_later(5, lambda: fired.append(loop.time() - start))
    loop.call_later(1, loop.clock.advance, 8 * 3600 * 1_000_000)
    loop.call_later(9 * 3600, loop.stop)
    loop.run_forever()
    assert fired == [pytest.approx(8 * 3600 + 1)]
