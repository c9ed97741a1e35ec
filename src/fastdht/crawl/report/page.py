"""The report page: sections of text, numbers and plots, filled into the template. Rate class: command."""
from __future__ import annotations

import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from fastdht.crawl.report import plots
from fastdht.crawl.report.gather import TOP, Findings, gather
from fastdht.crawl.report.sybil import Density, judge_density, widen
from fastdht.errors import PersistError

TEMPLATE = "page.html.j2"
UNKNOWN = "not measured"


def write_report(directory: Path, out: Path) -> None:
    """Write the page of the crawl in `directory` to `out`. Raises PersistError."""
    page = render(gather(directory))
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise PersistError(f"cannot write {out}: {error.strerror or error}") from error


def render(findings: Findings) -> str:
    """The page as text. Raises PersistError when jinja2 or matplotlib are missing."""
    try:
        import jinja2
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PersistError(f"the report needs {error.name}: pip install 'fastdht[report]'") from None
    source = resources.files("fastdht.crawl.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    slices = widen(findings.prefixes)
    density = judge_density(slices)
    digits = len(f"{len(slices) - 1:x}")
    crowded = [(f"{place:0{digits}x}…", count) for place, count in density.crowded[:TOP]]
    page: str = template.render(
        title=f"Crawl {findings.directory}", findings=findings, facts=facts(findings),
        figures=figures(findings, slices, density), density=density, slices=len(slices), crowded_slices=crowded,
        undone=undone(findings), command=findings.note.get("command", ""),
        made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"))
    return page


def facts(findings: Findings) -> list[tuple[str, str, str]]:
    """The headline figures: name, value, remark."""
    summary = findings.summary
    sent, found = summary.get("sent"), findings.nodes
    recall = summary.get("recall_estimate")
    return [
        ("Nodes found", f"{found:,}", f"of {summary['contacts']:,} heard of" if "contacts" in summary else ""),
        ("State", str(findings.note.get("state", "unknown")), str(summary.get("reason", ""))),
        ("Recall, estimated", f"{recall:.1%}" if isinstance(recall, float) else UNKNOWN, interval(summary)),
        ("Queries sent", f"{sent:,}" if sent is not None else UNKNOWN,
         f"{sent / found:.2f} per found node" if sent and found else ""),
        ("Answered", f"{summary['answered'] / sent:.1%}" if sent else UNKNOWN, "of the queries"),
        ("Most to one address", f"{summary.get('max_packets_per_ip', 0):,}", "packets"),
        ("Lost in our kernel", f"{summary.get('kernel_drops', 0):,}", "datagrams"),
        ("Time", f"{summary['elapsed_s']:,.0f} s" if "elapsed_s" in summary else UNKNOWN, ""),
    ]


def interval(summary: dict[str, Any]) -> str:
    low, high = summary.get("recall_low"), summary.get("recall_high")
    return f"95 %: {low:.1%} to {high:.1%}" if isinstance(low, float) and isinstance(high, float) else ""


def figures(findings: Findings, slices: list[int], density: Density) -> dict[str, str]:
    """Name → SVG; what there is no data for is left out."""
    drawn = {}
    if findings.nodes:
        drawn["density"] = plots.density_plot(slices, density)
        drawn["rtt"] = plots.rtt_plot(findings)
        drawn["clients"] = plots.bars_plot(findings.clients.most_common(TOP), "Clients of found nodes", "nodes",
                                           findings.nodes)
        drawn["versions"] = plots.bars_plot(findings.versions.most_common(TOP), "Versions of found nodes", "nodes",
                                            findings.nodes)
        shares = [("BEP 42: id fits the address", float(findings.bep42)), ("IPv6", float(findings.ipv6))]
        shares += [(f"BEP {bep}", float(findings.summary[f"bep{bep}"])) for bep in (44, 51)
                   if f"bep{bep}" in findings.summary]
        drawn["support"] = plots.bars_plot(shares, "Share of found nodes by property", "nodes", findings.nodes)
    if quality := answers(findings):
        drawn["answers"] = plots.bars_plot(quality, "What became of queries and contacts", "count")
    if len(findings.timeline) > 1:
        drawn["discovery"] = plots.discovery_plot(findings)
        drawn["rate"] = plots.rate_plot(findings)
    return drawn


def answers(findings: Findings) -> list[tuple[str, float]]:
    summary = findings.summary
    rows = [(name, float(summary[key])) for name, key in (
        ("answered", "answered"), ("timed out", "timeouts"), ("found under another id", "renamed")) if key in summary]
    filtered = summary.get("filtered", {})
    return rows + [(f"not counted: {name}", float(count)) for name, count in sorted(filtered.items())]


def undone(findings: Findings) -> list[str]:
    """What this crawl does not know, so that nobody reads more into it than is there."""
    config = findings.note.get("config", {})
    rows = []
    if not findings.summary:
        rows.append("The crawl did not end: it was killed, or it is still running. Only closed parts are counted.")
    elif findings.summary.get("reason"):
        rows.append(f"The crawl is not complete: {findings.summary['reason']}.")
    if findings.summary.get("zone"):
        rows.append(f"Only the zone {findings.summary['zone']} of the key space was crawled.")
    if not findings.ipv6:
        rows.append("IPv6 was not crawled: it is a network of its own.")
    if not isinstance(findings.summary.get("recall_estimate"), float):
        rows.append("Recall was not estimated. A crawl misses nodes that few others know; two passes show how many.")
    if config.get("depth") in ("fast", "random", "own"):
        rows.append(f"Depth {config['depth']}: one question per contact misses nodes that stand in few tables.")
    rows.append("Nodes behind address translators that answer only those they have asked are invisible to any crawl.")
    rows.append("No peers, no content and no torrents were asked for.")
    return rows
