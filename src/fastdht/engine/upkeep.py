"""Keeping one participant alive: joining, refreshing, pinging, secrets, our address, recovery. Rate class: second.

Theory of operation. `tick` runs once a second.

    JOINING   the table has too few contacts: look up our own id from the bootstrap hosts and what the table holds,
              again after 1, 2, 4 … 300 seconds, forever
    JOINED    buckets that have not changed for 15 minutes are refreshed, silent contacts pinged (BEP 5)

From JOINED back to JOINING: the table has drained; nothing has answered for a minute although we asked (a lost or
changed network: the socket is opened anew); the machine has slept. A dead network never costs a contact: silence
blames nobody until somebody answers.
"""
from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable
from random import Random
from typing import Protocol

from fastdht._ext.ids import is_secure, secure_id
from fastdht.config import MINUTE_US, SECOND_US, LookupConfig
from fastdht._ext.walks import Walk
from fastdht.engine.engine import Engine
from fastdht.engine.external import ExternalAddress
from fastdht.engine.secrets import SharedSecrets
from fastdht.types import ID_SIZE, NodeId

log = logging.getLogger(__name__)

FIND_NODE = 1
JOIN_CONTACTS = 8               # a table with fewer has not joined
SPARSE_CONTACTS = 64            # a table with fewer pings strangers at once: any contact beats none
RANDOM_WALKS = 4                # lookups of random ids after joining: they fill the far buckets
PINGS_PER_TICK = 8
TOKEN_ROTATION_US = 5 * MINUTE_US
SILENCE_US = MINUTE_US          # without any answer …
SILENCE_QUERIES = 20            # … to at least so many queries: the network is gone
MAX_BACKOFF = 300
SLEEP_US = 30 * SECOND_US       # a jump of the suspend clock that is more than jitter
STALL_BOUNDS_US = (300_000, SECOND_US)


class Bootstrap(Protocol):
    """Finds entry hosts: compact endpoints of one family; never raises."""

    async def __call__(self, family: int) -> tuple[bytes, ...]: ...


class Upkeep:
    """Runs for one engine until `stop`; `rng` makes its choices, `suspended` reads how long the machine has slept."""

    def __init__(self, engine: Engine, family: int, bootstrap: Bootstrap, lookup: LookupConfig, rng: Random,
                 suspended: Callable[[], int], *, keep_id: bool = False,
                 reopen: Callable[[], None] | None = None, pings: int = PINGS_PER_TICK,
                 secrets: SharedSecrets | None = None) -> None:
        self.engine = engine
        self.family = family
        self.external = ExternalAddress()
        self.joined = asyncio.Event()
        self._bootstrap = bootstrap
        self._lookup = lookup
        self._rng = rng
        self._suspended = suspended
        self._keep_id = keep_id
        self._reopen = reopen
        self._pings = pings
        self._secrets = secrets
        self._step = -1             # of the shared secret in use
        self._slept_us = suspended()
        self._candidate_wait_us = engine.core.table.candidate_wait_us
        self._walks: set[Walk] = set()
        self._joining: asyncio.Task[None] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._backoff = 1
        self._next_join_us = 0
        self._rotated_us = self._answered_us = engine.clock()
        self._answers = self._asked = 0
        self._ticks = 0

    def start(self) -> None:
        self._rotate(self.engine.clock())
        self.tick()

    async def stop(self) -> None:
        """End at once, and wait until what was under way has ended too."""
        if self._handle is not None:
            self._handle.cancel()
        for walk in list(self._walks):
            walk.cancel()
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.wait([self._joining])
            self._joining = None        # its last exception refers to us: nothing should wait for the collector

    def tick(self) -> None:
        """One second's work; an error in it is logged, and the next second tries again."""
        self._handle = asyncio.get_running_loop().call_later(1.0, self.tick)
        try:
            self._work(self.engine.clock())
        except Exception:
            log.exception("upkeep failed")

    def _work(self, now: int) -> None:
        core = self.engine.core
        self._ticks += 1
        self._watch(now)
        core.table.candidate_wait_us = 0 if len(core.table) < SPARSE_CONTACTS else self._candidate_wait_us
        if core.ping_questionable(self._pings, now):
            self.engine.kick()
        if now - self._rotated_us >= TOKEN_ROTATION_US or self._secrets is not None:
            self._rotate(now)
        core.expire_peers(64, now)
        core.expire_items(64, now)
        self._count_votes(now)
        if self._ticks % 10 == 0:
            self._tune_stall()
        if len(core.table) < JOIN_CONTACTS or not self.joined.is_set():
            self._join_when_due(now)
        elif not self._walks:
            target = core.refresh_target(now)
            if target is not None:
                self._walk(NodeId(target))

    def _rotate(self, now: int) -> None:
        """Change the token secret; a shared one only when its step has come."""
        secret = self._rng.randbytes(16)
        if self._secrets is not None:
            step = self._secrets.step
            if step == self._step:
                return
            self._step, secret = step, self._secrets.derive(step)
        self.engine.core.rotate_token_secret(secret, now)
        self._rotated_us = now

    def _watch(self, now: int) -> None:
        """Notice a dead network and a machine that has slept."""
        counters = self.engine.core.counters()
        answers = counters["responses_handled"] + counters["errors_handled"]
        if answers != self._answers:
            self._answers, self._asked, self._answered_us = answers, counters["sent_queries"], now
        silent = now - self._answered_us >= SILENCE_US and counters["sent_queries"] - self._asked >= SILENCE_QUERIES
        slept = self._suspended()
        if silent or slept - self._slept_us >= SLEEP_US:
            log.info("no answers for %d s; joining again", (now - self._answered_us) // SECOND_US)
            self._answered_us, self._asked = now, counters["sent_queries"]
            self._rejoin(now)
        self._slept_us = slept

    def _rejoin(self, now: int) -> None:
        if self._reopen is not None:
            self._reopen()
        self.joined.clear()
        self._rotate(now)
        self._next_join_us, self._backoff = now, 1

    def _join_when_due(self, now: int) -> None:
        if now < self._next_join_us or (self._joining is not None and not self._joining.done()):
            return
        jitter = 0.75 + self._rng.random() / 2
        self._next_join_us = now + int(self._backoff * jitter * SECOND_US)
        self._backoff = min(self._backoff * 2, MAX_BACKOFF)
        self._joining = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        """Look up our own id until some of the table answers, then a few random ids."""
        seeds = await self._bootstrap(self.family)
        report = await self._walk_through(NodeId(self.engine.core.own_id), seeds)
        if not report:
            return
        self.joined.set()
        for _ in range(RANDOM_WALKS):
            await self._walk_through(NodeId(self._rng.randbytes(ID_SIZE)), ())

    async def _walk_through(self, target: NodeId, seeds: Iterable[bytes]) -> int:
        walk = self._walk(target, tuple(seeds))
        while walk is not None and walk.report is None:
            await walk.waiter()
        return walk.report.responses if walk is not None and walk.report is not None else 0

    def _walk(self, target: NodeId, seeds: tuple[bytes, ...] = ()) -> Walk | None:
        walk = Walk(target, self._lookup, self._walks.discard)
        if not walk.start([self.engine.lookups], FIND_NODE, seeds):
            return None
        self._walks.add(walk)
        return walk

    def _count_votes(self, now: int) -> None:
        for voter, claimed in self.engine.core.take_votes():
            self.external.vote(voter, claimed, now)
        address = self.external.decide(now)
        if address is not None:
            self.adopt(address)

    def adopt(self, address: bytes) -> None:
        """Our public address is now known: take an id that BEP 42 accepts there, unless ours is one or was given."""
        packed = address + b"\0\1"
        if self._keep_id or is_secure(self.engine.core.own_id, packed):
            return
        log.info("external address %s; taking an id that fits it", ipaddress.ip_address(address))
        self.engine.core.change_id(secure_id(packed, self._rng.getrandbits(64)))

    def _tune_stall(self) -> None:
        """Ask another node once nine of ten contacts would have answered, within 0.3 to 1 s."""
        rtts = sorted(contact[3] for contact in self.engine.core.table.contacts() if contact[3])
        if len(rtts) >= JOIN_CONTACTS:
            low, high = STALL_BOUNDS_US
            self.engine.core.set_stall(max(low, min(high, rtts[len(rtts) * 9 // 10] * 3 // 2)))
