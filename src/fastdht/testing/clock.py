"""Virtual time: a clock that moves when told, and an asyncio loop that tells it. Rate class: command (tests).

The loop runs unchanged asyncio code: tasks, futures, timers, timeouts. When nothing is ready it jumps to the next
timer or the next event of an attached source (a simulated network), so a day passes as fast as its events can be
computed. Invariants: `loop.time()` is `clock.now_us / 1e6` exactly; no timer fires early, none later than the first
microsecond at or after its deadline; time stands still while anything is ready; the loop holds no file descriptor.
"""
from __future__ import annotations

import asyncio
import ipaddress
import math
import random
import socket
from asyncio import base_events
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_US = 1_000_000_000        # not 0: a structure that means "never" by 0 must not pass by luck
DEFAULT_LIMIT_S = 7 * 86_400.0  # a test that waits longer waits for something that never comes
ROUNDING_US = 1e-3              # what float subtraction of two loop times may be off by, and never a whole tick


class VirtualDeadlock(RuntimeError):
    """Every task waits and nothing is scheduled: in real time this would hang for ever."""


class VirtualTimeout(RuntimeError):
    """Virtual time passed the loop's limit."""


class VirtualClock:
    """Microseconds of a monotonic clock that moves only when told. Calling it gives `now_us`."""

    __slots__ = ("now_us",)

    def __init__(self, now_us: int = START_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def advance(self, microseconds: int) -> None:
        """Let time pass with nothing running in it, as when a machine sleeps. Raises ValueError if negative."""
        if microseconds < 0:
            raise ValueError(f"clock advanced by {microseconds} µs; a monotonic clock never goes back")
        self.now_us += microseconds


class EventSource(Protocol):
    """Something outside the loop that makes events at known times: a simulated network."""

    def next_us(self) -> int | None:
        """When the next event is due; None when there is none."""

    def deliver(self) -> None:
        """Deliver all events due by now; may only schedule callbacks, never run them."""


class _JumpingSelector:
    """Stands where the loop expects a selector: instead of waiting for a time to come, moves the clock there."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        loop = self._loop
        clock = loop.clock
        source = loop.source
        due_us = None if source is None else source.next_us()
        if timeout is None:
            target_us = due_us
        else:
            target_us = clock.now_us + math.ceil(timeout * 1e6 - ROUNDING_US) if timeout > 0 else clock.now_us
            if due_us is not None and due_us < target_us:
                target_us = due_us
        if target_us is None:
            raise VirtualDeadlock(loop.describe_deadlock())
        if target_us > clock.now_us:
            loop.check_limit(target_us)
            clock.now_us = target_us
        if source is not None and due_us is not None and due_us <= clock.now_us:
            source.deliver()
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """An asyncio event loop in virtual time.

    `seed` feeds `rng`, the one source of chance of a simulation. `limit_s` is how many virtual seconds the loop may
    live before VirtualTimeout. Work handed to an executor runs at once, in order, in the caller's thread. There are
    no sockets: datagrams come from the attached `source`, names from `resolve`.
    """

    def __init__(self, seed: int = 0, *, clock: VirtualClock | None = None, limit_s: float = DEFAULT_LIMIT_S) -> None:
        super().__init__()
        self.clock = VirtualClock() if clock is None else clock
        self.seed = seed
        self.rng = random.Random(seed)
        self.source: EventSource | None = None
        self.resolve: Callable[[str], list[str]] = refuse_name
        self._limit_us = self.clock.now_us + int(limit_s * 1e6)
        self._selector = _JumpingSelector(self)
        self._clock_resolution = 1e-7   # covers float rounding; a tenth of a tick, so that no timer fires early

    def time(self) -> float:
        """Seconds of virtual time: `clock.now_us / 1e6`."""
        return self.clock.now_us / 1e6

    def attach(self, source: EventSource) -> None:
        """Let `source` make events on this loop. Raises RuntimeError when there is one already."""
        if self.source is not None and self.source is not source:
            raise RuntimeError("the loop has an event source already; one network per loop")
        self.source = source

    def check_limit(self, target_us: int) -> None:
        """Raise VirtualTimeout when `target_us` lies beyond the loop's limit."""
        if target_us > self._limit_us:
            raise VirtualTimeout(f"virtual time would pass its limit of {self._limit_us / 1e6:g} s; "
                                 f"waiting: {self._waiting_tasks()}")

    def describe_deadlock(self) -> str:
        """What to tell when nothing can ever happen again."""
        return f"at {self.time():g} s nothing is scheduled and no packet is in flight; waiting: {self._waiting_tasks()}"

    def _waiting_tasks(self) -> str:
        names = sorted(f"{task.get_name()} ({task.get_coro()!r})" for task in asyncio.all_tasks(self))
        return "; ".join(names[:5]) + (f"; and {len(names) - 5} more" if len(names) > 5 else "") or "no task"

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,  # noqa: A002
                          flags: int = 0) -> list[tuple[Any, ...]]:
        """Answer from `resolve`; numeric addresses as they are. Never asks the machine's resolver."""
        name = host.decode() if isinstance(host, bytes) else str(host)
        await asyncio.sleep(0)
        found = []
        for text in [name] if is_numeric(name) else self.resolve(name):
            address = ipaddress.ip_address(text)
            kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
            if family in (0, kind):
                where = (text, int(port or 0)) if address.version == 4 else (text, int(port or 0), 0, 0)
                found.append((kind, type or socket.SOCK_DGRAM, proto, "", where))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"{name}: no address of that family")
        return found

    def run_in_executor(self, executor: Executor | None, func: Callable[[Unpack[Ts]], T],
                        *args: *Ts) -> asyncio.Future[T]:
        """Call `func` now and return a finished future: a thread would bring real time and chance back."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing to do: sources schedule their own callbacks."""

    def _write_to_self(self) -> None:
        """Nothing to wake: the loop never sleeps."""


def refuse_name(name: str) -> list[str]:
    """The resolver of a loop without a network."""
    raise socket.gaierror(socket.EAI_NONAME, f"{name}: names are not looked up in virtual time")


def is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def run(main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]], *, seed: int = 0,
        limit_s: float = DEFAULT_LIMIT_S, debug: bool | None = None) -> T:
    """Run a coroutine, or the coroutine function `main`, to its end in virtual time and return its result.

    Raises what `main` raises; VirtualDeadlock when it can never end; VirtualTimeout after `limit_s` virtual seconds.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(seed, limit_s=limit_s), debug=debug) as runner:
        return runner.run(main() if callable(main) else main)
