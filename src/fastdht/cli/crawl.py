"""`fastdht crawl`: enumerate a network, and check a crawl against a truth. Rate class: command.

The census is the default mode: `fastdht crawl --zone a4/6` is `fastdht crawl census --zone a4/6`. Progress goes to
stderr, results to stdout; Ctrl-C ends a crawl with what it has found.
"""
from __future__ import annotations

import asyncio
import difflib
import gc
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from fastdht import __version__
from fastdht.cli.crawl_harvest import harvest
from fastdht.cli.crawl_metadata import metadata
from fastdht.cli.crawl_peers import peers
from fastdht.cli.params import BOOTSTRAP, DURATION, LISTEN, NETWORK, RATE, ZONE, HostPort
from fastdht.cli.progress import open_display
from fastdht.cli.render import Row, count, emit_json, emit_remark, percent, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.config import public_bootstrap
from fastdht.crawl.crawler import DEPTHS, Crawl, CrawlConfig, as_plain
from fastdht.crawl.records import FORMATS, NODE_COLUMNS, CrawlResult, Progress
from fastdht.crawl.sinks import (
    DirectorySink,
    NullSink,
    Sink,
    StreamSink,
    has_parquet,
    prepare_directory,
    write_json,
)
from fastdht.crawl.timeline import Timeline
from fastdht.crawl.verify import verify as compare
from fastdht.crawl.verify_harvest import is_harvest
from fastdht.crawl.zones import Zone
from fastdht.errors import DHTError
from fastdht.types import Endpoint

UNLIMITED = "max"
STREAM = "-"
LAYOUT = 1              # of the output directory; raised when a reader must know


class Modes(click.Group):
    """A group whose default command is the census."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["census", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            close = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else f"one of {', '.join(sorted(self.commands))}"
            raise click.UsageError(f"no mode {args[0]!r}; {advice}", ctx)
        return super().resolve_command(ctx, args)


class Rate(click.ParamType):  # type: ignore[type-arg]     # generic only since click 8.3
    """Packets per second, or `max`: 0."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return 0.0 if value == UNLIMITED else RATE.convert(value, param, ctx)


@click.group(cls=Modes)
def crawl() -> None:
    """Enumerate the nodes of a network, or check such a crawl. The default mode is census."""


@crawl.command()
@click.option("--depth", type=click.Choice(DEPTHS), default="standard", show_default=True,
              help="fast: one question a contact; standard: two, and some retries; exhaustive: every bucket. "
                   "random and own are poor on purpose: they check a network against theory.")
@click.option("--zone", type=ZONE, default=None, help="Only ids with this prefix, as in a4/6.")
@click.option("--passes", type=click.IntRange(1, 2), default=1, show_default=True,
              help="2: crawl twice independently, and report the union.")
@click.option("--rate", type=Rate(), default=2000.0, show_default=True,
              help="Packets per second; max (only with --allow-net): as fast as this machine can.")
@click.option("--max-inflight", type=click.IntRange(0, 131_072), default=0,
              help="Queries out at a time that are not late. Default: from the rate and the round-trip times.")
@click.option("--per-ip", type=click.FloatRange(0, 1000), default=1.0, show_default=True,
              help="Packets per second to one address, 4 at once; 0 lifts it. More wait, none are dropped.")
@click.option("--timeout", type=DURATION, default=None, help="When a query is given up. Default: 1 to 10 s, as needed.")
@click.option("--allow-net", type=NETWORK, multiple=True, help="Address range to treat as public, as 127.0.0.0/8.")
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="HOST:PORT,… to start from, or public.")
@click.option("--bind", type=LISTEN, default=Endpoint("0.0.0.0", 0), show_default="0.0.0.0:0",
              help="Local address; an IPv6 one crawls IPv6.")
@click.option("--max-contacts", type=click.IntRange(1, 200_000_000), default=16_000_000, show_default=True,
              help="Contacts to remember; beyond it the crawl is incomplete.")
@click.option("--out", type=click.Path(path_type=Path, allow_dash=True), default=None,
              help="Directory for the results, new or empty; - for JSON lines on stdout.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None,
              help="Of the nodes in --out. Default: parquet where pyarrow is installed.")
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=None, help="Repeats the choices of a crawl.")
@click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object.")
def census(rate: float, allow_net: tuple[str, ...], out: Path | None, format_: str | None, as_json: bool,
           **options: Any) -> None:
    """Find every node that answers: its address, id, round-trip time and client.

    Asks each contact what the depth says and no more, says that it is read-only (BEP 43), and stores nothing.
    """
    if rate == 0 and not allow_net:
        raise click.UsageError("--rate max floods whoever is crawled; it needs --allow-net, for a network of your own")
    config = make_config(rate, allow_net, **options)
    folder = out if out is not None and str(out) != STREAM else None
    format_ = choose_format(format_) if folder is not None else "jsonl"
    sink = open_sink(out, format_)
    result = run_census(config, sink, folder, format_)
    if as_json:
        emit_json(result.as_dict())
    elif str(out) != STREAM:
        print_summary("Census" if result.complete else f"Census, incomplete: {result.reason}", summarise(result))
    if not result.answered and not result.reason.startswith("stopped"):
        raise DHTError(f"{result.reason}: asked {', '.join(config.bootstrap)}")


def make_config(rate: float, allow_net: tuple[str, ...], *, bootstrap: str | tuple[HostPort, ...], bind: Endpoint,
                depth: str, zone: Any, passes: int, max_inflight: int, per_ip: float, timeout: float | None,
                max_contacts: int, seed: int | None) -> CrawlConfig:
    return CrawlConfig(
        bootstrap=bootstrap_names(bootstrap), bind=bind, allow_net=allow_net, depth=depth,
        zone=Zone(*zone) if zone else Zone(), passes=passes, rate=rate, max_in_flight=max_inflight,
        per_ip_rate=per_ip, timeout_s=timeout or 0.0, max_contacts=max_contacts,
        seed=int.from_bytes(os.urandom(8), "big") if seed is None else seed)


def bootstrap_names(bootstrap: str | tuple[HostPort, ...]) -> tuple[str, ...]:
    """HOST:PORT of each entry host."""
    if not isinstance(bootstrap, str):
        return tuple(f"[{each.host}]:{each.port}" if ":" in each.host else f"{each.host}:{each.port}"
                     for each in bootstrap)
    if bootstrap != "public":
        raise click.UsageError(f"--bootstrap {bootstrap}: a crawl needs HOST:PORT,… or public")
    return public_bootstrap()


def choose_format(wanted: str | None) -> str:
    if wanted == "parquet" and not has_parquet():
        raise click.ClickException("--format parquet needs pyarrow: pip install 'fastdht[crawl]'")
    if wanted is None and not has_parquet():
        emit_remark("pyarrow is not installed; writing JSON lines")
        return "jsonl"
    return wanted or "parquet"


def open_sink(out: Path | None, format_: str) -> Sink:
    if out is None:
        return NullSink()
    if str(out) == STREAM:
        return StreamSink(sys.stdout.buffer)
    prepare_directory(out)
    return DirectorySink(out, format_)


def run_census(config: CrawlConfig, sink: Sink, folder: Path | None, format_: str) -> CrawlResult:
    """Crawl, keeping crawl.json and summary.json of the folder true to what happened."""
    note = {"layout": LAYOUT, "version": __version__, "id": os.urandom(16).hex(), "seed": config.seed,
            "format": format_, "command": shlex.join(["fastdht", *sys.argv[1:]]), "config": as_plain(config),
            "nodes": {column.name: f"{column.kind}: {column.meaning}" for column in NODE_COLUMNS}}
    if folder is not None:
        write_json(folder / "crawl.json", {"state": "running", **note})
    state = "failed"
    try:
        with Timeline(folder) as timeline:
            result = run_async(crawl_until_signal(config, sink, timeline))
        state = "complete" if result.complete else "partial" if result.answered else "failed"
        if folder is not None:
            write_json(folder / "summary.json", result.as_dict())
    finally:
        if folder is not None:
            finish_note(folder, {"state": state, **note}, state)
    return result


def finish_note(folder: Path, note: dict[str, Any], state: str) -> None:
    """Write the last crawl.json; where the crawl has failed already, its own error is the one to report."""
    try:
        write_json(folder / "crawl.json", note)
    except DHTError:
        if state != "failed":
            raise


async def crawl_until_signal(config: CrawlConfig, sink: Sink, timeline: Timeline) -> CrawlResult:
    gc.freeze()         # what start-up made stays; without it each full collection would pause the loop
    loop = asyncio.get_running_loop()
    with open_display() as display:
        def show(progress: Progress) -> None:
            timeline.add(progress)
            display.show(progress)

        running = Crawl(config, sink, on_progress=show)

        def stop() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)      # the second Ctrl-C ends the process
            running.stop()

        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
        return await running.run()


def summarise(result: CrawlResult) -> list[Row]:
    filtered = ", ".join(f"{name} {count(number)}" for name, number in result.filtered.items())
    return [
        Row("found", count(result.found), f"of {count(result.contacts)} contacts"),
        Row("sent", count(result.sent), f"{result.msgs_per_found:.2f} per found node"),
        Row("answered", percent(result.answered / max(result.sent, 1)), f"{count(result.timeouts)} timed out"),
        Row("rate", f"{count(result.rpc_per_s)}/s", f"{count(result.found_per_s)} nodes found per second"),
        Row("most to one address", count(result.max_packets_per_ip), "packets"),
        Row("lost in the kernel", count(result.kernel_drops), "datagrams"),
        Row("not counted", count(sum(result.filtered.values())), filtered),
        Row("time", seconds(result.elapsed_s)),
    ]


@crawl.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Where to write the page. Default: report.html in DIRECTORY.")
def report(directory: Path, out: Path | None) -> None:
    """Show the crawl in DIRECTORY as one self-contained HTML page."""
    from fastdht.crawl.report.page import write_report

    target = out or directory / "report.html"
    write_report(directory, target)
    click.echo(target)


@crawl.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--truth", "truth_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="What `fastdht swarm --truth` wrote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def verify(directory: Path, truth_file: Path, as_json: bool) -> None:
    """Compare the crawl in DIRECTORY with the truth about its network."""
    from fastdht.cli.crawl_verify import show_harvest
    from fastdht.testing.sessions import read_sessions
    from fastdht.testing.truth import ANSWERS, REACHABLE, read_truth

    truth = read_truth(truth_file)
    if is_harvest(directory):
        show_harvest(directory, truth_file, truth.records, truth.nodes, as_json=as_json)
        return
    sessions = read_sessions(truth_file)
    always, partly = sessions.split(truth) if sessions is not None else (truth.keys(REACHABLE), set())
    verdict = compare(directory, always, truth.keys(ANSWERS), partly)
    if as_json:
        emit_json(verdict.as_dict())
        return
    print_summary(f"{directory} against {truth_file}", [
        Row("recall", percent(verdict.recall), f"{count(verdict.missed)} of {count(verdict.reachable)} nodes missed"),
        *([Row("came or went", count(verdict.part_time), f"nodes, {count(verdict.part_time_found)} of them found")]
          if verdict.part_time else []),
        Row("precision", percent(verdict.precision), f"{count(verdict.false_rows)} of {count(verdict.found)} false"),
        Row("messages per found node", f"{verdict.msgs_per_found:.3f}"),
        Row("BEP 42", percent(verdict.bep42_share), "of the found ids fit their address"),
        Row("written twice", count(verdict.doubled_rows), "rows"),
    ])


crawl.add_command(harvest)
crawl.add_command(metadata)
crawl.add_command(peers)
