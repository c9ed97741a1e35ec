"""What the documents tell people to type exists: names, commands, options, make targets, files."""
from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import fastdht
from fastdht import cli
from tests.meta.sources import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("bench/*.md")])
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(((?!https?:|#)[^)#\s]+)")
_RULE = re.compile(r"^([a-z][a-z -]*):(?!=)", re.MULTILINE)
TARGETS = {target for names in _RULE.findall((ROOT / "Makefile").read_text()) for target in names.split()}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return [body for kind, body in _BLOCK.findall(path.read_text()) if kind == language]


def typed_commands(path: Path) -> Iterator[list[str]]:
    """The words of each `$ command` line in console blocks, continuation lines joined."""
    for body in blocks(path, "console"):
        for line in body.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield shlex.split(line[2:].rstrip("&"), comments=True)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_python_block_uses_public_names(path: Path) -> None:
    for body in blocks(path, "python"):
        tree = ast.parse(body)
        used = {
            node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fastdht"
        }
        assert not used - set(fastdht.__all__) - {"testing"}, f"{name_of(path)} shows names that do not exist"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_command_block_uses_commands_and_options_that_exist(path: Path) -> None:
    for words in typed_commands(path):
        if words[0] == "make":
            unknown = {word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)} - TARGETS
            assert not unknown, f"{name_of(path)}: no make target {unknown}"
        if words[0] == "fastdht":
            check_options(words, path)


def check_options(words: list[str], path: Path) -> None:
    command: click.Command = cli.main
    context = click.Context(command)
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest.pop(0))
        assert found is not None, f"{name_of(path)}: no command {shlex.join(words)}"
        command = found
    known = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}
    unknown = {word.partition("=")[0] for word in rest if word.startswith("--")} - known - {"--help"}
    assert not unknown, f"{name_of(path)}: {shlex.join(words)} has no {unknown}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_link_leads_to_a_file(path: Path) -> None:
    missing = [target for target in _LINK.findall(path.read_text()) if not (path.parent / target).exists()]
    assert not missing, f"{name_of(path)} links to {missing}"


def test_make_targets_are_found() -> None:
    assert {"demo", "test", "bench-server", "bench-micro", "fuzz-gate"} <= TARGETS


def deployed_commands() -> Iterator[tuple[Path, list[str]]]:
    manifest, script = ROOT / "docs/deploy/kubernetes.yaml", ROOT / "docs/deploy/slurm.sh"
    for body in re.findall(r"command: \[(.*?)\]", manifest.read_text(), re.DOTALL):
        yield manifest, [word.strip().strip('"') for word in body.split(",")]
    for line in script.read_text().splitlines():
        if "fastdht crawl" in line and not line.startswith("#"):
            yield script, shlex.split(line.strip().rstrip("&"))


def test_deployed_commands_exist() -> None:
    crawls = [(path, words) for path, words in deployed_commands() if words[0] == "fastdht"]
    assert len(crawls) == 3
    for path, words in crawls:
        check_options(words, path)
