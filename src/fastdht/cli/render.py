"""What commands print: one JSON line for programs, tables for people. Rate class: command.

Results go to stdout, remarks to stderr, so that `| jq` and `> file` see only results.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from fastdht.cli import clean


class Row(NamedTuple):
    """One line of a summary: what it is, its value, and a remark for who sees it for the first time."""

    name: str
    value: str
    remark: str = ""


def emit_json(value: Mapping[str, Any]) -> None:
    """Print `value` as one line and flush it: whoever waits for the line reads from a pipe."""
    click.echo(json.dumps(value, separators=(", ", ": ")))


def emit_remark(text: str) -> None:
    """Say something to a person; never part of the result."""
    click.echo(clean(text), err=True)


def print_summary(title: str, rows: Iterable[Row]) -> None:
    """A table of names and values on stdout."""
    from rich.box import SIMPLE_HEAD        # here, for a crawl that prints JSON needs no tables
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, show_header=False, title_justify="left", title_style="bold")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def count(value: float) -> str:
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """Rounded down: 99.996 % must not read as 100 %."""
    return f"{int(share * 10_000) / 100:.2f} %"


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on a terminal; else one line a row, fields parted by tabs, without a heading."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(map(clean, row)))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(clean(field)) for field in row))
    Console().print(table)


def emit(as_json: bool, value: Mapping[str, Any], columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A result: `value` as JSON, or its rows."""
    if as_json:
        emit_json(value)
    else:
        print_rows(columns, rows)


def milliseconds(value_s: float) -> str:
    return f"{value_s * 1000:.1f} ms"
