"""A harvest: what the nodes of a network tell of the infohashes they store (BEP 51). Rate class: second.

It is a crawl of standard depth whose first question to each contact is sample_infohashes with a random target, which
tells of nodes as well. No question for samples is ever repeated: if its answer was lost, the node has been asked all
the same. Nodes are left alone until the interval they told has passed, by a ledger that outlives the run.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from fastdht._ext.ledger import HEADER_SIZE, Ledger
from fastdht._ext.samples_tally import SampleTally
from fastdht.crawl.estimate import ASSUMPTIONS, HashEstimate, estimate
from fastdht.crawl.records import CrawlResult

MEMORY_ENTRIES = 1 << 20
ESTIMATED_EVERY = 1.1       # times as many infohashes as at the last estimate: each reads the whole tally
COUNTED = ("sample_queries", "not_due", "refused", "fallbacks", "samplers", "samples", "samples_lost", "num_sum")


class SampleSink(Protocol):
    """Takes blocks of packed samples."""

    def write(self, block: bytes, now_us: int) -> None: ...
    def close(self) -> None: ...


class LedgerKeeper(Protocol):
    """Holds the ledger of a harvest: crawl.ledger.LedgerFile."""

    ledger: Ledger

    def tend(self, now_us: int, offset_us: int) -> None: ...


class MemoryLedger:
    """A ledger that ends with the run, for networks of one's own: it has room for half a million nodes."""

    def __init__(self, offset_us: int) -> None:
        self.ledger = Ledger(bytearray(HEADER_SIZE + 16 * MEMORY_ENTRIES), bytes(16), offset_us)

    def tend(self, now_us: int, offset_us: int) -> None:
        self.ledger.set_wall_offset(offset_us)


class SampleKeeper:
    """Counts samples and passes them on to `sink`; `offset` gives Unix time less the crawl's clock, in µs."""

    def __init__(self, keeper: LedgerKeeper, sink: SampleSink, offset: Callable[[], int], seed: int = 0) -> None:
        self._keeper = keeper
        self._sink = sink
        self._offset = offset
        self.tally = SampleTally(seed)
        self._sums: dict[str, float] = {}       # of the tally, a while ago

    @property
    def ledger(self) -> Ledger:
        return self._keeper.ledger

    def tend(self, now_us: int) -> None:
        """Ten times a second: let the ledger grow. Raises PersistError."""
        self._keeper.tend(now_us, self._offset())

    def write(self, block: bytes, now_us: int) -> None:
        """In the writer's thread."""
        self.tally.add(block)
        if len(self.tally) > ESTIMATED_EVERY * self._sums.get("distinct", 0):
            self._sums = self.tally.sums()      # here, for a tally that grows must not be read from elsewhere
        self._sink.write(block, now_us)

    def seen(self, nodes: int, samplers: int) -> tuple[int, float | None]:
        """Different infohashes until now, and their estimated share of what is stored. In the loop's thread."""
        coverage = estimate(self._sums, nodes=nodes, samplers=samplers).coverage if self._sums else None
        return len(self.tally), coverage

    def close(self) -> None:
        self._sink.close()


@dataclass(frozen=True, slots=True)
class HarvestResult:
    """What a harvest found, what it cost, and how much there is."""

    crawl: CrawlResult
    counts: dict[str, int]      # COUNTED
    estimate: HashEstimate

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the keys of a census, and those of a harvest."""
        guessed = {name: round(value, 4) if isinstance(value, float) else value
                   for name, value in asdict(self.estimate).items()}
        queries = self.counts["sample_queries"]
        return {"mode": "harvest", **self.crawl.as_dict(), **self.counts, **guessed,
                "new_per_query": round(self.estimate.infohashes / queries, 4) if queries else 0.0,
                "assumptions": list(ASSUMPTIONS)}


def summarize(crawl: CrawlResult, counts: Iterable[int], tally: SampleTally) -> HarvestResult:
    """`counts` in the order of COUNTED."""
    named = dict(zip(COUNTED, counts, strict=True))
    return HarvestResult(crawl, named, estimate(
        tally.sums(), nodes=crawl.found, samplers=named["samplers"]))
