"""The page of a monitor: who stayed, for how long, and what was not observed. Rate class: command.

Of a monitor that has not ended sessions and rounds are made from its visits, as it would do itself.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fastdht.crawl.monitor.book import READ_COLUMNS, Book
from fastdht.crawl.monitor.settings import MonitorConfig
from fastdht.crawl.monitor.store import TABLES, read_cohort, read_rows
from fastdht.crawl.monitor.visitor import OUTCOMES
from fastdht.crawl.report import plots
from fastdht.crawl.report.columns import octaves, read_table
from fastdht.crawl.report.content import (
    Page,
    Section,
    Source,
    counts_table,
    interval,
    number,
    percent,
    ratio,
    seconds,
)

MOST_TARGETS = 8            # that are drawn
TARGET_NAMES = ("round", "t", "target", "peers", "seeds", "downloaders", "asked", "answered", "closest", "stayed")
OUTCOME_TEXTS = {"alive": "answered", "renamed": "answered under another id", "error": "answered with an error",
                 "silent": "did not answer", "refused": "nobody listens there (ICMP)"}
Rows = Sequence[dict[str, Any]]


def build(source: Source) -> Page:
    """Raises PersistError."""
    rounds, found = read_rounds(source), source.summary
    if not found:
        found, rounds = replay(source)
    page = Page(f"Monitor {source.directory.name}", facts(source, found))
    page.sections = [*online(rounds), *survival(found), *lengths(source), *outcomes(rounds), *targets(source)]
    page.undone = undone(source, found, rounds)
    return page


def read_rounds(source: Source) -> Rows:
    names = ("round", "t", "visits", *OUTCOMES, "unobserved", "reason")
    rows: Rows = read_table(source.directory, "rounds", TABLES["rounds"], names).to_pylist()
    return rows


def replay(source: Source) -> tuple[dict[str, Any], Rows]:
    """The summary and the rounds of a monitor that has not ended, from its visits."""
    config = MonitorConfig.from_plain(source.note["config"])
    book = Book(read_cohort(source.directory), config.every_us)
    book.replay(read_rows(source.directory, "visits", READ_COLUMNS))
    book.finish()
    number_of_rounds = max(book.rounds, default=-1) + 1
    rows = list(book.round_rows(number_of_rounds, int(source.note["started"] * 1e6), config.every_us))
    return {"rounds": number_of_rounds, **book.summary()}, rows


def facts(source: Source, found: dict[str, Any]) -> list[tuple[str, str, str]]:
    share, sessions, residual = (found.get(name, {}) for name in ("availability", "sessions", "residual"))
    every = seconds(source.note.get("config", {}).get("every_s"))
    return [
        ("Nodes visited", number(found.get("cohort")),
         f"{number(found.get('dead_at_start'))} not there at the start, {number(found.get('never_answered'))} never"),
        ("State", str(source.note.get("state", "unknown")), str(found.get("reason") or "")),
        ("Rounds", number(found.get("rounds")), f"{number(found.get('rounds_observed'))} observed, one every {every}"),
        ("Online", percent(share.get("mean")), f"mean over the rounds; lowest {percent(share.get('lowest'))}"),
        ("Median session", median(sessions), bounds(sessions)),
        ("Left of a session", median(residual), bounds(residual)),
        ("Changes of id", number(found.get("id_changes")), f"at {number(found.get('renamed_nodes'))} nodes"),
        ("Changes of address", number(found.get("address_changes")),
         f"{number(found.get('gone_looked_up'))} nodes were looked up after they had gone"),
        ("Queries sent", number(found.get("sent")), "since it last went on"),
        ("Time", seconds(found.get("elapsed_s")), ""),
    ]


def median(curve: dict[str, Any]) -> str:
    return "not yet" if curve.get("median_s") is None else seconds(curve["median_s"])


def bounds(curve: dict[str, Any]) -> str:
    """The interval of the median; open above where half of them outlast what was seen."""
    low, high = curve.get("median_low_s"), curve.get("median_high_s")
    if low is not None and high is None:
        return f"95 %: more than {seconds(low)}"
    return interval(low, high, seconds) or f"{number(curve.get('ended'))} of {number(curve.get('count'))} have ended"


def online(rounds: Rows) -> list[Section]:
    """The share that answered, round by round; a gap where nothing was observed."""
    if not rounds:
        return []
    unit, name = unit_of(rounds[-1]["t"] - rounds[0]["t"])
    times = [(row["t"] - rounds[0]["t"]) / unit for row in rounds]
    lines = [plots.Line("alive", times, [ratio(row["alive"], row["visits"]) for row in rounds])]
    if any(row["renamed"] for row in rounds):
        lines.append(plots.Line("under another id", times, [ratio(row["renamed"], row["visits"]) for row in rounds]))
    return [Section("Online share", "Of the observed visits of each round; gaps are rounds that tell nothing.",
                    plots.lines_plot(lines, "Share of nodes that answered, by round", name, "share", is_share=True))]


def unit_of(span_s: float) -> tuple[float, str]:
    """Seconds of the unit in which so long a time is best drawn, and its name."""
    return next((each for each in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")) if span_s > 3 * each[0]),
                (1.0, "seconds"))


def survival(found: dict[str, Any]) -> list[Section]:
    """Kaplan-Meier curves with their bands."""
    texts = {"sessions": ("How long sessions last", "Sessions that began in sight (Kaplan-Meier)"),
             "residual": ("What is left of sessions", "Sessions under way at the start: how much longer they last")}
    sections = []
    for name, (heading, text) in texts.items():
        curve = found.get(name, {})
        counts = f"{number(curve.get('ended'))} of {number(curve.get('count'))} have ended"
        points = [(0.0, 1.0, 1.0, 1.0), *curve.get("curve", ())]
        if len(points) == 1:
            sections.append(Section(heading, f"{text}: {counts}, too few for a curve."))
            continue
        unit, axis = unit_of(points[-1][0])
        line = plots.Line(heading, [point[0] / unit for point in points], [point[1] for point in points],
                          [(point[2], point[3]) for point in points])
        sections.append(Section(
            heading, f"{text}, with a band of 95 %. {counts}; the others count up to where they were last seen. Median "
            f"{median(curve)} ({bounds(curve)}).",
            plots.lines_plot([line], f"{heading}: share that lasts longer", axis, "share", is_share=True,
                             steps="steps-post")))
    return sections


def lengths(source: Source) -> list[Section]:
    """The sessions that were seen whole."""
    import pyarrow.compute as compute

    rows = read_table(source.directory, "sessions", TABLES["sessions"],
                      ("id", "start", "end", "left_censored", "right_censored"))
    if not len(rows):
        return []
    left, right = rows.column("left_censored"), rows.column("right_censored")
    whole = rows.filter(compute.invert(compute.or_(left, right)))
    kinds = [("seen whole", len(whole)), ("begun before, end seen", count_where(left, compute.invert(right))),
             ("begun in sight, gone on after", count_where(compute.invert(left), right)),
             ("begun before, gone on after", count_where(left, right))]
    bins = octaves(compute.subtract(whole.column("end"), whole.column("start")))
    plot = plots.columns_plot([(seconds(low), count) for low, count in bins], "Lengths of sessions seen whole",
                              "length, at least", "sessions") if bins else ""
    text = "The columns are sessions seen whole, of which long ones are missing: the curve tells how long they last."
    return [Section("Sessions", text if plot else "", plot,
                    counts_table(("sessions", "of all", "number"), kinds, len(rows)))]


def count_where(first: Any, second: Any) -> int:
    import pyarrow.compute as compute

    return int(compute.sum(compute.and_(first, second)).as_py() or 0)


def outcomes(rounds: Rows) -> list[Section]:
    """Visits by outcome, and why others say nothing."""
    visits = sum(row["visits"] for row in rounds)
    if not rounds:
        return []
    rows = [(OUTCOME_TEXTS[name], sum(row[name] for row in rounds)) for name in OUTCOMES]
    missed: Counter[str] = Counter()
    for row in rounds:
        if row["unobserved"]:
            missed[str(row["reason"])] += row["unobserved"]
    sections = [Section("Visits", "Those that were observed.", plots.bars_plot(
        rows, "Visits by outcome", "visits", visits))]
    if missed:
        sections.append(Section(
            "Not observed", "Visits that were not made, or say nothing of the node. They end no session.",
            table=counts_table(("reason", "visits"), missed.most_common())))
    return sections


def targets(source: Source) -> list[Section]:
    """Each target over time."""
    rows = read_table(source.directory, "targets", TABLES["targets"], TARGET_NAMES).to_pylist()
    by_target: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_target.setdefault(row["target"], []).append(row)
    sections = [draw_target(name, each) for name, each in list(by_target.items())[:MOST_TARGETS]]
    if len(by_target) > MOST_TARGETS:
        sections.append(Section("More targets", f"{len(by_target) - MOST_TARGETS:,} more are in the table of targets."))
    return sections


def draw_target(name: str, rows: list[dict[str, Any]]) -> Section:
    unit, axis = unit_of(rows[-1]["t"] - rows[0]["t"])
    times = [(row["t"] - rows[0]["t"]) / unit for row in rows]
    lines = [plots.Line("peers named", times, [row["peers"] for row in rows])]
    lines += [plots.Line(f"{kind}, estimated", times, [row[kind] for row in rows])
              for kind in ("seeds", "downloaders") if any(row[kind] is not None for row in rows)]
    kept = [row["stayed"] for row in rows if row["stayed"] is not None]
    text = f"{sum(kept) / len(kept):.1f} of the eight closest nodes stayed from round to round. " if kept else ""
    return Section(f"Target {name[:10]}…", f"{name}: {text}Answered: {sum(row['answered'] for row in rows):,} of "
                   f"{sum(row['asked'] for row in rows):,} queries.",
                   plots.lines_plot(lines, "Peers of a target over time", axis, "peers"))


def undone(source: Source, found: dict[str, Any], rounds: Rows) -> list[str]:
    lines = []
    if found.get("unobserved_visits"):
        lines.append(f"{found['unobserved_visits']:,} of {found['visits']:,} visits were not observed.")
    if idle := sum(not row["visits"] for row in rounds):
        lines.append(f"{idle:,} of {len(rounds):,} rounds tell nothing at all.")
    if source.note.get("crowded"):
        lines.append(f"{source.note['crowded']:,} nodes were left out: their addresses have too many.")
    return [
        *lines,
        "Newcomers with a new address are not in a cohort: sessions begun in sight are those of nodes that return.",
        "Absences shorter than two rounds join two sessions; sessions shorter than a round are mostly missed.",
        "The bands assume that sessions are independent, and that censoring has nothing to do with their length.",
    ]
