"""What a person sees of the command line before it does anything: help, version, typos, one line per failure."""
from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import fastdht
from fastdht import cli
from fastdht.errors import ConfigError, DecodeError, DHTError, LocalProtocolError, NoResponse


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "fastdht", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_when_asked_then_lists_every_command(flag: str) -> None:
    done = run(flag)
    assert done.returncode == 0
    assert [name for name in cli.COMMANDS if f"\n  {name} " not in done.stdout] == []


def test_help_when_asked_then_loads_no_command() -> None:
    code = ("import sys, fastdht.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
            "print([m for m in sys.modules if m.startswith(('fastdht.cli.', 'fastdht.crawl', 'rich', 'uvloop'))])")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_command_when_asked_for_help_then_describes_itself(name: str) -> None:
    result = CliRunner().invoke(cli.main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: main {name}")


def test_version_when_asked_then_is_the_package_version() -> None:
    assert run("--version").stdout == f"fastdht {fastdht.__version__}\n"


def test_command_when_mistyped_then_suggests_the_right_one() -> None:
    done = run("swram", "--nodes", "5")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "fastdht: no command 'swram'; did you mean swarm?\n")


def test_command_when_unlike_any_then_lists_them() -> None:
    done = run("xyzzy")
    assert done.returncode == 2
    assert done.stderr == f"fastdht: no command 'xyzzy'; one of {', '.join(sorted(cli.COMMANDS))}\n"


def test_option_when_unknown_then_one_line_and_exit_2() -> None:
    done = run("demo", "--ndoes", "5")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--ndoes" in done.stderr


@pytest.mark.parametrize(("error", "code"), [
    (ConfigError("k is 0; 1 to 128"), 2),
    (DecodeError("id is 3 bytes; 20 needed"), 2),
    (LocalProtocolError("value is 1204 bytes; BEP 44 allows 1000"), 2),
    (NoResponse("no answer"), 1),
    (DHTError("anything else\nin two lines"), 1),
    (PermissionError(errno.EACCES, "Permission denied", "/proc/out"), 1),
    (OSError(errno.EADDRINUSE, "address in use"), 1),
    (click.UsageError("bad"), 2),
])
def test_failure_when_raised_by_a_command_then_one_line_and_its_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_command_that_raises(error, monkeypatch)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1


def test_ctrl_c_when_in_a_command_then_quietly_130(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_command_that_raises(KeyboardInterrupt(), monkeypatch)
    assert (result.exit_code, result.output) == (130, "")


def test_broken_pipe_when_in_a_command_then_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_command_that_raises(BrokenPipeError(errno.EPIPE, "Broken pipe"), monkeypatch)
    assert (result.exit_code, result.output) == (141, "")


def test_bug_when_in_a_command_then_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_command_that_raises(ZeroDivisionError("a bug"), monkeypatch)
    assert isinstance(result.exception, ZeroDivisionError)


def run_command_that_raises(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> click.testing.Result:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli.main, "get_command", lambda ctx, name: click.Command(name, callback=fail))
    return CliRunner().invoke(cli.main, ["demo"])


def test_command_when_an_extra_is_missing_then_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "demo", ("fastdht_needs_this", "…"))
    result = CliRunner().invoke(cli.main, ["demo"])
    assert result.exit_code == 1
    assert "`fastdht demo` needs fastdht_needs_this, which is not installed" in result.stderr
    assert result.stderr.count("\n") == 1


def test_output_when_reader_has_gone_then_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(["/bin/sh", "-c", f"'{sys.executable}' -P -m fastdht --help | true"],
                          capture_output=True, text=True, check=False)
    assert done.stderr == ""
