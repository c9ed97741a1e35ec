"""What a crawl will cost, before it is begun. Rate class: command.

Arithmetic on the figures of docs/crawl.md (half of all named contacts dead, 1 % of datagrams lost each way); the size
of the network is the caller's guess, and everything here is proportional to it.
"""
from __future__ import annotations

from dataclasses import dataclass

from fastdht.crawl.settings import CrawlConfig

CONTACTS_PER_FOUND = 2.02
MESSAGES_PER_FOUND = {"fast": 2.04, "standard": 3.47, "exhaustive": 19.6, "random": 2.04, "own": 2.04}
ANSWERS_PER_FOUND = {"fast": 1.0, "standard": 1.96, "exhaustive": 17.0, "random": 1.0, "own": 1.0}
TWO_STANDARD_PASSES = 5.93      # without the retries, which a second pass makes needless
QUERY_BYTES, ANSWER_BYTES = 140, 330        # on the wire, with IP, UDP and Ethernet headers
ROW_BYTES = {"parquet": 64, "jsonl": 150}
EDGE_BYTES = {"parquet": 10, "jsonl": 58}
CONTACTS_PER_ANSWER = 8
CHECKPOINT_BYTES = 34           # a contact, and while a new one is written there are two
UNLIMITED_RATE = 100_000        # packets/s that one core does


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate; `limit` says which limit ends the crawl before its end, if one does."""

    nodes: int
    packets: int
    minutes: float
    mbit_out: float
    mbit_in: float
    nat_entries: int            # remote endpoints: a translator keeps one entry for each until it forgets
    nat_entries_per_minute: int
    disk_bytes: int
    limit: str = ""


def estimate(config: CrawlConfig, network: int, format_: str, zones: int = 1) -> Cost:
    """What crawling a network of `network` reachable nodes with this configuration takes."""
    nodes = network / (1 << config.zone.bits)
    per_found = MESSAGES_PER_FOUND[config.depth] * config.passes
    if config.depth == "standard" and config.passes == 2:
        per_found = TWO_STANDARD_PASSES
    rate = config.rate or UNLIMITED_RATE
    limits = [(nodes * per_found / rate, "")]
    if config.time_s:
        limits.append((config.time_s, "time"))
    if config.max_nodes:
        limits.append((config.max_nodes * per_found / rate, "max-nodes"))
    if config.max_disk:
        limits.append((config.max_disk / disk(1.0, config, format_, zones) * per_found / rate, "max-disk"))
    seconds, limit = min(limits)
    packets = seconds * rate
    nodes = packets / per_found
    answers = nodes * ANSWERS_PER_FOUND[config.depth] * config.passes
    contacts = nodes * CONTACTS_PER_FOUND
    return Cost(
        nodes=round(nodes), packets=round(packets), minutes=seconds / 60, mbit_out=rate * QUERY_BYTES * 8 / 1e6,
        mbit_in=answers / max(seconds, 1e-9) * ANSWER_BYTES * 8 / 1e6, nat_entries=round(contacts),
        nat_entries_per_minute=round(contacts / max(seconds / 60, 1.0)),
        disk_bytes=round(disk(nodes, config, format_, zones)), limit=limit)


def disk(nodes: float, config: CrawlConfig, format_: str, zones: int) -> float:
    contacts = nodes * CONTACTS_PER_FOUND / zones * config.passes
    edges = nodes * ANSWERS_PER_FOUND[config.depth] * config.passes * CONTACTS_PER_ANSWER if config.edges else 0
    return nodes * ROW_BYTES[format_] + edges * EDGE_BYTES[format_] + 2 * contacts * CHECKPOINT_BYTES
