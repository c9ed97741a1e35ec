"""What belongs to the shell: completion, man. Rate class: command."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from fastdht import __version__
from fastdht.cli import main
from fastdht.cli.options import NodeOption
from fastdht.cli.render import emit_remark

PROGRAM = "fastdht"
COMPLETE_VARIABLE = "_FASTDHT_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
def completion(shell: str) -> None:
    """Print what makes a shell complete commands and options.

    \b
    bash: eval "$(fastdht completion bash)"        in ~/.bashrc
    zsh:  eval "$(fastdht completion zsh)"         in ~/.zshrc
    fish: fastdht completion fish > ~/.config/fish/completions/fastdht.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    maker = kind(main, {}, PROGRAM, COMPLETE_VARIABLE)
    click.echo(maker.source_template % maker.source_vars())


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def man(folder: Path) -> None:
    """Write the manual pages of fastdht and every command into a directory, such as ~/.local/share/man/man1."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {page_name(words): format_page(words, command) for words, command in walk((PROGRAM,), main)}
    for name, text in pages.items():
        (folder / f"{name}.1").write_text(text, encoding="utf-8")
    emit_remark(f"{len(pages)} pages in {folder}")


def walk(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=words[-1])
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from walk((*words, name), found)


def page_name(words: tuple[str, ...]) -> str:
    return "-".join(words)


def format_page(words: tuple[str, ...], command: click.Command) -> str:
    """One page in the macros of man(7)."""
    context = click.Context(command, info_name=" ".join(words))
    title = page_name(words)
    text = re.sub(r"\n(?!\n)[ ]*", "\n", (command.help or "").replace("\b\n", "")).strip()
    summary = text.partition("\n\n")[0].replace("\n", " ").rstrip(".")
    lines = [f'.TH "{title.upper()}" "1" "" "fastdht {__version__}" "fastdht"', ".SH NAME",
             f"{roff(title)} \\- {roff(summary)}", ".SH SYNOPSIS", f".B {roff(' '.join(words))}",
             roff(" ".join(command.collect_usage_pieces(context))), ".SH DESCRIPTION"]
    lines += [roff(line) if line else ".PP" for line in text.splitlines()]
    for section, is_shared in (("OPTIONS", False), ("NODE OPTIONS", True)):
        lines += format_section(section, command, context, is_shared)
    if isinstance(command, click.Group):
        lines += [".SH COMMANDS"]
        for name in command.list_commands(context):
            lines += [".TP", f".BR {roff(page_name((*words, name)))} (1)"]
    return "\n".join(lines) + "\n"


def format_section(section: str, command: click.Command, context: click.Context, is_shared: bool) -> list[str]:
    records = [(each, record) for each in command.get_params(context)
               if isinstance(each, click.Option) and isinstance(each, NodeOption) == is_shared
               and (record := each.get_help_record(context)) is not None]
    lines = [f".SH {section}"] if records else []
    for parameter, (names, meaning) in records:
        variable = f" Environment: {parameter.envvar}." if isinstance(parameter.envvar, str) else ""
        lines += [".TP", f".B {roff(names)}", roff(meaning + variable)]
    return lines


def roff(text: str) -> str:
    """Text without meaning to roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
