"""What goes on at a node: its statistics, the queries of others, and any query of one's own. Rate class: second.

Theory of operation of observers. The packet path notes each handled query in a ring of fixed size, and no more. Ten
times a second, as much of the ring as a hundredth of a second allows is handed to the observers; what is left waits,
what finds the ring full is counted as lost. An observer that raises is logged once and removed. So watching costs a
node a bounded share of its time, and nothing that an observer does reaches a packet.
"""
from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from fastdht import bencode
from fastdht._ext import krpc
from fastdht._ext.core import METHOD_NAMES
from fastdht._ext.observed import QueryLog
from fastdht.config import SECOND_US
from fastdht.engine.engine import Engine
from fastdht.errors import ConfigError, DecodeError, LocalProtocolError, RemoteError
from fastdht.ops.asking import Asking, raise_error, to_endpoint
from fastdht.stats import NodeStats, SocketStats
from fastdht.types import Contact, Endpoint, IncomingQuery, NodeId

log = logging.getLogger(__name__)

MAX_WATCHED = 1 << 20       # queries one observer may have waiting
MAX_DATAGRAM = 1472         # 1500 less IPv4 and UDP headers
TID_SIZE = 4
VERSION = b"1:v4:FD\0\1"     # as krpc.pyx says it
PERIOD_S = 0.1
SHARE_US = 10_000           # of each period, for callbacks
RING = 4096                 # queries noted per address between two periods: 40,000 a second
SLICE = 16                  # queries handed over between two looks at the clock


class Watching(Asking):
    """stats, counters, contacts, observe, query."""

    _watch: QueryWatch | None
    _started_us: int

    def contacts(self) -> list[Contact]:
        """Verified contacts of the routing tables."""
        return [Contact(NodeId(entry[0]), Endpoint.unpack(entry[1]))
                for engine in self._engines for entry in engine.core.table.contacts()]

    def counters(self) -> dict[str, Any]:
        """What the first address's core and socket have counted since the start."""
        engine = self._first()
        return {**engine.core.counters(), "socket": engine.transport.counters(), "contacts": len(engine.core.table)}

    def stats(self) -> NodeStats:
        """What the node holds now, and what it has counted since the start. Raises NodeClosed when it is closed."""
        now = self._first().clock()
        return NodeStats((now - self._started_us) / SECOND_US, tuple(map(socket_stats, self._engines)))

    def observe(self, callback: Callable[[IncomingQuery], None] | None = None, *, capacity: int = 1024) -> Observer:
        """Watch the queries of other nodes: `callback` is called with each, or iterate over the observer.

        It sees every query that the limits admit, on every address, up to a tenth of a second late. capacity: queries
        that may wait for an iterator, 1 to 1,048,576; more are counted in its `lost`. A callback runs on the event
        loop and must not wait; one that raises is logged once and removed. Raises ConfigError for a capacity outside
        its bounds.
        """
        self._first()
        if not 1 <= capacity <= MAX_WATCHED:
            raise ConfigError(f"capacity is {capacity}; 1 to {MAX_WATCHED} queries")
        if self._watch is None:
            self._watch = QueryWatch(self._engines)
        return Observer(self._watch, callback, capacity)

    async def query(self, method: str, endpoint: Endpoint | str,
                    arguments: Mapping[str, object] | None = None) -> dict[bytes, Any]:
        """Ask one node anything: any method, any arguments that can be bencoded; for what has no call of its own.

        `id` is added to the arguments unless it is among them, `t`, `v` and `ro` (BEP 43) to the message. Returns the
        `r` of the answer as fastdht.bencode decodes it. Raises RemoteError for an answer that is an error or has no
        `r`, NoResponse for none, LocalProtocolError for what cannot be bencoded or is too large for a datagram.
        """
        remote = to_endpoint(endpoint)
        engine = self._engine_for(remote)
        head, tail = raw_query(method, {"id": bytes(engine.core.own_id)} | dict(arguments or {}),
                               self._config.read_only)
        packed = remote.pack()
        datagram, _ = await self._ask(remote, lambda engine, told: engine.query_raw(packed, head, tail, told))
        slots = krpc.parse(datagram)
        if slots is not None:
            raise_error(slots)
        try:
            answer = bencode.decode(datagram, strict=False)[b"r"]
        except (DecodeError, KeyError):
            answer = None
        if not isinstance(answer, dict):
            raise RemoteError(203, f"{remote} sent an answer without results")
        return answer


class Observer:
    """Watches the queries that a node handles; ends with `close`, at the end of a `with`, or with its node."""

    def __init__(self, watch: QueryWatch, callback: Callable[[IncomingQuery], None] | None, capacity: int) -> None:
        self._watch = watch
        self._callback = callback
        self._waiting: deque[IncomingQuery] = deque()
        self._capacity = capacity
        self._wake = asyncio.Event()
        self._missed = -watch.lost      # those before our time are not ours
        self.is_closed = False
        watch.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    @property
    def lost(self) -> int:
        """Queries not seen because they came faster than they were handed over, or taken."""
        return self._missed if self.is_closed else self._missed + self._watch.lost

    def close(self) -> None:
        """Stop watching; what waits for an iterator stays. May be called again."""
        if not self.is_closed:
            self._missed = self.lost
            self.is_closed = True
            self._watch.remove(self)
            self._wake.set()

    async def __aiter__(self) -> AsyncIterator[IncomingQuery]:
        """Queries as they come, until the observer is closed. Not for an observer with a callback."""
        if self._callback is not None:
            raise ConfigError("this observer calls back; one without a callback can be iterated over")
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self.is_closed:
                return
            self._wake.clear()
            await self._wake.wait()

    def give(self, query: IncomingQuery) -> None:
        """Hand over one query; never raises."""
        if self._callback is None:
            if len(self._waiting) < self._capacity:
                self._waiting.append(query)
                self._wake.set()
            else:
                self._missed += 1
            return
        try:
            self._callback(query)
        except Exception:
            log.exception("an observer of queries failed and has been removed")
            self.close()


class QueryWatch:
    """The rings of one node and who reads them; the packet path knows of it only while somebody does."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self._logs = [QueryLog(RING) for _ in engines]
        self._observers: list[Observer] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lost(self) -> int:
        return sum(kept.lost for kept in self._logs)

    def add(self, observer: Observer) -> None:
        self._observers.append(observer)
        if self._timer is None:
            for engine, kept in zip(self._engines, self._logs, strict=True):
                engine.core.watch_queries(kept)
            self._rest()

    def remove(self, observer: Observer) -> None:
        self._observers.remove(observer)
        if not self._observers and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            for engine, kept in zip(self._engines, self._logs, strict=True):
                engine.core.watch_queries(None)
                kept.skip()

    def close(self) -> None:
        for observer in list(self._observers):
            observer.close()

    def _rest(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._hand_over)

    def _hand_over(self) -> None:
        """One period's work; time that is up leaves the rest in the rings."""
        self._rest()
        clock = self._engines[0].clock
        end = clock() + SHARE_US
        for kept in self._logs:
            while kept.count and self._observers:
                for record in kept.take(SLICE):
                    query = incoming(record)
                    for observer in tuple(self._observers):
                        observer.give(query)
                if clock() >= end:
                    return


def incoming(record: tuple[int, bytes, bytes, bytes | None]) -> IncomingQuery:
    method, source, node_id, target = record
    return IncomingQuery(METHOD_NAMES[method], Endpoint.unpack(source), NodeId(node_id),
                         None if target is None else NodeId(target))


def socket_stats(engine: Engine) -> SocketStats:
    core = engine.core
    counters = core.counters()
    methods = counters.pop("methods")
    return SocketStats(
        endpoint=engine.transport.local, id=NodeId(core.own_id), contacts=len(core.table),
        lookups=core.lookups_open, transactions=core.transactions_open, info_hashes=core.peers.info_hash_count,
        peers=core.peers.peer_count, items=core.items.item_count, counters=counters, methods=methods,
        socket=engine.transport.counters())


def raw_query(method: str, arguments: dict[str, object], is_read_only: bool) -> tuple[bytes, bytes]:
    """A query as two parts, between which the transaction id goes. Keys stand in the order of their bytes."""
    try:
        encoded = bencode.encode(arguments)
        name = bencode.encode(method)
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(f"arguments of {method!r}: {error}") from None
    head = b"d1:a" + encoded + b"1:q" + name + (b"2:roi1e" if is_read_only else b"") + b"1:t4:"
    tail = VERSION + b"1:y1:qe"
    size = len(head) + TID_SIZE + len(tail)
    if size > MAX_DATAGRAM:
        raise LocalProtocolError(f"query is {size} bytes; {MAX_DATAGRAM} fit one datagram")
    return head, tail
