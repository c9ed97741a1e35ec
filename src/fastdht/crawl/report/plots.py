"""Plots as inline SVG whose colours follow the reader's light or dark mode. Rate class: command.

Matplotlib draws with placeholder colours that are replaced by CSS variables afterwards; text stays text, so that it can
be read aloud, searched and scaled.
"""
from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from fastdht.crawl.report.gather import Findings, rtt_edges
from fastdht.crawl.report.sybil import Density

# Placeholder → CSS variable of the page
COLOURS = {"#010101": "var(--ink)", "#020202": "var(--faint)", "#030303": "var(--accent)", "#040404": "var(--second)",
           "#050505": "var(--alarm)"}
INK, FAINT, ACCENT, SECOND, ALARM = COLOURS
SIZE = (6.4, 3.2)           # inches; the page scales it
SETTINGS: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "fastdht", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": FAINT, "grid.alpha": 0.25,
    "axes.axisbelow": True, "legend.frameon": False,
}


def draw(paint: Callable[[Any], None], label: str, size: tuple[float, float] = SIZE) -> str:
    """One figure as an SVG element; `label` is what a screen reader says of it."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        paint(axes)
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), ScalarFormatter):
                axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg"):]
    for placeholder, variable in COLOURS.items():
        svg = svg.replace(placeholder, variable)
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def density_plot(counts: Sequence[int], density: Density) -> str:
    size = 3 if len(counts) > 1000 else 9

    def paint(axes: Any) -> None:
        axes.axhline(density.mean, color=FAINT, linewidth=1)
        axes.axhline(density.limit, color=ALARM, linewidth=1, linestyle="--", label="more than chance allows")
        axes.scatter(range(len(counts)), counts, s=size, color=ACCENT, linewidths=0)
        crowded = [place for place, _ in density.crowded]
        axes.scatter(crowded, [counts[place] for place in crowded], s=18, color=ALARM)
        axes.set_xlim(0, len(counts))
        axes.set_ylim(bottom=0)
        axes.set_xticks([i * len(counts) / 8 for i in range(9)], [f"{2 * i:x}…" for i in range(8)] + ["ff…"])
        axes.set_xlabel("first digits of the id")
        axes.set_ylabel("nodes per slice")
        axes.legend(loc="upper right")

    return draw(paint, "Found nodes per slice of the key space")


def rtt_plot(findings: Findings) -> str:
    edges = rtt_edges()
    used = [i for i, count in enumerate(findings.rtt) if count]
    first, last = (max(used[0] - 2, 0), min(used[-1] + 3, len(edges))) if used else (0, len(edges))

    def paint(axes: Any) -> None:
        widths = [edge * (2 ** (1 / 4) - 1) for edge in edges[first:last]]
        axes.bar(edges[first:last], findings.rtt[first:last], width=widths, align="edge", color=ACCENT)
        axes.set_xscale("log")
        axes.set_xlabel("round-trip time, ms")
        axes.set_ylabel("nodes")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")

    return draw(paint, "Round-trip times of found nodes")


def bars_plot(rows: Sequence[tuple[str, float]], label: str, axis: str, total: float = 0) -> str:
    """Horizontal bars, the first on top; with `total`, each says its share of it."""
    def paint(axes: Any) -> None:
        names = [name for name, _ in rows][::-1]
        values = [value for _, value in rows][::-1]
        bars = axes.barh(names, values, color=ACCENT)
        texts = [f" {value / total:.1%}" if total else f" {value:,.0f}" for value in values]
        axes.bar_label(bars, texts, color=INK, fontsize=9)
        axes.margins(x=0.15)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(axis)

    return draw(paint, label, (SIZE[0], 0.9 + 0.28 * max(len(rows), 1)))


def discovery_plot(findings: Findings) -> str:
    def paint(axes: Any) -> None:
        sent = [point["sent"] for point in findings.timeline]
        axes.plot(sent, [point["found"] for point in findings.timeline], color=ACCENT, label="found")
        axes.plot(sent, [point["contacts"] for point in findings.timeline], color=SECOND, label="heard of")
        axes.set_xlabel("queries sent")
        axes.set_ylabel("nodes")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")

    return draw(paint, "Nodes found and heard of as queries were sent")


def rate_plot(findings: Findings) -> str:
    def paint(axes: Any) -> None:
        seconds = [point["elapsed_s"] for point in findings.timeline]
        axes.plot(seconds, [point["rate"] for point in findings.timeline], color=ACCENT, label="queries per second")
        axes.plot(seconds, [point["found_rate"] for point in findings.timeline], color=SECOND,
                  label="nodes found per second")
        axes.set_xlabel("seconds")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")

    return draw(paint, "Queries and found nodes per second over time")
