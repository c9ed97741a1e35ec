"""`fastdht completion`: the completion script of a shell. Rate class: command."""
from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "fastdht"
VARIABLE = "_FASTDHT_COMPLETE"      # click's rule: the program's name in capitals, and _COMPLETE
INSTALL = {
    "bash": 'in ~/.bashrc: eval "$(fastdht completion bash)"',
    "fish": "once: fastdht completion fish > ~/.config/fish/completions/fastdht.fish",
    "zsh": 'in ~/.zshrc: eval "$(fastdht completion zsh)"',
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell; its first line says how to install it."""
    kind = get_completion_class(shell)
    assert kind is not None, shell      # click has brought all three since 8.0
    script = kind(ctx.find_root().command, {}, PROGRAM, VARIABLE).source()
    click.echo(f"# To install, {INSTALL[shell]}\n{script.strip()}")
