"""Plots as inline SVG whose colours follow the reader's light or dark mode. Rate class: command.

Matplotlib draws with placeholder colours that are replaced by CSS variables afterwards; text stays text, so that it can
be read aloud, searched and scaled.
"""
from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastdht.crawl.report.sybil import Density

# Placeholder → CSS variable of the page
COLOURS = {"#010101": "var(--ink)", "#020202": "var(--faint)", "#030303": "var(--accent)", "#040404": "var(--second)",
           "#050505": "var(--alarm)"}
INK, FAINT, ACCENT, SECOND, ALARM = COLOURS
SIZE = (4.8, 2.6)           # inches; the page scales it, and on a phone letters must still be read
LETTERS = 56                # that have room below a plot
TICKS = 5                   # on an axis, about; long figures would touch each other
SETTINGS: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "fastdht", "font.family": "sans-serif", "font.size": 9.5,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": FAINT, "grid.alpha": 0.25,
    "axes.axisbelow": True, "legend.frameon": False,
    "text.parse_math": False,       # dollar signs come from the network, too
}


class Line(NamedTuple):
    """One curve; where `band` is given, (low, high) of each point. None among `ys` leaves a gap."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    band: Sequence[tuple[float, float]] = ()


class Span(NamedTuple):
    """A value with its interval; without `high` it is open above."""

    name: str
    value: float
    low: float
    high: float | None


def draw(paint: Callable[[Any], None], label: str, size: tuple[float, float] = SIZE) -> str:
    """One figure as an SVG element; `label` is what a screen reader says of it."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import AutoLocator, MaxNLocator, ScalarFormatter

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        paint(axes)
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), ScalarFormatter):
                axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
            if isinstance(axis.get_major_locator(), AutoLocator):
                axis.set_major_locator(MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10]))
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
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)      # above: points may be anywhere

    return draw(paint, "Found nodes per slice of the key space")


def histogram_plot(edges: Sequence[float], counts: Sequence[int], label: str, x_axis: str, y_axis: str) -> str:
    """Bars between `edges` (one more than counts) on a logarithmic axis; empty ends are left out."""
    used = [i for i, count in enumerate(counts) if count] or [0]
    first, last = max(used[0] - 2, 0), min(used[-1] + 3, len(counts))

    def paint(axes: Any) -> None:
        widths = [edges[i + 1] - edges[i] for i in range(first, last)]
        axes.bar(edges[first:last], counts[first:last], width=widths, align="edge", color=ACCENT)
        axes.set_xscale("log")
        axes.set_xlabel(x_axis)
        axes.set_ylabel(y_axis)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")

    return draw(paint, label)


def columns_plot(rows: Sequence[tuple[str, float]], label: str, x_axis: str, y_axis: str) -> str:
    """Upright bars side by side, in the order of `rows`."""
    def paint(axes: Any) -> None:
        axes.bar(range(len(rows)), [value for _, value in rows], width=0.9, color=ACCENT)
        width = 2 + max((len(name) for name, _ in rows), default=0)
        stride = -(-len(rows) * width // LETTERS)
        axes.set_xticks(range(0, len(rows), stride), [name for name, _ in rows[::stride]])
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(x_axis)
        axes.set_ylabel(y_axis)
        count_whole(axes.yaxis)

    return draw(paint, label)


def count_whole(axis: Any) -> None:
    """No halves of a node on this axis."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(TICKS, integer=True))


def bars_plot(rows: Sequence[tuple[str, float]], label: str, axis: str, total: float = 0) -> str:
    """Horizontal bars, the first on top; with `total`, each says its share of it."""
    def paint(axes: Any) -> None:
        values = [value for _, value in rows][::-1]
        bars = axes.barh(range(len(rows)), values, color=ACCENT)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows][::-1])
        texts = [f" {value / total:.1%}" if total else f" {value:,.0f}" for value in values]
        axes.bar_label(bars, texts, color=INK, fontsize=9)
        axes.margins(x=0.15)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(axis)
        count_whole(axes.xaxis)

    return draw(paint, label, row_size(rows))


def spans_plot(rows: Sequence[Span], label: str, axis: str, *, starts_at_zero: bool = True) -> str:
    """Values with error bars, the first on top; an arrow where there is no upper bound."""
    def paint(axes: Any) -> None:
        for place, row in enumerate(reversed(rows)):
            high = row.value if row.high is None else row.high
            axes.plot([row.low, high], [place, place], color=ACCENT, linewidth=2, solid_capstyle="butt")
            axes.plot([row.value], [place], marker="o" if row.high is not None else ">", color=ACCENT)
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.margins(x=0.08)
        if starts_at_zero:
            axes.set_xlim(left=0)
        axes.set_xlabel(axis)

    return draw(paint, label, row_size(rows))


def lines_plot(lines: Sequence[Line], label: str, x_axis: str, y_axis: str, *, is_share: bool = False,
               steps: str = "default") -> str:
    """Curves from the origin; shares are drawn from 0 to 1."""
    def paint(axes: Any) -> None:
        for line, colour in zip(lines, (ACCENT, SECOND, INK, ALARM, FAINT), strict=False):
            ys = [float("nan") if y is None else y for y in line.ys]
            axes.plot(line.xs, ys, color=colour, label=line.name, drawstyle=steps, zorder=3,
                      marker="o" if len(line.xs) == 1 else None)
            if line.band:
                lows, highs = zip(*line.band, strict=True)
                axes.fill_between(line.xs, lows, highs, color=colour, alpha=0.25, linewidth=0,
                                  step="post" if steps == "steps-post" else None)
        axes.set_xlabel(x_axis)
        axes.set_ylabel(y_axis)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0, top=1.02 if is_share else None)
        if is_share:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        if len(lines) > 1:
            axes.legend(loc="best")

    return draw(paint, label)


def row_size(rows: Sequence[object]) -> tuple[float, float]:
    return SIZE[0], 0.9 + 0.28 * max(len(rows), 1)
