"""Runs a fastdht command and watches its event loop: python -m bench.macro.loop_probe COMMAND [ARGUMENTS].

A timer that wants to run every millisecond notes the longest time it had to wait, by the clock and by this process's
own CPU time. Only the second is surely ours: a machine that runs something else makes the first. One more JSON line,
the last on stdout. A probe costs a few per cent, so it is a run of its own, never one that is timed.
"""
from __future__ import annotations

import asyncio
import atexit
import json
import sys
import time
from collections.abc import Callable

TICK_S = 0.001


class Probe:
    def __init__(self) -> None:
        self.longest_s = 0.0
        self.longest_cpu_s = 0.0
        self.ticks = 0

    def watch(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        def tick(wall: float, cpu: float) -> None:
            now, used = time.monotonic(), time.process_time()
            self.longest_s = max(self.longest_s, now - wall - TICK_S)
            self.longest_cpu_s = max(self.longest_cpu_s, used - cpu)
            self.ticks += 1
            loop.call_later(TICK_S, tick, now, used)
        loop.call_soon(lambda: tick(time.monotonic(), time.process_time()))
        return loop

    def report(self) -> None:
        print(json.dumps({"max_pause_ms": round(self.longest_s * 1000, 2), "ticks": self.ticks,
                          "max_pause_cpu_ms": round(self.longest_cpu_s * 1000, 2)}), flush=True)


def watched(factory: Callable[[], asyncio.AbstractEventLoop], probe: Probe) -> Callable[[], asyncio.AbstractEventLoop]:
    return lambda: probe.watch(factory())


def main() -> None:
    probe = Probe()
    asyncio.new_event_loop = watched(asyncio.new_event_loop, probe)
    try:
        import uvloop  # the command makes the same choice
        uvloop.new_event_loop = watched(uvloop.new_event_loop, probe)  # type: ignore[assignment]
    except ImportError:
        pass
    from fastdht.cli import main as command_line  # after the loops are watched
    atexit.register(probe.report)
    command_line(sys.argv[1:])


if __name__ == "__main__":
    main()
