"""What a crawl writes: the rows of found nodes, and its summary. Rate class: command.

One schema for all formats; JSONL has the same names and order as Parquet. Compiled code fills packed rows
(`_ext/rows.pxd`), which become columns or lines without an object per row.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Self

from fastdht.crawl.recall import combined_fields

FORMATS = ("parquet", "jsonl")


class Column(NamedTuple):
    """One column of the nodes table; `kind` is a name of an Arrow type."""

    name: str
    kind: str
    meaning: str


NODE_COLUMNS = (
    Column("ip", "string", "address: dotted, or as RFC 5952 writes IPv6"),
    Column("port", "uint16", "UDP port"),
    Column("id", "string", "node id, 40 hexadecimal digits"),
    Column("status", "string", "ok: answered under the id it was named with; renamed: twice under another one"),
    Column("rtt_us", "uint32", "round-trip time of the answer that proved it, in microseconds"),
    Column("v", "string", "client version of that answer, 8 hexadecimal digits; null when it had none of 4 bytes"),
    Column("bep42", "bool", "whether BEP 42 accepts the id at this address"),
)

EDGE_COLUMNS = (
    Column("from_id", "string", "of the node that answered: the first 16 hexadecimal digits of its id"),
    Column("to_id", "string", "of a contact that its answer named, likewise"),
)

SAMPLE_COLUMNS = (
    Column("info_hash", "string", "40 hexadecimal digits"),
    Column("ip", "string", "of the node that showed it"),
    Column("port", "uint16", "its UDP port"),
    Column("num", "uint32", "how many infohashes the node said it stores"),
    Column("interval", "uint32", "seconds that it asked to be left alone, at most 21,600"),
    Column("t", "uint32", "Unix time of the answer"),
)

PEER_COLUMNS = (
    Column("info_hash", "string", "40 hexadecimal digits"),
    Column("peer", "string", "address and port; its network; or a keyed hash: as `anonymize` in crawl.json says"),
)

SWARM_COLUMNS = (
    Column("info_hash", "string", "40 hexadecimal digits"),
    Column("peers", "int32", "found"),
    Column("asked", "int32", "nodes"),
    Column("answered", "int32", "of them"),
    Column("outcome", "string", "done, late (deadline) or exhausted (budget of queries)"),
)

SCRAPE_COLUMNS = (
    Column("info_hash", "string", "40 hexadecimal digits"),
    Column("seeds", "int32", "addresses that have it all; an estimate (BEP 33)"),
    Column("seeds_low", "int32", "with 95 % confidence no fewer"),
    Column("seeds_high", "int32", "nor more; null when the filters are saturated"),
    Column("downloaders", "int32", "other addresses; an estimate"),
    Column("downloaders_low", "int32", "with 95 % confidence no fewer"),
    Column("downloaders_high", "int32", "nor more; null when the filters are saturated"),
    Column("is_saturated", "bool", "whether filters had no zero bit left: there are at least `low`"),
    Column("filters", "int32", "nodes that sent some"),
    Column("asked", "int32", "nodes"),
    Column("answered", "int32", "of them"),
    Column("outcome", "string", "done, late (deadline) or exhausted (budget of queries)"),
)

METADATA_COLUMNS = (
    Column("info_hash", "string", "20 bytes as 40 hexadecimal digits; of a v2 torrent the first 20 of its SHA-256"),
    Column("status", "string", "ok, no_peers, failed (all peers tried), unreadable (right hash, but no torrent)"),
    Column("name", "string", "of the torrent, at most 1,024 characters"),
    Column("size", "int64", "bytes of content"),
    Column("files", "int32", "without padding files (BEP 47)"),
    Column("piece_length", "int64", "bytes"),
    Column("private", "bool", "whether the torrent asks not to be found by the DHT (BEP 27)"),
    Column("version", "string", "v1, v2 or hybrid (BEP 52)"),
    Column("metadata_size", "int32", "bytes of the info dictionary"),
    Column("peers", "int32", "known"),
    Column("tried", "int32", "peers that were connected to"),
    Column("seconds", "float64", "from the first look to the result"),
    Column("client", "string", "what the peer that sent it calls itself"),
    Column("error", "string", "of the last peer tried, where none sent it"),
)


# Summed over the zones of a crawl.
SUMMED = ("found", "contacts", "sent", "answered", "timeouts", "kernel_drops", "renamed", "retries", "found_twice",
          "not_asked", "edges", "edges_dropped", "control_asked", "control_answered", "elapsed_s")

COHORT_COLUMNS = (
    Column("ip", "string", "address when it was chosen"),
    Column("port", "uint16", "UDP port"),
    Column("id", "string", "node id, 40 hexadecimal digits"),
)

VISIT_COLUMNS = (
    Column("round", "int32", "from 0"),
    Column("t", "float64", "Unix time of the visit"),
    Column("ip", "string", "of the node that was looked for"),
    Column("port", "uint16", "its UDP port"),
    Column("id", "string", "its id, 40 hexadecimal digits"),
    Column("outcome", "string", "alive, renamed (another id answered), error (a KRPC error), silent or refused (ICMP)"),
    Column("seen_id", "string", "the id that answered, where it is another one"),
    Column("rtt_us", "uint32", "round-trip time in microseconds; 0 without an answer"),
    Column("tries", "uint8", "pings sent: 1 or 2"),
    Column("unobserved", "string", "no answers (our own network was out), standstill or cut short: the outcome says "
                                   "nothing of the node; null when it does"),
)

SESSION_COLUMNS = (
    Column("ip", "string", "of the node"),
    Column("port", "uint16", "its UDP port"),
    Column("id", "string", "its id, 40 hexadecimal digits"),
    Column("start", "float64", "Unix time; half-way between the last miss and the first answer"),
    Column("end", "float64", "Unix time; half-way between the last answer and the first miss"),
    Column("left_censored", "bool", "it had begun before `start`"),
    Column("right_censored", "bool", "it went on after `end`"),
    Column("visits", "int32", "answered"),
)

ROUND_COLUMNS = (
    Column("round", "int32", "from 0"),
    Column("t", "float64", "Unix time of its beginning"),
    Column("visits", "int32", "made and observed"),
    Column("alive", "int32", "answered under their id"),
    Column("renamed", "int32", "answered under another id"),
    Column("error", "int32", "answered with an error"),
    Column("silent", "int32", "did not answer"),
    Column("refused", "int32", "nobody listens there, says ICMP"),
    Column("unobserved", "int32", "nodes of which the round tells nothing"),
    Column("reason", "string", "why; no visits: the monitor did not run or slept; null when all were observed"),
)

MOVE_COLUMNS = (
    Column("t", "float64", "Unix time when it was found elsewhere"),
    Column("ip", "string", "of the node that had gone"),
    Column("port", "uint16", "its UDP port"),
    Column("id", "string", "its id, 40 hexadecimal digits"),
    Column("new_ip", "string", "where that id answers now"),
    Column("new_port", "uint16", "its UDP port there"),
)

TARGET_COLUMNS = (
    Column("round", "int32", "from 0"),
    Column("t", "float64", "Unix time when the look-up began"),
    Column("target", "string", "40 hexadecimal digits"),
    Column("peers", "int32", "different peers that nodes named"),
    Column("seeds", "float64", "estimate of BEP 33; null where no node answers it"),
    Column("downloaders", "float64", "likewise, of those that are no seeds"),
    Column("asked", "int32", "nodes"),
    Column("answered", "int32", "of them; 0: nothing is known of this round"),
    Column("closest", "int32", "of the eight closest nodes, how many answered"),
    Column("stayed", "int32", "how many of these were among the eight closest of the last round that knew any"),
)


@dataclass(frozen=True, slots=True)
class CrawlResult:
    """What a crawl found and what it cost; all passes together."""

    found: int                  # nodes: rows written
    contacts: int               # endpoints heard of that may be asked, of the pass that heard of most
    sent: int                   # queries
    answered: int               # with an id of their own
    timeouts: int
    filtered: dict[str, int] = field(default_factory=dict)     # contacts and answers not counted, by reason
    msgs_per_found: float = 0.0
    rpc_per_s: float = 0.0      # queries sent and settled by an answer, per second of the whole crawl
    found_per_s: float = 0.0
    elapsed_s: float = 0.0
    kernel_drops: int = 0       # datagrams that our own receive buffer had no room for
    max_packets_per_ip: int = 0     # at most: those of all passes, and of the control group
    complete: bool = False      # everything heard of was asked, and nothing was left out for want of room
    reason: str = ""            # why not, when not complete
    depth: str = "standard"
    zone: str | None = None
    passes: int = 1
    seed: int = 0
    renamed: int = 0            # nodes that answered under another id than they were named with
    retries: int = 0
    found_twice: int = 0        # nodes that both of two passes found: the overlap of a capture-recapture estimate
    not_asked: int = 0          # questions given up at the end: their addresses had too many contacts for their pace
    longest_pause_ms: float = 0.0   # the event loop's worst delay
    edges: int = 0              # rows of who names whom
    edges_dropped: int = 0      # for want of room
    families: dict[str, dict[str, int]] = field(default_factory=dict)  # found, contacts, sent, answered where both are
    control_asked: int = 0      # questions to the control group, which `sent` counts too …
    control_answered: int = 0   # … and its answers, which `answered` does not
    reachable_estimate: float | None = None     # nodes that a perfect crawl would list; None: too little was seen
    recall_estimate: float | None = None        # found / reachable_estimate, with its 95 % interval
    recall_low: float | None = None
    recall_high: float | None = None
    recall_method: str = ""
    recall_assumptions: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `as_dict` gave."""
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; figures rounded to what they are worth."""
        values = asdict(self)
        for name in ("msgs_per_found", "rpc_per_s", "found_per_s", "elapsed_s", "longest_pause_ms"):
            values[name] = round(values[name], 4)
        return values


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a running crawl, for whoever watches."""

    elapsed_s: float
    pass_number: int
    found: int
    sent: int
    answered: int
    contacts: int
    queued: int
    in_flight: int
    rate: float                 # packets/s since the last report
    found_rate: float
    kernel_drops: int
    zone: str = ""              # which of how many, as 3/256; empty where there is one
    infohashes: int | None = None       # of a harvest: different ones seen
    coverage: float | None = None       # of a harvest: their share of what the nodes found store, an estimate
    control: float | None = None        # share of a control group that answers

    def after(self, done: Progress | None, zone: str) -> Progress:
        """This state with what earlier zones came to added."""
        if done is None:
            return replace(self, zone=zone)
        names = ("elapsed_s", "found", "sent", "answered", "contacts", "kernel_drops")
        return replace(self, zone=zone, **{name: getattr(self, name) + getattr(done, name) for name in names})


def combine(results: Sequence[CrawlResult], reason: str = "", workers: int = 1) -> CrawlResult:
    """The results of several zones, crawled so many at a time, as one; `reason` is why not all were crawled."""
    totals: dict[str, Any] = {name: sum(getattr(each, name) for each in results) for name in SUMMED}
    filtered: Counter[str] = Counter()
    families: dict[str, Counter[str]] = {}
    for each in results:
        filtered.update(each.filtered)
        for name, counts in each.families.items():
            families.setdefault(name, Counter()).update(counts)
    totals["elapsed_s"] /= workers
    elapsed = max(totals["elapsed_s"], 1e-6)
    reasons = [each.reason for each in results if each.reason] + [reason] * bool(reason)
    return replace(
        results[0] if results else CrawlResult(0, 0, 0, 0, 0), **totals, filtered=dict(filtered),
        families={name: dict(counts) for name, counts in families.items()},
        msgs_per_found=totals["sent"] / totals["found"] if totals["found"] else 0.0,
        rpc_per_s=totals["answered"] / elapsed, found_per_s=totals["found"] / elapsed,
        max_packets_per_ip=max((each.max_packets_per_ip for each in results), default=0),
        longest_pause_ms=max((each.longest_pause_ms for each in results), default=0.0),
        complete=not reasons, reason=reasons[0] if reasons else "", **combined_fields([] if reasons else results))
