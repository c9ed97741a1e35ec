"""Statistics for Prometheus: those of a node, and how any are served. Rate class: second.

They are read when they are asked for, on the loop of what they tell of, so that no number is read while a batch
changes it.
"""
from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from fastdht.errors import ConfigError
from fastdht.node import Node
from fastdht.stats import SocketStats
from fastdht.types import Endpoint

MAX_REQUEST = 8192          # bytes read of a request's head
REQUEST_S = 5.0
GAUGES = {
    "contacts": "Verified contacts in the routing table.",
    "lookups": "Lookups under way.",
    "transactions": "Queries out.",
    "info_hashes": "Torrents that peers are stored for.",
    "peers": "Peers stored.",
    "items": "Items stored (BEP 44).",
}


class NodeCollector(Collector):
    """Turns node.stats() into metrics; labels name the bound address."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        stats = self._node.stats()
        uptime = GaugeMetricFamily("fastdht_uptime_seconds", "Since the node was started.")
        uptime.add_metric([], stats.uptime)
        yield uptime
        for name, meaning in GAUGES.items():
            gauge = GaugeMetricFamily(f"fastdht_{name}", meaning, labels=["socket"])
            for each in stats.sockets:
                gauge.add_metric([str(each.endpoint)], getattr(each, name))
            yield gauge
        yield from counters(stats.sockets)


def counters(sockets: tuple[SocketStats, ...]) -> Iterator[Metric]:
    events = CounterMetricFamily("fastdht_events", "What the node has counted.", labels=["socket", "event"])
    queries = CounterMetricFamily("fastdht_queries_handled", "Queries of others.", labels=["socket", "method"])
    system = GaugeMetricFamily("fastdht_socket", "What the socket has counted.", labels=["socket", "name"])
    for each in sockets:
        where = str(each.endpoint)
        for name, count in each.counters.items():
            events.add_metric([where, name], count)
        for name, count in each.methods.items():
            queries.add_metric([where, name], count)
        for name, count in each.socket.items():
            system.add_metric([where, name], count)
    yield from (events, queries, system)


@contextlib.asynccontextmanager
async def serve_metrics(collector: Collector, where: Endpoint) -> AsyncIterator[str]:
    """Answer GET /metrics at `where` (port 0: any); gives the URL. Raises ConfigError when it cannot listen."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(respond(head, registry))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, where.ip, where.port, limit=MAX_REQUEST)
    except OSError as error:
        raise ConfigError(f"cannot serve metrics on {where}: {error.strerror or error}") from error
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://{Endpoint(where.ip, port)}/metrics"


def respond(head: bytes, registry: CollectorRegistry) -> bytes:
    line = head.split(b"\r\n", 1)[0].split(b" ")
    is_known = len(line) == 3 and line[0] == b"GET" and line[1].partition(b"?")[0] in (b"/", b"/metrics")
    body = generate_latest(registry) if is_known else b"GET /metrics\n"
    kind = CONTENT_TYPE_PLAIN_0_0_4 if is_known else "text/plain"
    status = "200 OK" if is_known else "404 Not Found"
    return (f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            ).encode() + body
