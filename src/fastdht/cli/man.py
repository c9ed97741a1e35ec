"""`fastdht man`: the man pages of all commands. Rate class: command."""
from __future__ import annotations

from pathlib import Path

import click

from fastdht.cli.render import emit_remark
from fastdht.cli.roff import manual


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def man(ctx: click.Context, directory: Path) -> None:
    """Write one man page for each command to DIR, which is created if need be; `man -l DIR/fastdht.1` shows one."""
    directory.mkdir(parents=True, exist_ok=True)
    pages = dict(manual(ctx.find_root().command))
    for name, page in pages.items():
        (directory / f"{name}.1").write_text(page, encoding="utf-8")
    emit_remark(f"{len(pages)} pages written to {directory}")
