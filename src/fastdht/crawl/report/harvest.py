"""The page of a harvest: what was seen, what there may be, and how sure that is. Rate class: command."""
from __future__ import annotations

from typing import Any

from fastdht.crawl.report import plots
from fastdht.crawl.report.census import cost
from fastdht.crawl.report.columns import most, octaves
from fastdht.crawl.report.content import (
    TOP,
    Fact,
    Page,
    Section,
    Source,
    Table,
    counts_table,
    decimal,
    interval,
    number,
    percent,
    ratio,
    seconds,
)
from fastdht.crawl.report.harvest_error import GROUPS, total_interval
from fastdht.crawl.report.samples import Samples, read_samples

SWEEPS = 10                 # that are looked ahead
PIECES = 20                 # of a harvest, for what each brought


def build(source: Source) -> Page:
    """Raises PersistError."""
    samples, summary = read_samples(source), source.summary
    bounds = total_interval(samples, summary)
    page = Page(f"Harvest {source.directory.name}", facts(source, samples, bounds))
    page.sections = [*total(summary, bounds), *coverage(summary), *yields(samples), *nodes(samples), *replies(summary),
                     *cost(summary)]
    if summary.get("assumptions"):
        page.sections.append(Section("What the total assumes", lines=[str(line) for line in summary["assumptions"]]))
    page.undone = undone(summary)
    return page


def facts(source: Source, samples: Samples, bounds: tuple[float, float] | None) -> list[Fact]:
    summary = source.summary
    seen = summary.get("infohashes") or samples.distinct
    low, high = bounds or (None, None)
    return [
        ("Infohashes seen", number(seen), f"in {len(samples.hashes):,} samples"),
        ("State", str(source.note.get("state", "unknown")), str(summary.get("reason") or "")),
        ("In all, estimated", number(summary.get("total")), interval(low, high)),
        ("Coverage of this sweep", percent(summary.get("coverage")),
         interval(ratio(seen, high), ratio(seen, low), percent)),
        ("Nodes that hold each", decimal(summary.get("replicas"), 1), "estimated mean"),
        ("Nodes that showed samples", number(summary.get("samplers")), f"of {number(summary.get('found'))} found"),
        ("New per query", decimal(summary.get("new_per_query")),
         f"infohashes; {number(summary.get('sample_queries'))} nodes were asked"),
        ("Time", seconds(summary.get("elapsed_s")), ""),
    ]


def total(summary: dict[str, Any], bounds: tuple[float, float] | None) -> list[Section]:
    """What was seen beside what there may be."""
    if not summary.get("total"):
        return []
    value, seen = summary["total"], summary["infohashes"]
    spans = [plots.Span("seen", seen, seen, seen)]
    if summary.get("total_chao2"):
        spans.append(plots.Span("at least (Chao)", summary["total_chao2"], summary["total_chao2"], None))
    spans.append(plots.Span("in all", value, *(bounds or (value, value))))
    text = (f"The interval is of 95 %, from leaving out one of {GROUPS} groups of nodes at a time. It has the error of "
            "sampling, not that of wrong assumptions." if bounds else "There were too few nodes, or too many samples, "
            "for an interval.")
    rows = [(span.name, "" if span.high is None or span.low == span.high else interval(span.low, span.high),
             number(span.value)) for span in spans]
    return [Section("How many there are", text, plots.spans_plot(spans, "Infohashes seen and estimated", "infohashes"),
                    Table(("", "", "infohashes"), rows))]


def coverage(summary: dict[str, Any]) -> list[Section]:
    """What more sweeps would bring at the best."""
    share = summary.get("coverage")
    if not share:
        return []
    sweeps = list(range(SWEEPS + 1))
    plot = plots.lines_plot([plots.Line("covered at most", sweeps, [1 - (1 - share) ** i for i in sweeps])],
                            "Coverage as sweeps add up", "sweeps, each after the interval", "of all", is_share=True)
    text = (f"This sweep saw {percent(share)}. The curve is the most that so many sweeps would see, if nodes draw "
            "their samples anew each time: infohashes on few nodes take longer.")
    return [Section("Coverage by sweep", text, plot)]


def yields(samples: Samples) -> list[Section]:
    """How the number of different infohashes grew, and what an answer still brought."""
    import numpy

    ends = samples.ends
    if not len(ends):
        return []
    different = numpy.maximum.accumulate(samples.hashes)[ends] + 1
    pieces = min(PIECES, len(ends))
    answers = [len(ends) * i // pieces for i in range(pieces + 1)]
    found = [0, *(int(different[i - 1]) for i in answers[1:])]
    shown = [0, *(int(ends[i - 1]) + 1 for i in answers[1:])]
    gains = [(found[i + 1] - found[i]) / (answers[i + 1] - answers[i]) for i in range(pieces)]
    return [
        Section("Discovery", "Where the curve of different infohashes is flat, more of the sweep would bring little.",
                plots.lines_plot([plots.Line("different", answers, found), plots.Line("samples", answers, shown)],
                                 "Infohashes seen as nodes answered", "nodes that showed samples", "infohashes")),
        Section("New per answer", f"Infohashes not seen before, for each answer that had samples: {gains[0]:.1f} at "
                f"first, {gains[-1]:.1f} at last.", plots.lines_plot(
                    [plots.Line("new per answer", answers[1:], gains)], "New infohashes per answer",
                    "nodes that showed samples", "new infohashes per answer")),
    ]


def nodes(samples: Samples) -> list[Section]:
    """What nodes say they store, and how long they want to be left alone."""
    import pyarrow

    if not len(samples.ends):
        return []
    nums = octaves(pyarrow.chunked_array([samples.nums]))
    intervals = most(pyarrow.chunked_array([samples.intervals]), TOP)
    return [Section("Infohashes on a node", "The num that nodes with samples tell.", plots.columns_plot(
                [(number(low), count) for low, count in nums], "Nodes by the number of infohashes they store",
                "infohashes, at least", "nodes")),
            Section("Interval", "How long nodes want to be left alone before the next question.", table=counts_table(
                ("interval", "of all", "nodes"), [(seconds(float(value)), count) for value, count in intervals],
                len(samples.ends)))]


def replies(summary: dict[str, Any]) -> list[Section]:
    """What became of the questions for samples."""
    asked = summary.get("sample_queries")
    if not asked:
        return []
    samplers, refused = summary.get("samplers", 0), summary.get("refused", 0)
    rows = [("showed samples", samplers), ("do not know the method", refused),
            ("silent, or no samples", max(0, asked - samplers - refused))]
    table = counts_table(("", "number"), [
        ("nodes left alone: their interval had not ended", summary.get("not_due", 0)),
        ("asked find_node instead, after a refusal", summary.get("fallbacks", 0)),
        ("samples lost for want of room", summary.get("samples_lost", 0)),
        ("nodes doubted: they tell far more than others", summary.get("doubted", 0))])
    return [Section("Questions for samples", "One to each contact, dead ones among them, and none repeated (BEP 51).",
                    plots.bars_plot(rows, "Questions for samples by outcome", "nodes asked", asked), table)]


def undone(summary: dict[str, Any]) -> list[str]:
    rows = ["A node shows some twenty of its infohashes and was asked once: what it hides is estimated, not seen."]
    if summary.get("zone"):
        rows.append(f"Only the zone {summary['zone']} of the key space was harvested.")
    if summary.get("not_due"):
        rows.append(f"{summary['not_due']:,} nodes were left alone, for their interval had not ended: they count for "
                    "nothing here.")
    if not summary.get("total"):
        rows.append("The total was not estimated: too little was seen, or the run did not end.")
    return [
        *rows,
        "Infohashes that a node invents are among those seen; only asking for their peers tells them from real ones.",
        "Peers, metadata and content were not asked for. Who knows BEP 44 (items) was not measured.",
    ]
