"""The command line: `fastdht COMMAND`. Rate class: command.

Commands are loaded when they are called, so that `fastdht --help` is quick and a missing extra disables only the
commands that need it. Whatever goes wrong ends as one line on stderr: exit code 2 for wrong usage, 1 for failure.
"""
from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from fastdht import __version__
from fastdht.errors import ConfigError, DecodeError, DHTError, LocalProtocolError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130      # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141      # 128 + SIGPIPE: whoever read our output has gone

# Command → module that exports it under that name ("-" as "_"), and the line that --help shows.
COMMANDS = {
    "announce-peer": ("fastdht.cli.peers", "Announce ourselves as a peer of a torrent."),
    "bootstrap": ("fastdht.cli.nodes", "Join the network and save the contacts found."),
    "closest-peers": ("fastdht.cli.nodes", "Find the nodes that keep peers for an infohash."),
    "closest-stores": ("fastdht.cli.nodes", "Find the nodes that keep items for a target."),
    "compat": ("fastdht.cli.compat", "Take the single-dash flags of mh-cbon/dht."),
    "completion": ("fastdht.cli.shell", "Print what makes a shell complete commands and options."),
    "conform": ("fastdht.cli.conform", "Ask a node everything the BEPs define, and name each deviation."),
    "doctor": ("fastdht.cli.doctor", "Find out how well the DHT works from here."),
    "find-node": ("fastdht.cli.nodes", "Find the nodes closest to an id."),
    "follow": ("fastdht.cli.updates", "Print each torrent that a key comes to name (BEP 46)."),
    "genkey": ("fastdht.cli.keys", "Make a key to sign items with."),
    "get": ("fastdht.cli.items", "Get an item by its target or key (BEP 44)."),
    "get-peers": ("fastdht.cli.peers", "Find the peers of a torrent."),
    "man": ("fastdht.cli.shell", "Write manual pages."),
    "ping": ("fastdht.cli.nodes", "Ask nodes who they are."),
    "publish": ("fastdht.cli.updates", "Say which torrent, or which DNS records, a key names."),
    "put": ("fastdht.cli.items", "Store an item (BEP 44)."),
    "resolve": ("fastdht.cli.updates", "Print the DNS records of a key (pkarr)."),
    "sample": ("fastdht.cli.peers", "Ask nodes which torrents they know (BEP 51)."),
    "scrape": ("fastdht.cli.peers", "Estimate how many seeds and peers a torrent has (BEP 33)."),
    "sign": ("fastdht.cli.keys", "Sign an item without a network."),
    "crawl": ("fastdht.cli.crawl", "Enumerate the nodes of a network and check the result against a truth."),
    "demo": ("fastdht.cli.demo", "Crawl a swarm of virtual nodes on this machine and show how much was found."),
    "serve": ("fastdht.cli.serve", "Run one DHT node until a signal."),
    "swarm": ("fastdht.cli.swarm", "Answer over real UDP as up to millions of virtual nodes."),
}
# What an optional module comes with.
EXTRAS = {"pyarrow": "crawl", "jinja2": "report", "matplotlib": "report", "dns": "pkarr", "nacl": "nacl",
          "prometheus_client": "metrics", "distributed": "dask", "duckdb": "duckdb"}


class CommandLine(click.Group):
    """A click group that loads its commands late and turns every failure into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        try:
            command = getattr(importlib.import_module(COMMANDS[name][0]), name.replace("-", "_"))
        except ModuleNotFoundError as error:
            raise click.ClickException(explain_missing(name, error)) from error
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else f"one of {', '.join(sorted(COMMANDS))}"
            raise click.UsageError(f"no command {args[0]!r}; {advice}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def main(self, *args: Any, **options: Any) -> Any:
        run: Callable[..., Any] = super().main
        if not options.pop("standalone_mode", True):
            return run(*args, standalone_mode=False, **options)
        try:
            status = run(*args, standalone_mode=False, **options)
            sys.stdout.flush()
        except Exception as error:
            sys.exit(report(error))
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            discard_output()
            raise click.exceptions.Exit(EXIT_BROKEN_PIPE) from None


def explain_missing(name: str, error: ModuleNotFoundError) -> str:
    missing = (error.name or "").partition(".")[0]
    if missing in ("", "fastdht"):
        raise error
    extra = f": pip install 'fastdht[{EXTRAS[missing]}]'" if missing in EXTRAS else ""
    return f"`fastdht {name}` needs {missing}, which is not installed{extra}"


def report(error: Exception) -> int:
    """Say what went wrong in one line on stderr; returns the exit code. What is no known failure is raised again."""
    if isinstance(error, BrokenPipeError):      # found by the last flush
        discard_output()
        return EXIT_BROKEN_PIPE
    if isinstance(error, click.Abort):
        return EXIT_INTERRUPTED
    if isinstance(error, click.ClickException):
        return complain(error.format_message(), error.exit_code, getattr(error, "ctx", None))
    if isinstance(error, ConfigError | DecodeError | LocalProtocolError):
        return complain(str(error), EXIT_USAGE)
    if isinstance(error, DHTError):
        return complain(str(error), EXIT_FAILURE)
    if isinstance(error, OSError):
        return complain(describe(error), EXIT_FAILURE)
    raise error


def complain(message: str, code: int, ctx: click.Context | None = None) -> int:
    where = ctx.command_path if ctx else "fastdht"
    click.echo(f"{where}: {clean(' '.join(message.split()))}", err=True)
    return code


def clean(text: str) -> str:
    """Text in one line that moves no cursor: what strangers send must not command a terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)


def describe(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename is not None else text


def discard_output() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not complain about a closed pipe."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):   # a captured stdout has no descriptor, and no pipe behind it
        return


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="fastdht %(version)s")
def main() -> None:
    """A Mainline (BitTorrent) DHT: nodes, crawls, and swarms to check them against.

    Results go to stdout, everything else to stderr. Each command has its own --help, and --json where it tells
    something.
    """
