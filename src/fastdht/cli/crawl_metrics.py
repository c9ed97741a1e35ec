"""What a running crawl tells Prometheus. Rate class: second.

One table of names, for all modes: each tells of those that it knows. docs/crawl.md and docs/grafana use them.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "fastdht_crawl_"
TOTAL = "_total"            # ends the name of what only grows
METRICS = {
    "found_total": "Nodes found: rows written.",
    "sent_total": "Queries sent.",
    "answered_total": "Queries answered.",
    "kernel_drops_total": "Datagrams that our own receive buffer had no room for.",
    "contacts": "Endpoints heard of that may be asked, in this pass of this zone and in the zones before it.",
    "queued": "Questions waiting to be asked.",
    "in_flight": "Queries out.",
    "rate_packets_per_second": "Queries sent in the last half second, per second.",
    "found_per_second": "Nodes found in the last half second, per second.",
    "elapsed_seconds": "Since the beginning, earlier attempts included.",
    "pass": "Which pass is under way, from 1.",
    "control_answered_ratio": "Share of the control group that answers.",
    "infohashes": "Different infohashes: seen by a harvest, worked off by a look-up of peers.",
    "coverage_ratio": "Share of the infohashes stored on the nodes found that a harvest has seen, an estimate.",
    "peers": "Peers found.",
    "unanswered": "Infohashes for which no node answered.",
    "round": "Of a monitor, from 0: the last that has ended.",
    "visits_total": "Of a monitor, observed.",
    "alive_ratio": "Share of the last round's visits that were answered by the node itself.",
    "zones": "Of an estimate of the size: zones counted.",
}


class CrawlCollector(Collector):
    """Gives what `read` returns: figures by their name in METRICS, None for what is not known yet."""

    def __init__(self, read: Callable[[], Mapping[str, float | None]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, value in self._read().items():
            if value is None:
                continue
            kind = CounterMetricFamily if name.endswith(TOTAL) else GaugeMetricFamily
            yield kind(PREFIX + name.removesuffix(TOTAL), METRICS[name], value=value)
