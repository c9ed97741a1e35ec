"""`fastdht crawl harvest`: sample the infohashes that the nodes of a network store. Rate class: command."""
from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from fastdht import __version__
from fastdht.cli.folders import OutFolder
from fastdht.cli.params import BOOTSTRAP, DURATION, LISTEN, NETWORK, ZONE
from fastdht.cli.progress import open_display
from fastdht.cli.render import Row, count, emit_json, percent, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.cli.watching import Latest, metrics_option, watched
from fastdht.config import SECOND_US
from fastdht.crawl.crawler import Crawl, CrawlConfig, as_plain
from fastdht.crawl.estimate import ASSUMPTIONS
from fastdht.crawl.harvest import COUNTED, HarvestResult, SampleKeeper, SampleSink, summarize
from fastdht.crawl.ledger import LedgerFile
from fastdht.crawl.packed import SAMPLES
from fastdht.crawl.records import FORMATS, NODE_COLUMNS, SAMPLE_COLUMNS, Progress
from fastdht.crawl.sinks import DirectorySink, NullSink, Sink, StreamSink, prepare_directory, write_json
from fastdht.engine.clock import monotonic_us, wall_s
from fastdht.errors import DHTError
from fastdht.types import Endpoint

DEFAULT_LEDGER = Path("~/.local/state/fastdht/harvest.ledger")
STREAM = "-"


@click.command()
@click.option("--purpose", default="", help="Why this is done; recorded in crawl.json. Needed with --out.")
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_LEDGER, show_default=True,
              help="Who was asked when: nobody is asked again before the interval it told has passed.")
@click.option("--zone", type=ZONE, default=None, help="Only ids with this prefix, as in a4/6.")
@click.option("--rate", default="2000", show_default=True,
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
              help="Local address; an IPv6 one harvests IPv6.")
@click.option("--max-contacts", type=click.IntRange(1, 200_000_000), default=16_000_000, show_default=True,
              help="Contacts to remember; beyond it the harvest is incomplete.")
@click.option("--out", type=OutFolder(allow_dash=True), default=None,
              help="Directory or URL for samples and nodes, new or empty; - for samples as JSON lines on stdout.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None,
              help="Of the tables in --out. Default: parquet where pyarrow is installed.")
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=None, help="Repeats the choices of a harvest.")
@metrics_option
@click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object.")
def harvest(purpose: str, ledger: Path, rate: str, allow_net: tuple[str, ...], out: Path | None, format_: str | None,
            metrics: Endpoint | None, as_json: bool, **options: Any) -> None:
    """Ask every node once for a sample of the infohashes it stores (BEP 51), and estimate how many there are.

    Announces nothing, stores nothing on others, looks up no peers, and never asks a node before its interval has ended.
    """
    from fastdht.cli.crawl import Rate, choose_format, make_config

    is_stream = str(out) == STREAM
    folder = out if not is_stream else None
    if folder is not None and not purpose:
        raise click.UsageError("--out keeps what people share; say why with --purpose TEXT")
    packets = Rate().convert(rate, None, None)
    if packets == 0 and not allow_net:
        raise click.UsageError("--rate max floods whoever is crawled; it needs --allow-net, for a network of your own")
    config = make_config(packets, allow_net, depth="standard", passes=1, **options)
    chosen = choose_format(format_) if folder is not None else "jsonl"
    with LedgerFile(ledger.expanduser(), wall_offset_us()) as book:
        if folder is not None:
            prepare_directory(folder)
        result = run_harvest(config, book, folder, chosen, purpose, is_stream=is_stream, metrics=metrics)
    if as_json:
        emit_json(result.as_dict())
    elif not is_stream:
        show(result)
    if not result.crawl.answered and not result.crawl.reason.startswith("stopped"):
        raise DHTError(f"{result.crawl.reason}: asked {', '.join(config.bootstrap)}")


def wall_offset_us() -> int:
    """Unix time less the crawl's clock."""
    return int(wall_s() * SECOND_US) - monotonic_us()


def open_sinks(folder: Path | None, format_: str, *, is_stream: bool) -> tuple[Sink, SampleSink]:
    """For nodes and for samples."""
    if folder is not None:
        return DirectorySink(folder, format_), DirectorySink(folder, format_, table=SAMPLES)
    return NullSink(), StreamSink(sys.stdout.buffer, SAMPLES) if is_stream else NullSink()


def run_harvest(config: CrawlConfig, book: LedgerFile, folder: Path | None, format_: str, purpose: str, *,
                is_stream: bool, metrics: Endpoint | None = None) -> HarvestResult:
    """Harvest, keeping crawl.json and summary.json of the folder true to what happened."""
    from fastdht.cli.crawl import LAYOUT, finish_note

    tables = {"nodes": NODE_COLUMNS, "samples": SAMPLE_COLUMNS}
    note = {"layout": LAYOUT, "version": __version__, "mode": "harvest", "id": os.urandom(16).hex(),
            "purpose": purpose, "seed": config.seed, "format": format_,
            "command": shlex.join(["fastdht", *sys.argv[1:]]), "config": as_plain(config), "ledger": str(book.path),
            **{name: {each.name: f"{each.kind}: {each.meaning}" for each in columns}
               for name, columns in tables.items()}}
    if folder is not None:
        write_json(folder / "crawl.json", {"state": "running", **note})
    state = "failed"
    try:
        sinks = open_sinks(folder, format_, is_stream=is_stream)
        result = run_async(harvest_until_signal(config, book, *sinks, metrics))
        state = "complete" if result.crawl.complete else "partial" if result.crawl.answered else "failed"
        if folder is not None:
            write_json(folder / "summary.json", result.as_dict())
    finally:
        if folder is not None:
            finish_note(folder, {"state": state, **note}, state)
    return result


async def harvest_until_signal(config: CrawlConfig, book: LedgerFile, nodes: Sink, samples: SampleSink,
                               metrics: Endpoint | None) -> HarvestResult:
    loop = asyncio.get_running_loop()
    keeper = SampleKeeper(book, samples, wall_offset_us, config.seed)
    latest = Latest()
    with open_display() as display:
        def report(progress: Progress) -> None:
            latest.add(progress)
            display.show(progress)

        running = Crawl(config, nodes, samples=keeper, on_progress=report)

        def stop() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)      # the second Ctrl-C ends the process
            running.stop()

        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
        found = await watched(metrics, latest.figures, running.run())
    return summarize(found, running.totals(*COUNTED), keeper.tally)


def show(result: HarvestResult) -> None:
    crawl, counts, guess = result.crawl, result.counts, result.estimate
    title = "Harvest" if crawl.complete else f"Harvest, incomplete: {crawl.reason}"
    total = "too few samples to tell"
    if guess.total is not None and guess.coverage is not None:
        total = f"{percent(guess.coverage)} of about {count(guess.total)}, each on {guess.replicas:.1f} nodes"
    least = f"at least {count(guess.total_chao2)} (Chao2)" if guess.total_chao2 is not None else ""
    print_summary(title, [
        Row("infohashes", count(guess.infohashes), total),
        Row("samples", count(counts["samples"]), f"of {count(counts['samplers'])} nodes; {least}"),
        Row("found", count(crawl.found), f"nodes, of {count(crawl.contacts)} contacts"),
        Row("sent", count(crawl.sent), f"{crawl.msgs_per_found:.2f} per found node"),
        Row("left alone", count(counts["not_due"]), "nodes whose interval has not ended"),
        *([Row("doubted", count(guess.doubted), "nodes, for they say they store far more than others")]
          if guess.doubted else []),
        Row("refused", count(counts["refused"]), "nodes that do not know sample_infohashes"),
        Row("lost in the kernel", count(crawl.kernel_drops), "datagrams"),
        Row("time", seconds(crawl.elapsed_s)),
        Row("assumed", "", "; ".join(ASSUMPTIONS)),
    ])
