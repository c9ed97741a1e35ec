"""How a Node asks: one node directly, or many by a lookup, and how it writes to those found. Rate class: lookup.

Invariant: lookups with the same target and method share one traversal, unless `to` names whom to ask.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NoReturn

from fastdht._ext import krpc
from fastdht.config import SECOND_US, CoreConfig, LookupConfig
from fastdht._ext.handles import Walks
from fastdht.engine.bridge import Lookup, Reading, ReadWalk, Walk, closed_error
from fastdht.engine.engine import Engine, Outcome
from fastdht.engine.names import HostList
from fastdht.engine.saving import Saver
from fastdht.errors import ConfigError, DHTError, NoResponse, RemoteError
from fastdht.persist.state import Capability
from fastdht.stats import ClosestContact, LookupReport, WriteOutcome
from fastdht.types import Contact, Endpoint, NodeId

PING, FIND_NODE, GET_PEERS, ANNOUNCE_PEER, GET, PUT, SAMPLE_INFOHASHES = range(7)
MAX_DIRECT = 96         # nodes that one call may ask directly
WRITES = 8              # nodes a write is sent to (Kademlia's k)


class Asking:
    """What every operation of a Node builds on; Node's constructor sets these up."""

    _config: CoreConfig
    _lookup: LookupConfig
    _write_lookup: LookupConfig     # wider, as the closest may refuse a write
    _hosts: HostList
    _saver: Saver | None
    _clock: Callable[[], int]
    _engines: list[Engine]
    _walks: Walks

    def _walk(self, method: int, target: NodeId, to: Iterable[Endpoint | str] | None, config: LookupConfig,
              noseed: bool = False) -> Lookup:
        """A handle on the walk for this target: one that runs already, or a new one."""
        if to is not None:
            return Lookup(self._ask_only(Walk, method, target, to, config, noseed=noseed))
        lookup = self._walks.join(Lookup, Walk, method, target, config, noseed, False, False)
        return lookup if lookup is not None else self._refuse()

    def _read(self, method: int, target: NodeId, to: Iterable[Endpoint | str] | None, config: LookupConfig,
              scrape: bool = False) -> Reading:
        """Likewise, for one whose answers are read."""
        if to is not None:
            return Reading(self._ask_only(ReadWalk, method, target, to, config, scrape=scrape, is_read=True))
        reading = self._walks.join(Reading, ReadWalk, method, target, config, False, scrape, True)
        return reading if reading is not None else self._refuse()

    def _ask_only(self, make_walk: Callable[[NodeId, LookupConfig], Walk], method: int, target: NodeId,
                  to: Iterable[Endpoint | str], config: LookupConfig, *, noseed: bool = False, scrape: bool = False,
                  is_read: bool = False) -> Walk:
        """A walk of its own, which asks exactly these."""
        self._first()
        seeds = [to_endpoint(each).pack() for each in to]
        config = replace(config, width=MAX_DIRECT, wide_width=MAX_DIRECT, max_queries=MAX_DIRECT, subnet_limit=0)
        walk = make_walk(target, config)
        if not walk.start(self._walks.slots, method, seeds, is_fixed=True, noseed=noseed, scrape=scrape,
                          is_read=is_read):
            self._refuse()
        return walk

    def _refuse(self) -> NoReturn:
        """Why no lookup can be started."""
        self._first()
        raise DHTError(f"{self._config.lookups} lookups are running already; wait for one, or raise the limit")

    def _entry_hosts(self) -> tuple[bytes, ...]:
        """Numeric bootstrap hosts and saved contacts: whom to ask for as long as the tables are empty."""
        return self._hosts.numeric() + (self._saver.entries() if self._saver is not None else ())

    def _note(self, contact: Contact, capability: Capability) -> None:
        """What a contact has done is kept for the next run."""
        if self._saver is not None:
            self._saver.note(contact.endpoint, capability)

    async def _write_to(self, found: ClosestContact, method: int, **arguments: Any) -> tuple[WriteOutcome, bool]:
        """Write to one node; a lost datagram is worth one repetition, as the token stays good for minutes.

        Returns the outcome, and whether it is that of a repetition.
        """
        for is_repeated in (False, True):
            try:
                await self._query(method, found.contact.endpoint, token=found.token, **arguments)
                return WriteOutcome(found.contact, None), is_repeated
            except NoResponse as error:
                silence = error
            except RemoteError as error:
                return WriteOutcome(found.contact, str(error), error.code), is_repeated
            except DHTError as error:
                return WriteOutcome(found.contact, str(error)), is_repeated
        return WriteOutcome(found.contact, str(silence)), True

    async def _query(self, method: int, endpoint: Endpoint, **arguments: Any) -> tuple[dict[str, Any], float]:
        """One query to one node: its answer's slots and the round-trip time in seconds."""
        packed = endpoint.pack()
        datagram, rtt_us = await self._ask(endpoint, lambda engine, told: engine.query(
            method, packed, told, **arguments))
        answer = krpc.parse(datagram, 6 if endpoint.is_ipv6 else 4)
        if answer is None or (answer["kind"] != "e" and "id" not in answer):
            raise RemoteError(203, f"{endpoint} sent an answer without an id")
        raise_error(answer)
        return answer, rtt_us / SECOND_US

    async def _ask(self, endpoint: Endpoint, send: Callable[[Engine, Callable[[Outcome], None]], None],
                   ) -> tuple[bytes, int]:
        """The answer to what `send` asks, as it came, and the round trip in µs. Raises NoResponse."""
        engine = self._engine_for(endpoint)
        if self._config.blocklist is not None and endpoint.ip in self._config.blocklist:
            raise NoResponse(f"{endpoint} is on the block list; it is not asked")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        send(engine, lambda outcome: settle(future, outcome))
        _, rtt_us, datagram, is_refused = await future
        if datagram is None:
            why = "refused by the network" if is_refused else f"no answer within {self._config.timeout_us / 1e6:g} s"
            raise NoResponse(f"{endpoint}: {why}")
        return datagram, rtt_us

    def _engine_for(self, endpoint: Endpoint) -> Engine:
        self._first()
        for engine in self._engines:
            if engine.transport.local.is_ipv6 == endpoint.is_ipv6:
                return engine
        raise ConfigError(f"{endpoint}: this node is bound to no address of that family")

    def _first(self) -> Engine:
        if not self._engines:
            raise closed_error()
        return self._engines[0]


def writable(report: LookupReport, to: object, writes: int = WRITES) -> list[ClosestContact]:
    """Whom a write goes to: the closest that gave a token; all of them where the caller has named whom to ask."""
    found = [each for each in report.closest if each.token is not None]
    return found[:writes] if to is None else found


def raise_error(answer: dict[str, Any]) -> None:
    if answer["kind"] == "e":
        raise RemoteError(answer.get("error_code", 201), answer.get("error_text", b"").decode("utf-8", "replace"))


def to_endpoint(value: Endpoint | str) -> Endpoint:
    return Endpoint.parse(value) if isinstance(value, str) else value


def settle(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():                   # its caller may have given up
        future.set_result(outcome)
