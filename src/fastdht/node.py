"""The public participant: joins the DHT, looks up, announces, serves. Rate class: lookup and command.

A Node runs one Core, socket and id per bound address (BEP 45); lookups walk every family at once and merge what they
find. It works on asyncio and on uvloop, in real time and, given a clock and a transport, in virtual time.
"""
from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Literal, Self

from fastdht import crypto
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.core import Core
from fastdht._ext.ids import is_secure, random_id, secure_id
from fastdht._ext.handles import Walks
from fastdht.blocklist import Blocklist
from fastdht.config import SECOND_US, CoreConfig, LookupConfig, TableConfig, public_bootstrap
from fastdht.engine.clock import monotonic_us, suspended_us, wall_s
from fastdht.engine.engine import MAX_TRANSACTIONS, Engine
from fastdht.engine.names import HostList
from fastdht.engine.saving import SavedHosts, Saver
from fastdht.engine.secrets import SharedSecrets
from fastdht.engine.transport import Transport, open_transport
from fastdht.engine.upkeep import PINGS_PER_TICK, Upkeep
from fastdht.errors import ConfigError
from fastdht.ops.keeping import Keeping
from fastdht.ops.swarms import SwarmCalls
from fastdht.ops.updates import Updates
from fastdht.ops.watching import QueryWatch, Watching
from fastdht.persist.state import SavedSocket
from fastdht.types import Endpoint, NodeId

WRITE_WIDTH = 16        # nodes whose answers are awaited before a write: the closest may refuse it


class Node(Keeping, Updates, SwarmCalls, Watching):
    """A participant of the DHT, used as `async with Node(...) as node:`.

    * bind: address and port, or several: "0.0.0.0:6881", ["0.0.0.0:6881", "[::]:6881"]; port 0 lets the system choose.
    * bootstrap: "public" for the well-known hosts, or host:port strings; empty for none.
    * allow_net: CIDR ranges that count as public besides those that are ("127.0.0.0/8" for tests on one machine); a
      node that has some keeps any number of contacts of one /16, as a network of one's own may stand in it.
    * node_id: 20 bytes to keep; by default one that fits our address (BEP 42), chosen anew when that changes.
    * read_only: ask, but serve nobody (BEP 43). limits: "node", or "off" to lift every rate limit.
    * blocklist: addresses to neither hear nor ask.
    * k: contacts per bucket. bucket_refresh: the most silent or new contacts pinged a second.
    * query_timeout: seconds after which a query has failed. query_concurrency: the most queries out at a time, 1 to
      131,072; None: as config says. lookup: how lookups walk.
    * enforce_node_id: keep no contact whose id does not fit its address (BEP 42).
    * public_ip: our address as others see it, where it is known; else learned from what they say.
    * token_secret: makes our write tokens outlive a restart; nodes that share one accept each other's.
    * state: a file that keeps ids and contacts between runs; one that cannot be used is set aside with a warning.
      save_stores: keep what others have announced and put as well, in `<state>.stores`.

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
        blocklist: Blocklist | None = None,
        limits: Literal["node", "off"] = "node",
        k: int = 8,
        query_timeout: float = 10.0,
        query_concurrency: int | None = None,
        bucket_refresh: int = PINGS_PER_TICK,
        enforce_node_id: bool = False,
        public_ip: str | None = None,
        token_secret: bytes | None = None,
        lookup: LookupConfig | None = None,
        state: str | os.PathLike[str] | None = None,
        save_stores: bool = False,
        config: CoreConfig | None = None,
        transport: Callable[[Endpoint], Transport] = open_transport,
        clock: Callable[[], int] = monotonic_us,
        entropy: Callable[[int], bytes] = os.urandom,
        wall: Callable[[], float] = wall_s,
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
        config = refine(config or CoreConfig(), blocklist, query_concurrency, enforce_node_id)
        self._config = node_config(config, tuple(allow_net), read_only, k, query_timeout, limits)
        self._bucket_refresh = check_range("bucket_refresh", bucket_refresh, 1000)
        self._public_ip = parse_public_ip(public_ip) if public_ip is not None else None
        self._secrets = SharedSecrets(token_secret, wall) if token_secret is not None else None
        self._lookup = lookup or LookupConfig()
        self._write_lookup = replace(self._lookup, width=max(WRITE_WIDTH, self._lookup.width))
        self._hosts = HostList(public_bootstrap() if bootstrap == "public" else bootstrap)
        self._open_transport = transport
        self._clock = clock
        self._entropy = entropy
        self._saver = Saver(Path(state).expanduser(), wall, has_stores=save_stores) if state is not None else None
        self._engines: list[Engine] = []
        self._upkeeps: list[Upkeep] = []
        self._walks = Walks(self._entry_hosts)
        self._watch: QueryWatch | None = None
        self._started_us = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def start(self) -> None:
        """Bind, begin to serve, and join in the background; raises ConfigError when an address cannot be bound."""
        if self._saver is not None:
            self._saver.load()
        try:
            for bind in self._binds:
                self._add_engine(bind)
        except BaseException:
            await self.close()
            raise
        self._link_families()
        self._walks.slots = [engine.lookups for engine in self._engines]
        self._started_us = self._clock()
        for engine, upkeep in zip(self._engines, self._upkeeps, strict=True):
            engine.start()
            upkeep.start()
        if self._saver is not None:
            self._saver.start(Random(self._entropy(32)))

    async def close(self) -> None:
        """Stop at once: lookups end as cancelled, queries still awaited as unanswered. May be called again."""
        self._walks.cancel()
        if self._saver is not None:
            await self._saver.stop()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        engines, upkeeps = self._engines, self._upkeeps
        self._engines, self._upkeeps, self._walks.slots = [], [], []
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

    async def joined(self) -> None:
        """Wait until one address family has found its neighbours; never fails, so give it a timeout."""
        self._first()
        waits = [asyncio.ensure_future(upkeep.joined.wait()) for upkeep in self._upkeeps]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _add_engine(self, bind: Endpoint) -> None:
        family: Literal[4, 6] = 6 if bind.is_ipv6 else 4
        config = replace(self._config, family=family)
        rng = Random(self._entropy(32))
        transport = self._open_transport(bind)
        saved = SavedSocket(str(bind), None) if self._saver is None else self._saver.recall(bind)
        own_id = self._choose_id(transport.local, rng, saved)
        core = Core(config, own_id, self._make_secret(), rng.getrandbits(64))
        engine = Engine(core, transport, self._clock, lookups=config.lookups, inbox=config.inbox,
                        verify=crypto.verify, transactions=config.transactions)
        self._engines.append(engine)
        self._upkeeps.append(Upkeep(
            engine, family, SavedHosts(self._hosts, saved.contacts), self._lookup, rng,
            suspended_us if self._clock is monotonic_us else lambda: 0,
            keep_id=self._id is not None, reopen=lambda: engine.reopen(self._open_transport),
            pings=self._bucket_refresh, secrets=self._secrets))
        if self._public_ip is not None and self._public_ip.is_ipv6 == bind.is_ipv6:
            self._upkeeps[-1].external.fix(self._public_ip.pack()[:-2])
        if self._saver is not None:
            self._saver.add(saved, engine, self._upkeeps[-1])

    def _choose_id(self, local: Endpoint, rng: Random, saved: SavedSocket) -> bytes:
        """The id given, else the saved one, else one that BEP 42 accepts at our public address, else a random one."""
        if self._id is not None and not self._engines:
            return bytes(self._id)
        if self._public_ip is not None and self._public_ip.is_ipv6 == local.is_ipv6:
            packed = self._public_ip.pack()
            if saved.id is not None and is_secure(bytes(saved.id), packed):
                return bytes(saved.id)
            return secure_id(packed, rng.getrandbits(64))
        if saved.id is not None:
            return bytes(saved.id)
        packed = local.pack() if saved.external is None else Endpoint(saved.external, local.port).pack()
        if AddressFilter(self._config.allowed_nets).allows(packed):
            return secure_id(packed, rng.getrandbits(64))
        return random_id(rng.getrandbits(64))

    def _make_secret(self) -> bytes:
        """What a core keeps to itself; the token secret in it is the one that starting will make the previous one."""
        secret = self._entropy(96)
        if self._secrets is None:
            return secret
        previous = self._secrets.derive(self._secrets.step - 1)
        return secret[:64] + previous + secret[64 + len(previous):]

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
    table = replace(config.table, k=k) if k != TableConfig().k else config.table
    if allowed_nets:                    # a network of one's own may well stand in one /16
        table = replace(table, network_limit=0)
    config = replace(config, allowed_nets=config.allowed_nets + allowed_nets, read_only=config.read_only or read_only,
                     timeout_us=timeout_us, stall_us=min(config.stall_us, timeout_us), table=table)
    return config.limits_off() if limits == "off" else config


def refine(config: CoreConfig, blocklist: Blocklist | None, query_concurrency: int | None,
           enforce_node_id: bool) -> CoreConfig:
    if blocklist is not None:
        config = replace(config, blocklist=blocklist)
    if query_concurrency is not None:
        config = replace(config, transactions=check_range("query_concurrency", query_concurrency, MAX_TRANSACTIONS))
    return replace(config, table=replace(config.table, only_secure=True)) if enforce_node_id else config


def parse_bind(text: str) -> Endpoint:
    """An address to bind: like an endpoint, but the port may be 0."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"bind address {text!r}: address:port needed, with a port of 0 to 65535")
    try:
        return Endpoint.parse(f"{host}:1")._replace(port=int(port))
    except ValueError as error:
        raise ConfigError(f"bind address {text!r}: {error}") from None


def check_range(name: str, value: int, limit: int) -> int:
    if not 1 <= value <= limit:
        raise ConfigError(f"{name} is {value}; 1 to {limit}")
    return value


def parse_public_ip(text: str) -> Endpoint:
    """An address with or without a port; the port does not count."""
    try:
        return Endpoint(str(ipaddress.ip_address(text)), 1)
    except ValueError:
        pass
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise ConfigError(f"public_ip {text!r}: {error}") from None
