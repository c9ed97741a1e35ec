"""The page of a scrape: sizes of swarms with their bounds. Rate class: command."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastdht.crawl.records import SCRAPE_COLUMNS
from fastdht.crawl.report import plots, swarms
from fastdht.crawl.report.columns import read_table
from fastdht.crawl.report.content import TOP, Page, Section, Source, Table, number, percent, ratio

if TYPE_CHECKING:
    import pyarrow

NAMES = tuple(column.name for column in SCRAPE_COLUMNS)
SHORT = 10                  # digits of an infohash beside a plot
KINDS = ("seeds", "downloaders")
COUNTED = 10                # swarms of fewer say little about relative errors


def build(source: Source) -> Page:
    """Raises PersistError."""
    rows, summary = read_table(source.directory, "scrapes", SCRAPE_COLUMNS, NAMES), source.summary
    page = Page(f"Scrape {source.directory.name}", [
        ("Seeds", number(summary.get("seeds")), "over all infohashes"),
        ("Downloaders", number(summary.get("peers")), "over all infohashes"),
        ("More than can be counted", number(summary.get("saturated")), "infohashes: filters were full"),
        *swarms.facts(source)])
    page.sections = [
        *largest(rows), *swarms.spread(rows.column("seeds"), "Seeds of an infohash", "seeds"),
        *swarms.spread(rows.column("downloaders"), "Downloaders of an infohash", "downloaders"),
        *certainty(rows), *swarms.cost(rows)]
    page.undone = [
        "Bounds take each node to know a random part of the swarm.",
        "With one filter or two there is no vote: a liar among them is believed.",
        "Filters hold addresses, not peers: several peers behind one address count as one.", *swarms.UNDONE]
    return page


def largest(rows: pyarrow.Table) -> list[Section]:
    """The largest swarms, seeds and downloaders each with their bounds."""
    import pyarrow.compute as compute

    if not len(rows):
        return []
    sizes = compute.add(rows.column("seeds"), rows.column("downloaders"))
    order = compute.sort_indices(sizes.combine_chunks(), sort_keys=[("", "descending")])
    top = rows.take(order.slice(0, TOP)).to_pylist()
    sections = []
    for kind in KINDS:
        spans = [plots.Span(f"{row['info_hash'][:SHORT]}…", row[kind], row[f"{kind}_low"], row[f"{kind}_high"])
                 for row in top]
        sections.append(Section(
            f"Largest swarms: {kind}", "With bounds of 95 % confidence; a triangle where the filters are full.",
            plots.spans_plot(spans, f"{kind.capitalize()} of the largest swarms with their bounds", kind)))
    return [*sections, Section("Largest swarms", table=Table(("infohash", "seeds", "downloaders"), [
        (row["info_hash"], *(bounds(row, kind) for kind in KINDS)) for row in top]))]


def bounds(row: dict[str, Any], kind: str) -> str:
    low, high = row[f"{kind}_low"], row[f"{kind}_high"]
    return f"{row[kind]:,} ({low:,} to {'?' if high is None else f'{high:,}'})"


def certainty(rows: pyarrow.Table) -> list[Section]:
    """How wide the bounds are, and how many nodes sent filters."""
    import pyarrow.compute as compute

    figures = []
    for kind in KINDS:
        some = rows.filter(compute.and_(compute.greater_equal(rows.column(kind), COUNTED),
                                        compute.is_valid(rows.column(f"{kind}_high"))))
        width = compute.subtract(some.column(f"{kind}_high"), some.column(f"{kind}_low")).cast("float64")
        width = compute.divide(width, compute.multiply(some.column(kind), 2))
        middle = compute.quantile(width, 0.5)[0].as_py()
        figures.append((f"half the width of the bounds of {kind}, in the median", percent(middle)))
    filters, answered = (compute.sum(rows.column(name)).as_py() for name in ("filters", "answered"))
    return [Section("How sure", f"Of swarms with {COUNTED} and more.", table=Table(("", ""), [
        *figures, ("answers that had filters (BEP 33)", percent(ratio(filters, answered)))]))] if len(rows) else []
