"""`fastdht crawl harvest`: sample the infohashes that the nodes of a network store. Rate class: command."""
from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fastdht import __version__
from fastdht.cli.crawl_census import seeds_option
from fastdht.cli.crawl_manners import (
    check_rate,
    contact_option,
    exclude_option,
    nat_friendly_option,
    new_endpoints_option,
    own_network_option,
)
from fastdht.cli.crawl_run import shown
from fastdht.cli.folders import OutFolder
from fastdht.cli.params import BOOTSTRAP, DURATION, LISTEN, NETWORK, SIZE, ZONE
from fastdht.cli.progress import progress_option
from fastdht.cli.render import Row, count, emit_json, percent, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.cli.watching import Latest, metrics_option, watched
from fastdht.config import SECOND_US
from fastdht.crawl.crawler import Crawl, CrawlConfig, as_plain
from fastdht.crawl.estimate import ASSUMPTIONS
from fastdht.crawl.harvest import COUNTED, HarvestResult, SampleKeeper, summarize
from fastdht.crawl.harvest_run import run_harvest
from fastdht.crawl.job import stopped_by_signals
from fastdht.crawl.layout import EXCLUDE, NOTE, SUMMARY
from fastdht.crawl.ledger import LedgerFile
from fastdht.crawl.packed import SAMPLES
from fastdht.crawl.plan import CHECKPOINT_S, Plan, from_note, new_id
from fastdht.crawl.records import FORMATS, NODE_COLUMNS, SAMPLE_COLUMNS
from fastdht.crawl.runner import read_ranges, write_ranges
from fastdht.crawl.sinks import NullSink, StreamSink, prepare_directory, write_json
from fastdht.engine.clock import monotonic_us, wall_s
from fastdht.errors import ConfigError, DHTError
from fastdht.types import Endpoint

DEFAULT_LEDGER = Path("~/.local/state/fastdht/harvest.ledger")
STREAM = "-"


@click.command()
@click.option("--purpose", default="", help="Why this is done; recorded in crawl.json. Needed with --out.")
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_LEDGER, show_default=True,
              help="Who was asked when: nobody is asked again before the interval it told has passed.")
@click.option("--zone", type=ZONE, default=None, help="Only ids with this prefix, as in a4/6.")
@click.option("--rate", default="2000", show_default=True,
              help="Packets per second; max: as fast as this machine can, with --i-own-this-network or --allow-net.")
@own_network_option
@nat_friendly_option
@new_endpoints_option
@click.option("--max-inflight", type=click.IntRange(0, 131_072), default=0,
              help="Queries out at a time that are not late. Default: from the rate and the round-trip times.")
@click.option("--per-ip", type=click.FloatRange(0, 1000), default=1.0, show_default=True,
              help="Packets per second to one address, 4 at once; 0 lifts it. More wait, none are dropped.")
@click.option("--timeout", type=DURATION, default=None, help="When a query is given up. Default: 1 to 10 s, as needed.")
@click.option("--allow-net", type=NETWORK, multiple=True, help="Address range to treat as public, as 127.0.0.0/8.")
@exclude_option
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="HOST:PORT,… to start from, or public.")
@seeds_option
@click.option("--bind", type=LISTEN, default=Endpoint("0.0.0.0", 0), show_default="0.0.0.0:0",
              help="Local address; an IPv6 one harvests IPv6.")
@click.option("--max-contacts", type=click.IntRange(1, 200_000_000), default=16_000_000, show_default=True,
              help="Contacts to remember; beyond it the harvest is incomplete.")
@click.option("--out", type=OutFolder(allow_dash=True), default=None,
              help="Directory or URL for samples and nodes, new or empty; - for samples as JSON lines on stdout.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None,
              help="Of the tables in --out. Default: parquet where pyarrow is installed.")
@click.option("--checkpoint", "checkpoint_s", type=DURATION, default=CHECKPOINT_S, show_default="30s",
              help="How often to save what `resume` goes on from.")
@click.option("--time", "time_s", type=DURATION, default=None, help="End after so long, as 10m.")
@click.option("--max-nodes", type=click.IntRange(1), default=None, help="End with so many nodes.")
@click.option("--max-disk", type=SIZE, default=None, help="End when --out takes so much, as 10GiB.")
@contact_option
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=None, help="Repeats the choices of a harvest.")
@metrics_option
@progress_option
@click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object.")
def harvest(purpose: str, ledger: Path, rate: str, i_own_this_network: bool, nat_friendly: bool,
            new_endpoints_per_minute: int | None, allow_net: tuple[str, ...], exclude: tuple[Path, ...],
            out: Path | None, format_: str | None, checkpoint_s: float, time_s: float | None, max_nodes: int | None,
            max_disk: int | None, contact: str, metrics: Endpoint | None, progress: str, as_json: bool,
            **options: Any) -> None:
    """Ask every node once for a sample of the infohashes it stores (BEP 51), and estimate how many there are.

    Announces nothing, stores nothing on others, looks up no peers, and never asks a node before its interval has ended.
    """
    from fastdht.cli.crawl import Rate, choose_format, make_config
    from fastdht.cli.crawl_census import limit_rate, read_lists

    is_stream = str(out) == STREAM
    folder = out if not is_stream else None
    if folder is not None and not purpose:
        raise click.UsageError("--out keeps what people share; say why with --purpose TEXT")
    if folder is None and max_disk:
        raise click.UsageError("--max-disk needs --out DIR")
    packets = Rate().convert(rate, None, None)
    check_rate(packets, allow_net, owns_network=i_own_this_network)
    config = make_config(limit_rate(packets, nat_friendly, new_endpoints_per_minute), allow_net, depth="standard",
                         passes=1, time_s=time_s or 0.0, max_nodes=max_nodes or 0, max_disk=max_disk or 0, **options)
    plan = Plan(config, choose_format(format_) if folder is not None else "jsonl", 1, read_lists(exclude), checkpoint_s)
    with LedgerFile(ledger.expanduser(), wall_offset_us()) as book:
        if folder is None:
            result = run_unkept(plan, book, metrics, progress, is_stream=is_stream)
        else:
            remarks = {"command": shlex.join(["fastdht", *sys.argv[1:]]), "contact": contact, "purpose": purpose}
            result = run_kept(plan, book, folder, begin(folder, plan, book.path, remarks), metrics, progress)
    emit_result(result, config, as_json=as_json, is_silent=is_stream)


def resume(folder: Path, note: dict[str, Any], rate: float | None, limits: Mapping[str, Any],
           metrics: Endpoint | None, progress: str, *, as_json: bool) -> None:
    """Go on with a harvest that was stopped or killed; `note` is its crawl.json."""
    plan = from_note(note, read_ranges(folder / EXCLUDE)).going_on(
        rate, **{name: value or 0 for name, value in limits.items()})
    ledger = Path(note["ledger"])
    if not ledger.exists():
        raise ConfigError(f"the ledger {ledger} is gone: without it nodes would be asked before their interval is over")
    with LedgerFile(ledger, wall_offset_us()) as book:
        note.update(state="running", reason="")
        write_json(folder / NOTE, note)
        result = run_kept(plan, book, folder, note, metrics, progress)
    emit_result(result, plan.config, as_json=as_json)


def begin(folder: Path, plan: Plan, ledger: Path, remarks: Mapping[str, str]) -> dict[str, Any]:
    """Take a new or empty directory; returns its note."""
    from fastdht.cli.crawl import LAYOUT

    prepare_directory(folder)
    if plan.exclude:
        write_ranges(folder / EXCLUDE, plan.exclude)
    tables = {"nodes": NODE_COLUMNS, "samples": SAMPLE_COLUMNS}
    note = {"layout": LAYOUT, "state": "running", "reason": "", "version": __version__, "mode": "harvest",
            "id": new_id(), "seed": plan.config.seed, "format": plan.format_, "zones": 1,
            "checkpoint_s": plan.checkpoint_s, **remarks, "config": as_plain(plan.config),
            "config_hash": plan.config_hash, "ledger": str(ledger.absolute()),
            **{name: {each.name: f"{each.kind}: {each.meaning}" for each in columns}
               for name, columns in tables.items()}}
    write_json(folder / NOTE, note)
    return note


def wall_offset_us() -> int:
    """Unix time less the crawl's clock."""
    return int(wall_s() * SECOND_US) - monotonic_us()


def run_kept(plan: Plan, book: LedgerFile, folder: Path, note: Mapping[str, Any],
             metrics: Endpoint | None, progress: str) -> HarvestResult:
    """Harvest into a folder, keeping crawl.json and summary.json true to what happened."""
    from fastdht.cli.crawl import finish_note

    state, reason = "failed", "ended by an error"
    latest = Latest()
    try:
        with shown(folder, latest, progress) as show_progress:
            result = run_async(watched(metrics, latest.figures, run_harvest(
                plan, book, folder, wall_offset_us, show_progress)))
        state = "complete" if result.crawl.complete else "partial" if result.crawl.answered else "failed"
        reason = result.crawl.reason
        write_json(folder / SUMMARY, result.as_dict())
    finally:
        finish_note(folder, {**note, "state": state, "reason": reason}, state)
    return result


def run_unkept(plan: Plan, book: LedgerFile, metrics: Endpoint | None, progress: str, *,
               is_stream: bool) -> HarvestResult:
    """Harvest without a folder: samples go to stdout, or are counted."""
    async def crawl_all() -> HarvestResult:
        samples = StreamSink(sys.stdout.buffer, SAMPLES) if is_stream else NullSink()
        keeper = SampleKeeper(book, samples, wall_offset_us, plan.config.seed)
        crawl = Crawl(plan.config_of(plan.config.zone), NullSink(), samples=keeper, on_progress=show_progress)
        with stopped_by_signals(crawl.stop):
            found = await crawl.run()
        return summarize(found, crawl.totals(*COUNTED), keeper.tally)

    latest = Latest()
    with shown(None, latest, progress) as show_progress:
        return run_async(watched(metrics, latest.figures, crawl_all()))


def emit_result(result: HarvestResult, config: CrawlConfig, *, as_json: bool, is_silent: bool = False) -> None:
    """Print the summary; raises DHTError when nobody answered."""
    if as_json:
        emit_json(result.as_dict())
    elif not is_silent:
        show(result)
    if not result.crawl.answered and not result.crawl.reason.startswith("stopped"):
        raise DHTError(f"{result.crawl.reason}: asked {', '.join(config.bootstrap)}")


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
