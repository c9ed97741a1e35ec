"""The public participant: joins the DHT, looks up, announces, serves. Rate class: lookup and command.

A Node runs one Core, socket and id per bound address (BEP 45); lookups walk every family at once and merge what they
find. It works on asyncio and on uvloop, in real time and, given a clock and a transport, in virtual time.
"""
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Any, Literal, Self

from fastdht._ext import krpc
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.core import Core
from fastdht._ext.ids import random_id, secure_id
from fastdht.config import SECOND_US, CoreConfig, LookupConfig, TableConfig, public_bootstrap
from fastdht.engine.bridge import Lookup, Walk, closed_error
from fastdht.engine.clock import monotonic_us, suspended_us
from fastdht.engine.engine import Engine, Outcome
from fastdht.engine.names import HostList
from fastdht.engine.transport import Transport, open_transport
from fastdht.engine.upkeep import Upkeep
from fastdht.errors import (
    ConfigError,
    DHTError,
    LocalProtocolError,
    NoResponse,
    RemoteError,
    WriteRejected,
)
from fastdht.stats import ClosestContact, Pong, WriteOutcome, WriteReport
from fastdht.types import Contact, Endpoint, InfoHash, NodeId

PING, FIND_NODE, GET_PEERS, ANNOUNCE_PEER = range(4)
MAX_DIRECT = 96         # nodes that one call may ask directly
WRITES = 8              # nodes a write is sent to (Kademlia's k)
WRITE_WIDTH = 16        # nodes whose answers are awaited before a write: the closest may refuse it


class Node:
    """A participant of the DHT, used as `async with Node(...) as node:`.

    bind: address and port, or several: "0.0.0.0:6881", ["0.0.0.0:6881", "[::]:6881"]; port 0 lets the system choose.
    bootstrap: "public" for the well-known hosts, or host:port strings; empty for none.
    allow_net: CIDR ranges that count as public besides those that are ("127.0.0.0/8" for tests on one machine).
    node_id: 20 bytes to keep; by default one that fits our address (BEP 42), chosen anew when that changes.
    read_only: ask, but serve nobody (BEP 43). limits: "node", or "off" to lift every rate limit.
    k: contacts per bucket. query_timeout: seconds after which a query has failed. lookup: how lookups walk.
    Raises ConfigError for what is malformed, and when an address cannot be bound (on entering).
    """

    def __init__(
        self,
        bind: str | Sequence[str] = "0.0.0.0:0",
        *,
        bootstrap: Literal["public"] | Iterable[str] = "public",
        allow_net: Iterable[str] = (),
        node_id: bytes | None = None,
        read_only: bool = False,
        limits: Literal["node", "off"] = "node",
        k: int = 8,
        query_timeout: float = 10.0,
        lookup: LookupConfig | None = None,
        config: CoreConfig | None = None,
        transport: Callable[[Endpoint], Transport] = open_transport,
        clock: Callable[[], int] = monotonic_us,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        binds = [bind] if isinstance(bind, str) else list(bind)
        if not binds:
            raise ConfigError("bind is empty; at least one address:port needed")
        if limits not in ("node", "off"):
            raise ConfigError(f"limits is {limits!r}; node or off")
        if not 0 < query_timeout <= 3600:
            raise ConfigError(f"query_timeout is {query_timeout} s; more than 0, at most 3600")
        self._binds = [parse_bind(text) for text in binds]
        self._id = NodeId(node_id) if node_id is not None else None
        self._config = node_config(config or CoreConfig(), tuple(allow_net), read_only, k, query_timeout, limits)
        self._lookup = lookup or LookupConfig()
        self._write_lookup = replace(self._lookup, width=max(WRITE_WIDTH, self._lookup.width))
        self._hosts = HostList(public_bootstrap() if bootstrap == "public" else bootstrap)
        self._open_transport = transport
        self._clock = clock
        self._entropy = entropy
        self._engines: list[Engine] = []
        self._upkeeps: list[Upkeep] = []
        self._walks: dict[tuple[int, bytes, bool], Walk] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def start(self) -> None:
        """Bind, begin to serve, and join in the background; raises ConfigError when an address cannot be bound."""
        try:
            for bind in self._binds:
                self._add_engine(bind)
        except BaseException:
            await self.close()
            raise
        self._link_families()
        for engine, upkeep in zip(self._engines, self._upkeeps, strict=True):
            engine.start()
            upkeep.start()

    async def close(self) -> None:
        """Stop at once: lookups end as cancelled, queries still awaited as unanswered. May be called again."""
        for walk in list(self._walks.values()):
            walk.cancel()
        engines, upkeeps = self._engines, self._upkeeps
        self._engines, self._upkeeps = [], []
        for engine in engines:
            engine.close()
        for upkeep in upkeeps:
            await upkeep.stop()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where this node listens, one per bound address, with the real ports."""
        return tuple(engine.transport.local for engine in self._engines)

    @property
    def ids(self) -> tuple[NodeId, ...]:
        """This node's ids, one per bound address (BEP 45)."""
        return tuple(NodeId(engine.core.own_id) for engine in self._engines)

    @property
    def id(self) -> NodeId:
        """The id on the first bound address."""
        return NodeId(self._first().core.own_id)

    def contacts(self) -> list[Contact]:
        """Verified contacts of the routing tables."""
        return [Contact(NodeId(entry[0]), Endpoint.unpack(entry[1]))
                for engine in self._engines for entry in engine.core.table.contacts()]

    def counters(self) -> dict[str, Any]:
        """What the first address's core and socket have counted since the start."""
        engine = self._first()
        return {**engine.core.counters(), "socket": engine.transport.counters(), "contacts": len(engine.core.table)}

    async def joined(self) -> None:
        """Wait until one address family has found its neighbours; never fails, so give it a timeout."""
        self._first()
        waits = [asyncio.ensure_future(upkeep.joined.wait()) for upkeep in self._upkeeps]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def ping(self, endpoint: Endpoint | str) -> Pong:
        """Ask one node who it is (BEP 5). Raises NoResponse or RemoteError."""
        remote = to_endpoint(endpoint)
        answer, rtt = await self._query(PING, remote)
        return Pong(NodeId(answer["id"]), remote, rtt, answer.get("version"))

    def find_node(self, target: bytes, *, to: Iterable[Endpoint | str] | None = None) -> Lookup:
        """Look for the nodes closest to a 20-byte id (BEP 5); with `to`, ask only those."""
        return self._walk(FIND_NODE, NodeId(target), to, self._lookup)

    def get_peers(self, info_hash: bytes, *, to: Iterable[Endpoint | str] | None = None,
                  noseed: bool = False) -> Lookup:
        """Look for the peers of a torrent (BEP 5): iterate for them as they come, await for the report."""
        return self._walk(GET_PEERS, InfoHash(info_hash), to, self._lookup, noseed)

    async def announce_peer(self, info_hash: bytes, port: int, *, implied_port: bool = False, seed: bool = False,
                            to: Iterable[Endpoint | str] | None = None) -> WriteReport:
        """Announce ourselves as a peer on `port` (1 to 65535) at the closest nodes (BEP 5).

        Raises LocalProtocolError for a bad port, LookupFailed when no node answered, WriteRejected when none accepted.
        """
        if not 1 <= port <= 65535:
            raise LocalProtocolError(f"port is {port}; 1 to 65535")
        config = self._write_lookup
        report = await self._walk(GET_PEERS, InfoHash(info_hash), to, config)
        writable = [found for found in report.closest if found.token is not None]
        chosen = writable[:WRITES] if to is None else writable
        outcomes = await asyncio.gather(*(
            self._announce_at(found, info_hash, port, implied_port, seed) for found in chosen))
        written = WriteReport(report.target, tuple(outcomes), report)
        if not written.accepted:
            raise WriteRejected(f"none of {len(outcomes)} nodes accepted the announce of {report.target}", written)
        return written

    async def _announce_at(self, found: ClosestContact, info_hash: bytes, port: int, implied_port: bool,
                           seed: bool) -> WriteOutcome:
        """Write to one node; a lost datagram is worth one repetition, as the token stays good for minutes."""
        for last in (False, True):
            try:
                await self._query(ANNOUNCE_PEER, found.contact.endpoint, target=bytes(info_hash), token=found.token,
                                  port=port, implied_port=implied_port, seed=seed)
                break
            except DHTError as error:
                if last or not isinstance(error, NoResponse):
                    return WriteOutcome(found.contact, str(error))
        return WriteOutcome(found.contact, None)

    def _walk(self, method: int, target: NodeId, to: Iterable[Endpoint | str] | None, config: LookupConfig,
              noseed: bool = False) -> Lookup:
        """Join the walk for this target that runs already, or start one."""
        if not self._engines:
            raise closed_error()
        if to is not None:
            seeds = [to_endpoint(each).pack() for each in to]
            config = replace(config, width=MAX_DIRECT, wide_width=MAX_DIRECT, max_queries=MAX_DIRECT, subnet_limit=0)
            return Lookup(self._start(Walk(target, config, self._forget), method, seeds, noseed, is_fixed=True))
        key = (method, target, noseed)
        walk = self._walks.get(key)
        if walk is None or walk.config is not config:
            walk = self._start(Walk(target, config, self._forget, key), method, self._entry_hosts(), noseed)
        return Lookup(walk)

    def _start(self, walk: Walk, method: int, seeds: Sequence[bytes], noseed: bool, *, is_fixed: bool = False) -> Walk:
        if not walk.start(self._engines, method, seeds, is_fixed=is_fixed, noseed=noseed):
            raise DHTError(f"{self._config.lookups} lookups are running already; wait for one, or raise the limit")
        if walk.key is not None:
            self._walks[walk.key] = walk
        return walk

    def _forget(self, walk: Walk) -> None:
        if walk.key is not None and self._walks.get(walk.key) is walk:
            del self._walks[walk.key]

    def _entry_hosts(self) -> tuple[bytes, ...]:
        """Numeric bootstrap hosts, for as long as the tables are empty."""
        for engine in self._engines:
            if engine.core.has_contacts():
                return ()
        return self._hosts.numeric()

    async def _query(self, method: int, endpoint: Endpoint, **arguments: Any) -> tuple[dict[str, Any], float]:
        """One query to one node: its answer's slots and the round-trip time in seconds."""
        engine = self._engine_for(endpoint)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        engine.query(method, endpoint.pack(), lambda outcome: settle(future, outcome), **arguments)
        _, rtt_us, datagram, is_refused = await future
        if datagram is None:
            why = "refused by the network" if is_refused else f"no answer within {self._config.timeout_us / 1e6:g} s"
            raise NoResponse(f"{endpoint}: {why}")
        answer = krpc.parse(datagram)
        if answer is None or (answer["kind"] != "e" and "id" not in answer):
            raise RemoteError(203, f"{endpoint} sent an answer without an id")
        if answer["kind"] == "e":
            raise RemoteError(answer.get("error_code", 201), answer.get("error_text", b"").decode("utf-8", "replace"))
        return answer, rtt_us / 1e6

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

    def _add_engine(self, bind: Endpoint) -> None:
        family: Literal[4, 6] = 6 if bind.is_ipv6 else 4
        config = replace(self._config, family=family)
        rng = Random(self._entropy(32))
        transport = self._open_transport(bind)
        core = Core(config, self._choose_id(transport.local, rng), self._entropy(96), rng.getrandbits(64))
        engine = Engine(core, transport, self._clock, lookups=config.lookups, inbox=config.inbox)
        self._engines.append(engine)
        self._upkeeps.append(Upkeep(
            engine, family, self._hosts, self._lookup, rng, suspended_us if self._clock is monotonic_us else lambda: 0,
            keep_id=self._id is not None, reopen=lambda: engine.reopen(self._open_transport)))

    def _choose_id(self, local: Endpoint, rng: Random) -> bytes:
        """The id given, else one that BEP 42 accepts at a public bound address, else a random one."""
        if self._id is not None and not self._engines:
            return bytes(self._id)
        packed = local.pack()
        if AddressFilter(self._config.allowed_nets).allows(packed):
            return secure_id(packed, rng.getrandbits(64))
        return random_id(rng.getrandbits(64))

    def _link_families(self) -> None:
        """Let the first IPv4 and the first IPv6 participant answer for each other's nodes (BEP 32 `want`)."""
        first = {engine.transport.local.is_ipv6: engine.core for engine in reversed(self._engines)}
        if len(first) == 2:
            first[False].set_sibling(first[True])
            first[True].set_sibling(first[False])


def node_config(config: CoreConfig, allowed_nets: tuple[str, ...], read_only: bool, k: int, query_timeout: float,
                limits: str) -> CoreConfig:
    timeout_us = int(query_timeout * SECOND_US)
    if not 1 <= k <= 128:
        raise ConfigError(f"k is {k}; 1 to 128")
    config = replace(config, allowed_nets=config.allowed_nets + allowed_nets, read_only=config.read_only or read_only,
                     timeout_us=timeout_us, stall_us=min(config.stall_us, timeout_us),
                     table=replace(config.table, k=k) if k != TableConfig().k else config.table)
    return config.limits_off() if limits == "off" else config


def parse_bind(text: str) -> Endpoint:
    """An address to bind: like an endpoint, but the port may be 0."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"bind address {text!r}: address:port needed, with a port of 0 to 65535")
    try:
        return Endpoint.parse(f"{host}:1")._replace(port=int(port))
    except ValueError as error:
        raise ConfigError(f"bind address {text!r}: {error}") from None


def to_endpoint(value: Endpoint | str) -> Endpoint:
    return Endpoint.parse(value) if isinstance(value, str) else value


def settle(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():                   # its caller may have given up
        future.set_result(outcome)
