"""One Core on one socket and one event loop. Rate class: batch and lookup.

Everything an I/O layer should be: take in what is readable, step what changed, send what is queued, and keep one
timer. Per batch Python runs a constant number of calls however many datagrams it holds.
"""
from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from fastdht._ext.core import Core
from fastdht._ext.packets import Inbox
from fastdht._ext.turns import exchange, settle
from fastdht._ext.walks import (
    LEFT_EVENTS, LEFT_FIRST, LEFT_PUTS, LEFT_REFUSED, LEFT_ROOM, LEFT_TO_SEND, LookupSlots)
from fastdht.engine.transport import Transport, UdpTransport
from fastdht.errors import ConfigError, DHTError, LookupFailed, NodeClosed
from fastdht.lookup.machine import LookupState
from fastdht.stats import LookupReport
from fastdht.types import Endpoint

log = logging.getLogger(__name__)

BATCHES_PER_WAKE = 8        # then the loop has its turn
ROUNDS_PER_WAKE = 64        # of stepping what sending has left dirty; a bound, hardly ever reached
MAX_CALLERS = 0xFFFFFFFF
MAX_TRANSACTIONS = 131_072  # the most a core has
TIMER_GRAIN_US = 1000       # uvloop counts whole milliseconds and fires early: without it, a deadline is met in circles
VERIFICATIONS_PER_WAKE = 16     # of 40 µs each; the timer brings the next ones

ENDS = {LookupState.DONE: "done", LookupState.LATE: "late", LookupState.EXHAUSTED: "exhausted"}
OUTCOMES = tuple([ENDS.get(state, "failed") for state in LookupState])

Outcome = tuple[bytes, int, bytes | None, bool]     # compact source, rtt in µs, the answer, whether refused
Verify = Callable[[bytes, bytes, bytes], bool]      # signature, what it signs, public key


class Engine:
    """Runs a Core: `clock` gives monotonic microseconds; `start` must be called on the loop.

    `verify` checks an Ed25519 signature, or raises a DHTError when it cannot; it is then not called again, and puts of
    mutable items are answered with error 202, as without it. `transactions`: how many queries the core can have out;
    direct ones beyond wait for a place, before lookups get theirs.
    """

    def __init__(self, core: Core, transport: Transport, clock: Callable[[], int], *, lookups: int = 1,
                 inbox: int = 64, verify: Verify | None = None, transactions: int = MAX_TRANSACTIONS) -> None:
        self.core = core
        self.clock = clock
        self.is_closed = False
        self.lookups = LookupSlots(
            core, self, clock, lookups, new_future=asyncio.Future, report_class=LookupReport,
            make_failure=unanswered, make_endpoint=Endpoint.unpack, outcomes=OUTCOMES)
        self.longest_batch_us = 0
        self._verify = verify
        self._places = transactions
        self._waiting: deque[tuple[int, bytes, Callable[[int], bool]]] = deque()    # of our own callers
        self._inbox = Inbox(inbox)
        self._callers: dict[int, Callable[[Outcome], None]] = {}
        self._readers: dict[int, Callable[[Outcome], None]] = {}
        self._next_caller = 1
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._use(transport)

    def _use(self, transport: Transport) -> None:
        """Take in and send over this transport from now on."""
        self.transport = transport
        self._take: Callable[[int, int, bool], int] = self._take_one
        self._turn: Callable[[int, bool], int] = self._turn_by_parts
        if isinstance(transport, UdpTransport):
            self._take = partial(exchange, self.lookups, transport.socket, self._inbox)
            self._turn = partial(settle, self.lookups, transport.socket)

    def start(self) -> None:
        """Begin to receive; raises nothing once the transport is open."""
        self._loop = asyncio.get_running_loop()
        self.lookups.new_future = self._loop.create_future
        self.transport.start(self._loop, self.on_readable)
        self.kick()

    def close(self) -> None:
        """Stop at once; direct queries still awaited end as unanswered."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.transport.close()
        self.lookups.close()
        callers, self._callers = self._callers, {}
        for told in callers.values():
            told((b"", 0, None, False))

    def reopen(self, open_transport: Callable[[Endpoint], Transport]) -> None:
        """Open the socket anew on the same address; an address that is gone for now is tried again by the next call."""
        local = self.transport.local
        self.transport.close()
        try:
            self._use(open_transport(local))
        except ConfigError as error:
            log.warning("%s", error)
            return
        if self._loop is not None:
            self.transport.start(self._loop, self.on_readable)
        self.kick()

    def kick(self) -> None:
        """Do soon what has become due by a call from outside: step, send, re-arm."""
        if not self.lookups.is_kicked and not self.is_closed and self._loop is not None:
            self.lookups.is_kicked = True
            self._loop.call_soon(self._on_kick)

    def add_reader(self, told: Callable[[Outcome], None]) -> int:
        """A number for open_lookup: `told` is called with each answer that holds more than nodes, until forgotten."""
        reader = self._take_number()
        self._readers[reader] = told
        return reader

    def forget_reader(self, reader: int) -> None:
        del self._readers[reader]

    def query(self, method: int, endpoint: bytes, told: Callable[[Outcome], None], **arguments: Any) -> None:
        """Ask one node (arguments as Core.query's); `told` is called once with the outcome."""
        self._send(endpoint, told, lambda caller: self.core.query(method, endpoint, caller, self.clock(), **arguments))

    def query_raw(self, endpoint: bytes, head: bytes, tail: bytes, told: Callable[[Outcome], None]) -> None:
        """Ask one node what is encoded but for its transaction id, which goes between head and tail."""
        self._send(endpoint, told, lambda caller: self.core.query_raw(endpoint, caller, self.clock(), head, tail))

    def _send(self, endpoint: bytes, told: Callable[[Outcome], None], ask: Callable[[int], bool]) -> None:
        if self.is_closed:
            raise NodeClosed("the node is closed")
        caller = self._take_number()
        self._callers[caller] = told
        if self.core.transactions_open < self._places:
            self._ask(caller, endpoint, ask)
        else:
            self._waiting.append((caller, endpoint, ask))

    def _ask(self, caller: int, endpoint: bytes, ask: Callable[[int], bool]) -> None:
        if ask(caller):
            self.kick()
        else:
            self._callers.pop(caller)((endpoint, 0, None, True))

    def _ask_waiting(self) -> None:
        """Give places that have become free to direct queries, first come, first served."""
        while self._waiting and self.core.transactions_open < self._places and not self.is_closed:
            self._ask(*self._waiting.popleft())

    def _take_number(self) -> int:
        """A number that nobody waits under; 0 means nobody."""
        while True:
            number = self._next_caller
            self._next_caller = number % MAX_CALLERS + 1
            if number not in self._callers and number not in self._readers:
                return number

    def on_readable(self) -> None:
        """Take in what the socket holds, in at most eight batches."""
        lookups = self.lookups
        now = lookups.now_us = self.clock()
        last_batch = lookups.batches + BATCHES_PER_WAKE
        while (left := self._take(now, last_batch, len(self._waiting) > 0)) & LEFT_FIRST:
            self._settle(now)
        if left:
            self._serve(left, now)
        self._arm(now)
        spent = self.clock() - now
        if spent > self.longest_batch_us:
            self.longest_batch_us = spent

    def _take_one(self, now: int, last_batch: int, _is_crowded: bool) -> int:
        """What turns.exchange does, for any transport: all but the receiving is left."""
        if self.lookups.batches < last_batch and self.transport.receive(self._inbox):
            self.lookups.batches += 1
            self.core.receive_batch(self._inbox, now)
            return LEFT_FIRST
        self.transport.flush(self.core.outbox)      # there may be room again
        return LEFT_REFUSED | LEFT_PUTS

    def _turn_by_parts(self, _now: int, _is_crowded: bool) -> int:
        """What turns.settle does, for any transport: all is left."""
        return LEFT_FIRST

    def _serve(self, left: int, now: int) -> None:
        """What only Python can do once a turn is over."""
        if left & LEFT_ROOM and isinstance(self.transport, UdpTransport):
            self.transport.watch_room()
        if left & LEFT_REFUSED:
            self._drain_refusals(now)
        if left & LEFT_PUTS:
            self._finish_puts(now)

    def _drain_refusals(self, now: int) -> None:
        if self.transport.receive_errors(self._inbox):
            self.core.receive_unreachable(self._inbox, now)
            self._settle(now)

    def _finish_puts(self, now: int) -> None:
        """Verify what is parked, a few a turn, and send the answers."""
        parked = self.core.take_parked(VERIFICATIONS_PER_WAKE, now)
        for slot, public_key, signature, signed in parked:
            self.core.finish_put(slot, self._is_signed(signature, signed, public_key), now)
        if parked:
            self.transport.flush(self.core.outbox)

    def _is_signed(self, signature: bytes, signed: bytes, public_key: bytes) -> bool | None:
        """Whether a signature is good; None when that cannot be known."""
        if self._verify is None:
            return None
        try:
            return self._verify(signature, signed, public_key)
        except DHTError as error:
            log.warning("mutable items are not stored here: %s", error)
            self._verify = None
            return None

    def _settle(self, now: int) -> int:
        """Step what changed, hand over what came, send what is queued, until nothing is left that can be sent.

        Returns what is left, as bits of LEFT_*.
        """
        core, left = self.core, 0
        for _ in range(ROUNDS_PER_WAKE):
            left = self.lookups.turn(now, bool(self._waiting))
            if left == LEFT_FIRST:
                left = self._turn_apart(now)
            if left & LEFT_EVENTS:
                self._hand_over()
            if not left & (LEFT_EVENTS | LEFT_TO_SEND):
                break
            if not self.transport.flush(core.outbox) or not core.has_dirty():
                break
        return left

    def _turn_apart(self, now: int) -> int:
        """A turn while events or callers wait: served before time adds more, or a step ends what they belong to."""
        self._hand_over()
        self.core.advance(now)
        self._ask_waiting()
        self.lookups.step(now)
        return LEFT_EVENTS | LEFT_TO_SEND | LEFT_PUTS

    def _hand_over(self) -> None:
        for caller, source, rtt_us, answer, is_refused in self.core.take_events():
            told = self._callers.pop(caller, None) or self._readers.get(caller)
            if told is not None:
                told((source, rtt_us, answer, is_refused))

    def _on_kick(self) -> None:
        self.lookups.is_kicked = False
        if not self.is_closed:
            self.work()

    def _on_timer(self) -> None:
        self._timer = None          # only here: a timer forgotten while it runs would start a second chain of them
        self.work()

    def work(self) -> None:
        """Do what time and callers demand, and wait for the next deadline."""
        now = self.lookups.now_us = self.clock()
        left = self._turn(now, len(self._waiting) > 0)
        if left & LEFT_FIRST:
            left = self._settle(now)
        if left:
            self._serve(left, now)
        self._arm(now)

    def _arm(self, now: int) -> None:
        """Keep one timer: an earlier one that is still to come is left alone."""
        due = self.core.next_deadline(now)
        if (self._timer is not None and self._timer_due <= due) or due < 0 or self.is_closed or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(max(due - now + TIMER_GRAIN_US, 0) / 1e6, self._on_timer)


def unanswered(report: LookupReport) -> LookupFailed:
    return LookupFailed(f"no node answered {report.queries} queries for {report.target}", report)
