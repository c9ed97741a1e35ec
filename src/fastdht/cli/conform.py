"""`fastdht conform`: does a node keep to the BEPs? Rate class: command."""
from __future__ import annotations

import asyncio
import random
import socket
from itertools import groupby

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fastdht.cli.options import json_option
from fastdht.cli.params import LISTEN, RATE, TIMEOUT, Checked, HostPort, parse_host_port
from fastdht.cli.render import emit_json, emit_remark
from fastdht.cli.run import run_async
from fastdht.conform import BEPS, Report, Result, Scene, Verdict, examine, open_asker, select
from fastdht.errors import DHTError
from fastdht.types import Endpoint

TARGET = Checked("host:port", parse_host_port)
STYLES = {Verdict.CONFORMS: "green", Verdict.DEVIATES: "bold red", Verdict.UNSUPPORTED: "dim",
          Verdict.SILENT: "yellow", Verdict.SKIPPED: "dim"}
NO_BEP = "Amplification (no BEP)"
SHOWN_BYTES = 400           # of a datagram in the log


@click.command()
@click.argument("node", metavar="HOST:PORT", type=TARGET)
@click.option("--bep", "beps", type=click.IntRange(0), multiple=True, metavar="N",
              help="Only checks of this BEP, and what they need; may be repeated. 0 is amplification. Default: all.")
@click.option("--writes/--no-writes", default=True, show_default=True,
              help="Also announce to it and store at it, random things that nobody else looks for.")
@click.option("--rate", type=RATE, default=4.0, show_default=True,
              help="Queries per second; many nodes silence who asks more than 5.")
@click.option("--timeout", "--query-timeout", type=TIMEOUT, default="2s", show_default=True, metavar="DURATION",
              envvar="FASTDHT_QUERY_TIMEOUT",
              help="How long to wait for an answer; each question is put up to three times.")
@click.option("--listen", type=LISTEN, metavar="HOST:PORT", help="Local address to ask from. Default: any.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True,
              help="Local port to ask from, of any address; 0 for any.")
@json_option
@click.option("-v", "--verbose", count=True, help="Log each result to stderr as it comes; twice: datagrams, too.")
def conform(node: HostPort, beps: tuple[int, ...], writes: bool, rate: float, timeout: float, listen: Endpoint | None,
            port: int, as_json: bool, verbose: int) -> int:
    """Ask one node everything the BEPs define, and name each deviation.

    One socket asks, slowly, and says that it is read-only (BEP 43). Exit code 0: nothing deviates (what a node leaves
    out of the optional BEPs does not); 1: something does, or nobody answers; 2: wrong usage.
    """
    watcher, listener = log_datagram if verbose > 1 else None, log_result if verbose else None
    if unknown := set(beps) - set(BEPS):
        raise click.UsageError(f"--bep {min(unknown)}: checks are of {', '.join(map(str, BEPS))}")
    if listen is not None and port:
        raise click.UsageError("--listen names a port already; give it or --port")
    checks = select(beps)

    async def ask_all() -> Report:
        remote = await resolve(node)
        async with open_asker(remote, rate, timeout, listen=listen, port=port, watcher=watcher) as asker:
            scene = Scene(remote, asker.local, random.SystemRandom())
            asker.on_ping = scene.prove
            return await examine(scene, asker.exchange, checks, writes=writes, listener=listener)

    report = run_async(ask_all())
    if as_json:
        emit_json(report.as_dict())
    else:
        print_report(report)
    return 1 if report.deviations else 0


async def resolve(node: HostPort) -> Endpoint:
    """The first address of a name. Raises DHTError when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(node.host, node.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise DHTError(f"{node.host}: {error.strerror or error}") from None
    ip, port = found[0][4][:2]
    return Endpoint(str(ip), int(port))


def print_report(report: Report) -> None:
    """A table for each BEP, and a last line that sums up."""
    console = Console()
    node_id = report.node_id.hex() if report.node_id else "unknown"
    table = Table(box=SIMPLE_HEAD, title=f"{report.endpoint}, id {node_id}", title_justify="left", title_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("rule, and what is wrong")
    for bep, group in groupby(report.results, lambda result: result.bep):
        table.add_row(Text(f"BEP {bep}" if bep else NO_BEP, style="bold cyan"), "", "")
        add_rows(table, list(group))
        table.add_section()
    console.print(table)
    console.print(Text(summary(report), style="bold red" if report.deviations else "bold green"))


def add_rows(table: Table, group: list[Result]) -> None:
    """The results of one BEP; of what was not asked for one reason or another, only the first in full."""
    for verdict in Verdict:
        results = [result for result in group if result.verdict is verdict]
        shown = results[:1] if verdict in (Verdict.UNSUPPORTED, Verdict.SKIPPED) else results
        for result in shown:
            style = "bold red" if result.is_deviation else STYLES[verdict]
            table.add_row(Text(f"  {result.name}"), Text(verdict, style=style), explain(result))
        if others := [result.name for result in results[len(shown):]]:
            table.add_row(Text("  …"), Text(verdict, style=STYLES[verdict]), Text(", ".join(others), style="dim"))


def explain(result: Result) -> Text:
    text = Text(result.rule)
    if result.reason:
        text.append(f"\n{result.reason}", style="red" if result.is_deviation else "dim")
    return text


def summary(report: Report) -> str:
    counts = ", ".join(f"{report.count(verdict)} {verdict}" for verdict in Verdict if report.count(verdict))
    found = len(report.deviations)
    what = "nothing deviates" if not found else f"{found} deviation{'s' if found > 1 else ''}"
    return f"{report.endpoint}: {what} ({counts}; {report.queries} queries)"


def log_result(result: Result) -> None:
    reason = f": {result.reason}" if result.reason else ""
    emit_remark(f"BEP {result.bep} {result.name} {result.verdict}{reason}" if result.bep else
                f"{result.name} {result.verdict}{reason}")


def log_datagram(direction: str, data: bytes) -> None:
    """Bytes as Python shows them: nothing in a log may move the cursor of a terminal."""
    kept = data[:SHOWN_BYTES]
    emit_remark(f"{direction} {len(data)} bytes: {repr(kept)[2:-1]}{'…' if len(kept) < len(data) else ''}")
