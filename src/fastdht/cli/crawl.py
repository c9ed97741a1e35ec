"""`fastdht crawl`: enumerate a network, and check a crawl against a truth. Rate class: command.

The census is the default mode: `fastdht crawl --zone a4/6` is `fastdht crawl census --zone a4/6`. Progress goes to
stderr, results to stdout; Ctrl-C ends a crawl with what it has found. Modes are loaded when they are called.
"""
from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path
from typing import Any

import click

from fastdht.cli.crawl_census import Rate
from fastdht.cli.folders import URL_KEY, CrawlFolder
from fastdht.cli.params import HostPort
from fastdht.cli.render import Row, count, emit_json, emit_remark, percent, print_summary
from fastdht.config import public_bootstrap
from fastdht.crawl.settings import CrawlConfig
from fastdht.crawl.sinks import has_parquet, write_json
from fastdht.crawl.zones import Zone
from fastdht.engine.names import split_host
from fastdht.errors import DHTError
from fastdht.types import Endpoint

__all__ = ["LAYOUT", "Rate", "choose_format", "crawl", "finish_note", "make_config"]

LAYOUT = 1              # of a directory whose tables are flat: parts/TABLE/part-N
MAX_SEEDS = 1000        # any of them leads to all others
MODES = {"census": "crawl_census", "harvest": "crawl_harvest", "merge": "crawl_census", "metadata": "crawl_metadata",
         "monitor": "crawl_monitor", "peers": "crawl_peers", "size": "crawl_size",
         "resume": "crawl_census", "send": "crawl_census"}      # and the module beside this one that exports it


class Modes(click.Group):
    """A group whose default command is the census."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*MODES, *self.commands})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in MODES and name not in self.commands:
            self.add_command(getattr(importlib.import_module(f"fastdht.cli.{MODES[name]}"), name))
        return super().get_command(ctx, name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["census", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        modes = self.list_commands(ctx)
        if args[0] not in modes:
            close = difflib.get_close_matches(args[0], modes, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else f"one of {', '.join(modes)}"
            raise click.UsageError(f"no mode {args[0]!r}; {advice}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Modes)
def crawl() -> None:
    """Enumerate the nodes of a network, or check such a crawl. The default mode is census."""


def make_config(rate: float, allow_net: tuple[str, ...], *, bootstrap: str | tuple[HostPort, ...], bind: Endpoint,
                depth: str, zone: Any, passes: int, max_inflight: int, per_ip: float, timeout: float | None,
                max_contacts: int, seed: int | None, seeds: tuple[Path, ...] = (), **limits: Any) -> CrawlConfig:
    return CrawlConfig(
        bootstrap=(*bootstrap_names(bootstrap), *read_seeds(seeds)), bind=bind, allow_net=allow_net, depth=depth,
        zone=Zone(*zone) if zone else Zone(), passes=passes, rate=rate, max_in_flight=max_inflight,
        per_ip_rate=per_ip, timeout_s=timeout or 0.0, max_contacts=max_contacts,
        seed=int.from_bytes(os.urandom(8), "big") if seed is None else seed, **limits)


def bootstrap_names(bootstrap: str | tuple[HostPort, ...]) -> tuple[str, ...]:
    """HOST:PORT of each entry host."""
    if not isinstance(bootstrap, str):
        return tuple(f"[{each.host}]:{each.port}" if ":" in each.host else f"{each.host}:{each.port}"
                     for each in bootstrap)
    if bootstrap != "public":
        raise click.UsageError(f"--bootstrap {bootstrap}: a crawl needs HOST:PORT,… or public")
    return public_bootstrap()


def read_seeds(paths: tuple[Path, ...]) -> tuple[str, ...]:
    """The hosts that files name, one HOST:PORT a line."""
    hosts = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise click.UsageError(f"--seeds {path}: {error}") from None
        for number, line in enumerate(lines, 1):
            if host := line.partition("#")[0].strip():
                try:
                    split_host(host)
                except DHTError as error:
                    raise click.UsageError(f"--seeds {path}, line {number}: {error}") from None
                hosts.append(host)
    if len(hosts) > MAX_SEEDS:
        raise click.UsageError(f"--seeds names {len(hosts)} hosts; at most {MAX_SEEDS} are of use")
    return tuple(hosts)


def choose_format(wanted: str | None) -> str:
    if wanted == "parquet" and not has_parquet():
        raise click.ClickException("--format parquet needs pyarrow: pip install 'fastdht[crawl]'")
    if wanted is None and not has_parquet():
        emit_remark("pyarrow is not installed; writing JSON lines")
        return "jsonl"
    return wanted or "parquet"


def finish_note(folder: Path, note: dict[str, Any], state: str) -> None:
    """Write the last crawl.json; where the crawl has failed already, its own error is the one to report."""
    try:
        write_json(folder / "crawl.json", note)
    except DHTError:
        if state != "failed":
            raise


@crawl.command()
@click.argument("directory", type=CrawlFolder())
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Where to write the page. Default: report.html in DIRECTORY, or here when that is a URL.")
def report(directory: Path, out: Path | None) -> None:
    """Show what a crawl of any mode has left in DIRECTORY as one self-contained HTML page."""
    from fastdht.crawl.report.page import write_report

    is_remote = URL_KEY in click.get_current_context().meta
    target = out or (Path() if is_remote else directory) / "report.html"
    write_report(directory, target)
    click.echo(target)


@crawl.command()
@click.argument("directory", type=CrawlFolder())
@click.option("--truth", "truth_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="What `fastdht swarm --truth` wrote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def verify(directory: Path, truth_file: Path, as_json: bool) -> None:
    """Compare the crawl in DIRECTORY with the truth about its network."""
    from fastdht.cli.crawl_verify import recall_rows, show_harvest, show_peers, show_size
    from fastdht.crawl.size_verify import is_size
    from fastdht.crawl.verify import verify as compare
    from fastdht.crawl.verify_harvest import is_harvest
    from fastdht.crawl.verify_peers import MODES as PEERS_MODES
    from fastdht.crawl.verify_peers import mode_of
    from fastdht.testing.sessions import read_sessions
    from fastdht.testing.truth import ANSWERS, REACHABLE, read_truth

    truth = read_truth(truth_file)
    if mode_of(directory) in PEERS_MODES:
        show_peers(directory, truth_file, as_json=as_json)
        return
    if is_harvest(directory):
        show_harvest(directory, truth_file, truth.records, truth.nodes, as_json=as_json)
        return
    if is_size(directory):
        show_size(directory, truth_file, len(truth.keys(REACHABLE)), as_json=as_json)
        return
    sessions = read_sessions(truth_file)
    always, partly = sessions.split(truth) if sessions is not None else (truth.keys(REACHABLE), set())
    verdict = compare(directory, always, truth.keys(ANSWERS), partly)
    if as_json:
        emit_json(verdict.as_dict())
        return
    print_summary(f"{directory} against {truth_file}", [
        Row("recall", percent(verdict.recall), f"{count(verdict.missed)} of {count(verdict.reachable)} nodes missed"),
        *recall_rows(verdict),
        *([Row("came or went", count(verdict.part_time), f"nodes, {count(verdict.part_time_found)} of them found")]
          if verdict.part_time else []),
        Row("precision", percent(verdict.precision), f"{count(verdict.false_rows)} of {count(verdict.found)} false"),
        Row("messages per found node", f"{verdict.msgs_per_found:.3f}"),
        Row("BEP 42", percent(verdict.bep42_share), "of the found ids fit their address"),
        Row("written twice", count(verdict.doubled_rows), "rows"),
    ])
