"""The page of an estimate of size: its methods side by side, and what each assumes. Rate class: command."""
from __future__ import annotations

from typing import Any

from fastdht.crawl.report import plots
from fastdht.crawl.report.content import Page, Section, Source, Table, interval, number, percent, seconds

TITLES = {"zone": "zones", "closest": "closest nodes", "recapture": "capture and recapture"}


def build(source: Source) -> Page:
    """Raises PersistError."""
    summary = source.summary
    methods: dict[str, dict[str, Any]] = summary.get("methods", {})
    ci, wanted = summary.get("ci", 0.95), summary.get("method", "")
    page = Page(f"Size {source.directory.name}", [
        ("Nodes, estimated", number(summary.get("nodes")), interval(summary.get("low"), summary.get("high"), ci=ci)),
        ("State", str(source.note.get("state", "unknown")), str(summary.get("reason") or "")),
        ("By", TITLES.get(wanted, wanted or "-"), "the estimate that is the answer"),
        ("Counted", number(summary.get("found")), f"nodes, in {percent(summary.get('share'))} of the key space"),
        ("Answer rate", percent(summary.get("answer_rate")), "of living nodes, to one question"),
        ("Queries sent", number(summary.get("sent")), f"{number(summary.get('lookups'))} lookups among them"),
        ("Most to one address", number(summary.get("max_packets_per_ip")), "packets, in one zone"),
        ("Time", seconds(summary.get("elapsed_s")), f"{number(summary.get('kernel_drops'))} datagrams lost here"),
    ])
    if methods:
        page.sections = [side_by_side(methods, ci), corrections(summary)]
        page.sections += [Section(f"{TITLES.get(name, name).capitalize()}: what is assumed",
                                  lines=[str(line) for line in each.get("assumptions", ())])
                          for name, each in methods.items()]
    page.undone = undone(summary)
    return page


def side_by_side(methods: dict[str, dict[str, Any]], ci: float) -> Section:
    rows = [(TITLES.get(name, name), each["nodes"], each["low"], each["high"]) for name, each in methods.items()]
    plot = plots.spans_plot([plots.Span(*row) for row in rows], "Estimates of size with their intervals", "nodes",
                            starts_at_zero=False)
    return Section("Estimates side by side",
                   f"With intervals of {100 * ci:g} %. Where they are far apart, what one of them assumes is wrong.",
                   plot, Table(("method", "low", "high", "nodes"),
                               [(name, number(low), number(high), number(nodes)) for name, nodes, low, high in rows]))


def corrections(summary: dict[str, Any]) -> Section:
    """From what was counted to what is said."""
    return Section("From the count to the estimate", table=Table(("", ""), [
        ("zones", number(len(summary.get("zones", ())))),
        ("nodes counted in them", number(summary.get("found"))),
        ("nodes that nobody named, at least", number(summary.get("unnamed"))),
        ("share that answers one question", percent(summary.get("answer_rate"), 2)),
        ("so alive in the zones", number(summary.get("alive"))),
        ("share of the key space", percent(summary.get("share"), 3)),
        ("nodes that other lookups found there", number(summary.get("checked"))),
        ("of them counted", number(summary.get("rechecked"))),
        ("widening of the interval, as zones differ", f"{summary.get('dispersion', 1):.2f}"),
    ]))


def undone(summary: dict[str, Any]) -> list[str]:
    rows = [] if summary.get("methods") else ["There is no estimate: too little was found, or the run did not end."]
    missing = [title for name, title in TITLES.items() if name not in summary.get("methods", {})]
    if summary.get("methods") and missing:
        rows.append(f"No estimate by {', '.join(missing)}.")
    return [
        *rows,
        "Nodes behind address translators that answer only those they have asked are not counted.",
        "One id at many addresses counts once; many ids at one address count as many nodes.",
        "Nobody was listed: there are no addresses, clients or round-trip times here. A census has them.",
    ]
