"""`fastdht man` and `fastdht completion`: pages that groff reads without a word, scripts that shells accept."""
from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fastdht import cli
from fastdht.cli import roff

PATHS = [(name,) for name in cli.COMMANDS] + [("crawl", "census"), ()]
GROFF = ["groff", "-man", "-ww", "-b", "-T", "ascii", "-P", "-cbou"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man") / "new" / "man1"
    done = subprocess.run([sys.executable, "-P", "-m", "fastdht", "man", str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == f"{len(list(folder.iterdir()))} pages in {folder}\n"
    return folder


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = cli.main
    for name in path:
        command = command.get_command(click.Context(command), name)
    return command


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_page_when_written_then_names_every_option_and_its_command(path, pages):
    name = "-".join(("fastdht", *path))
    text = (pages / f"{name}.1").read_text().replace("\\-", "-")
    assert text.isascii()
    assert f"{name} - " in text
    shown = [each for each in command_at(path).params if isinstance(each, click.Option) and not each.hidden]
    assert [option for each in shown for option in each.opts if option not in text] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_pages_when_read_by_groff_then_it_has_nothing_to_say(pages):
    for page in sorted(pages.iterdir()):
        done = subprocess.run([*GROFF, str(page)], capture_output=True, text=True, check=True)
        assert done.stderr == "", page.name
        assert "SYNOPSIS" in done.stdout


@pytest.mark.skipif(shutil.which("man") is None or shutil.which("groff") is None, reason="man is not installed")
def test_pages_when_read_by_man_then_it_has_nothing_to_say(pages):
    for page in sorted(pages.iterdir()):
        done = subprocess.run(["man", "--warnings", "-l", str(page)], capture_output=True, text=True, check=True)
        assert done.stderr == "", page.name


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_text_when_full_of_what_roff_reads_otherwise_then_is_printed_as_it_is(tmp_path):
    line = r""".so /etc/passwd \fB 'quotes' "double" -dash ^hat ~tilde `tick` é \\n ."""

    @click.command(help=f"Say it.\n\n{line}\n\n\b\n'one\n.two")
    @click.option("--odd", help=line)
    def odd(odd: str) -> None: ...

    group = click.Group("fastdht", commands={"odd": odd}, help="All.")
    pages = dict(roff.manual(group, left_out=pytest.fail))
    (tmp_path / "odd.1").write_text(pages["fastdht-odd"])
    command = ["groff", "-man", "-ww", "-K", "utf8", "-T", "utf8", "-P", "-cbou", "-rLL=200n", str(tmp_path / "odd.1")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stderr == ""
    assert done.stdout.count(line) == 2
    assert "'one\n" in done.stdout
    assert ".two\n" in done.stdout


def test_pages_when_a_command_lacks_an_extra_then_the_others_are_written(monkeypatch, tmp_path):
    monkeypatch.setitem(cli.COMMANDS, "demo", ("fastdht_needs_this", "…"))
    result = CliRunner().invoke(cli.main, ["man", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "`fastdht demo` needs fastdht_needs_this" in result.stderr
    assert (tmp_path / "fastdht-serve.1").exists()
    assert not (tmp_path / "fastdht-demo.1").exists()


def test_directory_when_a_file_then_one_line_and_exit_2(tmp_path):
    taken = tmp_path / "taken"
    taken.touch()
    result = CliRunner().invoke(cli.main, ["man", str(taken)])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_script_when_printed_then_the_shell_accepts_it_and_its_last_line_says_how_to_install(shell, check, tmp_path):
    result = CliRunner().invoke(cli.main, ["completion", shell])
    assert result.exit_code == 0
    assert "_FASTDHT_COMPLETE" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith("# To install, ")
    assert f"fastdht completion {shell}" in last
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(result.stdout)
        subprocess.run([*check, str(tmp_path / "script")], check=True)


@pytest.mark.parametrize(("shell", "start"), [("zsh", "#compdef fastdht\n"), ("bash", "_fastdht_completion() {\n")])
def test_script_when_printed_then_begins_as_the_shell_wants_it(shell, start):
    assert CliRunner().invoke(cli.main, ["completion", shell]).stdout.startswith(start)


def test_completion_when_a_shell_asks_then_names_commands():
    environment = {"_FASTDHT_COMPLETE": "bash_complete", "COMP_WORDS": "fastdht con", "COMP_CWORD": "1", "PYTHONPATH": ":".join(sys.path)}
    code = "import sys; sys.argv = ['fastdht']; from fastdht.cli import main; main(prog_name='fastdht')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "plain,conform\n", done.stderr


def test_shell_when_unknown_then_one_line_and_exit_2():
    result = CliRunner().invoke(cli.main, ["completion", "tcsh"])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
