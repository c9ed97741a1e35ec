"""What the pages of peers and of scrapes have in common: what an infohash cost. Rate class: command."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdht.crawl.report import plots
from fastdht.crawl.report.columns import counted, even_bins, octaves
from fastdht.crawl.report.content import Fact, Section, Source, counts_table, decimal, number, percent, ratio, seconds

if TYPE_CHECKING:
    import pyarrow

UNDONE = (
    "Nothing was announced, and no content was asked for.",
    "Peers that do not announce themselves in the DHT are not seen; some that did have gone since.",
)


def facts(source: Source) -> list[Fact]:
    """The figures of both."""
    summary = source.summary
    return [
        ("Infohashes", number(summary.get("infohashes")), f"{number(summary.get('with_peers'))} of them with peers"),
        ("State", str(source.note.get("state", "unknown")), ""),
        ("Queries sent", number(summary.get("sent")), f"{decimal(summary.get('msgs_per_hash'))} per infohash"),
        ("Answered", percent(ratio(summary.get("answered"), summary.get("sent"))), "of the queries"),
        ("Not answered at all", number(summary.get("unanswered")), "infohashes"),
        ("Rate", number(summary.get("hashes_per_s")), "infohashes per second"),
        ("Time", seconds(summary.get("elapsed_s")), ""),
    ]


def spread(column: pyarrow.ChunkedArray, heading: str, what: str, text: str = "") -> list[Section]:
    """How a count is distributed over infohashes; its mean and median."""
    import pyarrow.compute as compute

    rows = octaves(column)
    if not rows:
        return []
    middle = compute.quantile(column, 0.5)[0].as_py()
    line = f"Mean {compute.mean(column).as_py():,.1f}, median {middle:,.0f}, most {compute.max(column).as_py():,}."
    plot = plots.columns_plot([(f"{least:,}", count) for least, count in rows], heading, f"{what}, at least",
                              "infohashes")
    return [Section(heading, " ".join(filter(None, (line, text))), plot)]


def cost(rows: pyarrow.Table) -> list[Section]:
    """How many nodes each infohash took, and how its look-up ended."""
    if not len(rows):
        return []
    asked = plots.columns_plot(even_bins(rows.column("asked")), "Nodes asked for an infohash",
                               "nodes asked, at least", "infohashes")
    outcomes: list[tuple[str, Any]] = sorted(counted(rows.column("outcome")).items(), key=lambda each: -each[1])
    names = {"done": "done", "late": "late: its time was over", "exhausted": "exhausted: its budget of queries was"}
    return [Section("Cost of an infohash", plot=asked),
            Section("How look-ups ended", table=counts_table(
                ("outcome", "of all", "infohashes"), [(names.get(name, str(name)), count) for name, count in outcomes],
                len(rows)))]
