"""What belongs to the shell: `fastdht completion`, `fastdht man`. Rate class: command."""
from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from fastdht.cli.render import emit_remark
from fastdht.cli.roff import PROGRAM, manual

VARIABLE = "_FASTDHT_COMPLETE"      # click's rule: the program's name in capitals, and _COMPLETE
INSTALL = {
    "bash": 'put this line into ~/.bashrc: eval "$(fastdht completion bash)"',
    "zsh": 'put this line into ~/.zshrc, after compinit: eval "$(fastdht completion zsh)"',
    "fish": "run once: fastdht completion fish > ~/.config/fish/completions/fastdht.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(INSTALL)), metavar="bash|zsh|fish")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands and options; its last line says how to install it."""
    kind = get_completion_class(shell)
    assert kind is not None, shell      # click has brought all three since 8.0
    maker = kind(ctx.find_root().command, {}, PROGRAM, VARIABLE)
    script = maker.source_template % maker.source_vars()    # source() also runs bash, to see whether it is a new one
    click.echo(f"{script.strip()}\n\n# To install, {INSTALL[shell]}")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def man(ctx: click.Context, folder: Path) -> None:
    """Write a manual page for each command into DIR, such as ~/.local/share/man/man1; it is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, page in manual(ctx.find_root().command, left_out=emit_remark):
        (folder / f"{name}.1").write_text(page, encoding="utf-8")
        count += 1
    emit_remark(f"{count} pages in {folder}")
