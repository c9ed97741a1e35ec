"""Man pages from what click knows of its commands: groff's `man` macros, escaped. Rate class: command.

One page a command, and one for a command of commands. Source: man(7), man-pages(7).
"""
from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from fastdht import __version__

PROGRAM = "fastdht"
SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
_SPECIAL = re.compile("[" + re.escape("".join(SPECIAL)) + "]")
EXIT_STATUS = (
    ("0", "Done."),
    ("1", "The operation failed."),
    ("2", "Wrong usage."),
    ("130", "Interrupted."),
)


def manual(program: click.Command) -> Iterator[tuple[str, str]]:
    """(name, page) of the program and each command below it; a name has hyphens where one types spaces.

    Raises click's ClickException for a command whose extra is not installed.
    """
    yield from pages_below(click.Context(program, info_name=PROGRAM, max_content_width=110))


def pages_below(ctx: click.Context) -> Iterator[tuple[str, str]]:
    names = children(ctx)
    yield page_name(ctx), page(ctx, names)
    for name in names:
        command = child(ctx, name)
        yield from pages_below(click.Context(command, info_name=name, parent=ctx))


def children(ctx: click.Context) -> list[str]:
    return ctx.command.list_commands(ctx) if isinstance(ctx.command, click.Group) else []


def child(ctx: click.Context, name: str) -> click.Command:
    assert isinstance(ctx.command, click.Group)
    command = ctx.command.get_command(ctx, name)
    assert command is not None, name
    return command


def page_name(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")


def page(ctx: click.Context, names: list[str]) -> str:
    first, *rest = paragraphs(ctx.command.help or "")
    lines = [
        f'.TH {quoted(page_name(ctx).upper())} 1 "" {quoted(f"{PROGRAM} {__version__}")} {quoted("User Commands")}',
        ".SH NAME",
        f"{escaped(page_name(ctx))} \\- {escaped(first.rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {escaped(ctx.command_path)}",
        text(" ".join(ctx.command.collect_usage_pieces(ctx))),
        ".SH DESCRIPTION",
        text(first),
    ]
    for paragraph in rest:
        lines += [".PP", text(paragraph)]
    lines += definitions("OPTIONS", options(ctx))
    lines += definitions("COMMANDS", [(name, child(ctx, name).get_short_help_str(limit=110)) for name in names])
    lines += definitions("EXIT STATUS", EXIT_STATUS)
    lines += see_also(ctx, names)
    return "\n".join(lines) + "\n"


def paragraphs(help_text: str) -> list[str]:
    """Help as click shows it: paragraphs, their lines joined."""
    cleaned = inspect.cleandoc(help_text).replace("\b\n", "")
    return [" ".join(part.split()) for part in cleaned.split("\n\n")]


def options(ctx: click.Context) -> list[tuple[str, str]]:
    records = (parameter.get_help_record(ctx) for parameter in ctx.command.get_params(ctx))
    return [record for record in records if record is not None]


def definitions(title: str, rows: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> list[str]:
    lines = [f".SH {title}"] if rows else []
    for term, meaning in rows:
        lines += [".TP", f"\\fB{escaped(term)}\\fR", text(meaning)]
    return lines


def see_also(ctx: click.Context, names: list[str]) -> list[str]:
    others = [f"{page_name(ctx)}-{name}" for name in names]
    if ctx.parent is not None:
        others.insert(0, page_name(ctx.parent))
    if not others:
        return []
    return [".SH SEE ALSO", *(f".BR {escaped(name)} (1)," for name in others[:-1]), f".BR {escaped(others[-1])} (1)"]


def text(plain: str) -> str:
    """A line of running text; one that begins like a request must not be taken for one."""
    line = escaped(plain)
    return f"\\&{line}" if line.startswith(".") else line


def quoted(plain: str) -> str:
    return '"' + escaped(plain).replace('"', r"\(dq") + '"'


def escaped(plain: str) -> str:
    return _SPECIAL.sub(lambda match: SPECIAL[match[0]], " ".join(plain.split()))
