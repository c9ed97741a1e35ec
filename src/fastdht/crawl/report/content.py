"""What a page is made of, before it is HTML; and how figures are written. Rate class: command."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNKNOWN = "not known"
TOP = 15                    # rows of a list
NO_BREAK = "\N{NO-BREAK SPACE}"

Fact = tuple[str, str, str]     # name, value, remark


@dataclass(frozen=True, slots=True)
class Source:
    """The directory of a run and its two notes; `summary` is empty where the run did not end."""

    directory: Path
    note: dict[str, Any]
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under heads; the last column holds figures."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """One card: a plot (SVG), what to think of it, a table; any of them may be missing."""

    heading: str
    text: str = ""
    plot: str = ""
    table: Table | None = None
    is_alarm: bool = False
    lines: Sequence[str] = ()


@dataclass(slots=True)
class Page:
    """A report; `undone` says what was not done or measured, so that nobody reads more into it than is there."""

    title: str
    facts: list[Fact]
    sections: list[Section] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)


def counts_table(heads: Sequence[str], rows: Sequence[tuple[str, float]], total: float = 0) -> Table | None:
    """Names and their counts; with `total` also their share of it. None where there are none."""
    if not rows:
        return None
    shares = [(percent(count / total),) if total else () for _, count in rows]
    return Table(heads, [(name, *share, number(count)) for (name, count), share in zip(rows, shares, strict=True)])


def number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def decimal(value: float | None, digits: int = 2) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    return UNKNOWN if share is None else f"{100 * share:.{digits}f}{NO_BREAK}%"


def ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it."""
    if value is None:
        return UNKNOWN
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if value >= 2 * length:
            return f"{value / length:,.1f}{NO_BREAK}{unit}"
    return f"{value:,.1f}{NO_BREAK}s"


def size(value: float | None) -> str:
    """Bytes, in the unit that suits them."""
    if value is None:
        return UNKNOWN
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if value >= 1 << power:
            return f"{value / (1 << power):,.4g}{NO_BREAK}{unit}"
    return f"{value:,.0f}{NO_BREAK}B"


def interval(low: float | None, high: float | None, write: Any = number, ci: float = 0.95) -> str:
    """The bounds of an estimate; empty where there are none."""
    return "" if low is None or high is None else f"{100 * ci:g}{NO_BREAK}%: {write(low)} to {write(high)}"
