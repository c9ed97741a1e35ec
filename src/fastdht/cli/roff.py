"""Manual pages from what click knows of its commands: groff's `man` macros, escaped. Rate class: command.

One page a command, and one for a command of commands. Source: man(7), man-pages(7), groff_char(7).
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence

import click

from fastdht import __version__
from fastdht.cli.options import NodeOption

PROGRAM = "fastdht"
# Characters that roff reads as something else: requests, escapes, ASCII that it prints as typographic marks, and the
# one of ours that a terminal of ASCII only would lack.
SPECIAL = {"…": "...", "\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}
EXIT_STATUS = (("0", "Done."), ("1", "The operation failed."), ("2", "Wrong usage."), ("130", "Interrupted."))

Rows = Sequence[tuple[str, str]]


def manual(program: click.Command, left_out: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """(name, page) of the program and each command below it; a name has hyphens where one types spaces.

    left_out: is told about each command that needs something which is not installed.
    """
    yield from pages_below(click.Context(program, info_name=PROGRAM, max_content_width=110), left_out)


def pages_below(ctx: click.Context, left_out: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    below = list(contexts_below(ctx, left_out))
    yield page_name(ctx), page(ctx, below)
    for each in below:
        yield from pages_below(each, left_out)


def contexts_below(ctx: click.Context, left_out: Callable[[str], None]) -> Iterator[click.Context]:
    if not isinstance(ctx.command, click.Group):
        return
    for name in ctx.command.list_commands(ctx):
        try:
            command = ctx.command.get_command(ctx, name)
        except click.ClickException as error:
            left_out(error.format_message())
            continue
        if command is not None:
            yield click.Context(command, info_name=name, parent=ctx)


def page_name(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


def page(ctx: click.Context, below: list[click.Context]) -> str:
    first, *rest = paragraphs(ctx.command.help or ctx.command_path)
    lines = [
        f'.TH "{page_name(ctx).upper()}" "1" "" "{escaped(f"{PROGRAM} {__version__}")}" "User Commands"',
        ".SH NAME",
        f"{escaped(page_name(ctx))} \\- {escaped(' '.join(first).rstrip('.:'))}",
        ".SH SYNOPSIS",
        f".B {escaped(ctx.command_path)}",
        escaped(" ".join(ctx.command.collect_usage_pieces(ctx))),
        ".SH DESCRIPTION",
        *running(first),
    ]
    for each in rest:
        lines += [".PP", *running(each)]
    lines += definitions("OPTIONS", options(ctx, of_node=False))
    lines += definitions("NODE OPTIONS", options(ctx, of_node=True))
    lines += definitions("COMMANDS", [(str(each.info_name), each.command.get_short_help_str(110)) for each in below])
    lines += definitions("EXIT STATUS", EXIT_STATUS)
    lines += see_also(ctx, below)
    return "\n".join(lines) + "\n"


def paragraphs(help_text: str) -> list[list[str]]:
    """Help as click shows it: paragraphs of one line each, or of several where click keeps them apart."""
    parts = [part for part in inspect.cleandoc(help_text).split("\n\n") if part.strip()]
    return [part.lstrip().removeprefix("\b\n").splitlines() if part.lstrip().startswith("\b\n")
            else [" ".join(part.split())] for part in parts]


def running(lines: list[str]) -> list[str]:
    """Lines of a paragraph; of several, each stays a line of its own."""
    if len(lines) == 1:
        return [escaped(lines[0])]
    return [".nf", *map(escaped, lines), ".fi"]


def options(ctx: click.Context, *, of_node: bool) -> Rows:
    rows = []
    for parameter in ctx.command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, NodeOption) is of_node:
            names, meaning = record
            variable = f" Environment: {parameter.envvar}." if isinstance(parameter.envvar, str) else ""
            rows.append((names, meaning + variable))
    return rows


def definitions(title: str, rows: Rows) -> list[str]:
    lines = [f".SH {title}"] if rows else []
    for term, meaning in rows:
        lines += [".TP", f"\\fB{escaped(term)}\\fR", escaped(meaning)]
    return lines


def see_also(ctx: click.Context, below: list[click.Context]) -> list[str]:
    others = [page_name(each) for each in below]
    if ctx.parent is not None:
        others.insert(0, page_name(ctx.parent))
    lines = [f".BR {escaped(name)} (1)," for name in others]
    return [".SH SEE ALSO", *lines[:-1], lines[-1].rstrip(",")] if lines else []


def escaped(text: str) -> str:
    """Text without meaning to roff, in ASCII; a line of it that begins like a request is none."""
    kept = "".join(SPECIAL.get(each) or (each if each.isascii() else f"\\[u{ord(each):04X}]") for each in text)
    return f"\\&{kept}" if kept.startswith(".") else kept
