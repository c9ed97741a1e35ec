"""`fastdht crawl census`, `resume`, `merge` and `send`. Rate class: command."""
from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fastdht.blocklist import Range, read_ranges
from fastdht.cli.crawl_manners import (
    check_rate,
    contact_option,
    exclude_option,
    nat_friendly_option,
    new_endpoints_option,
    own_network_option,
)
from fastdht.cli.crawl_run import emit_result, run_plan, run_unkept
from fastdht.cli.folders import CrawlFolder, OutFolder
from fastdht.cli.params import BOOTSTRAP, DURATION, LISTEN, NETWORK, RATE, SIZE, ZONE
from fastdht.cli.progress import progress_option
from fastdht.cli.render import Row, count, emit_json, print_summary
from fastdht.cli.watching import metrics_option
from fastdht.crawl.cost import Cost, estimate
from fastdht.crawl.plan import CHECKPOINT_S, Plan
from fastdht.crawl.records import FORMATS
from fastdht.crawl.settings import DEPTHS
from fastdht.types import Endpoint

UNLIMITED = "max"
STREAM = "-"
NAT_FRIENDLY_RATE = 200.0       # at two endpoints in three packets, a router that forgets after a minute holds 8,000
MINUTE_S = 60
ANYWHERE = {"4": Endpoint("0.0.0.0", 0), "6": Endpoint("::", 0)}


class Rate(click.ParamType):  # type: ignore[type-arg]     # generic only since click 8.3
    """Packets per second, or `max`: 0."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return 0.0 if value == UNLIMITED else RATE.convert(value, param, ctx)


seeds_option = click.option(
    "--seeds", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True,
    help="More hosts to start from, HOST:PORT on a line each, in a file.")


def workers_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Who crawls, and how fast: for census and resume."""
    for option in reversed([
        click.option("--workers", type=click.IntRange(1, 1024), default=1, show_default=True,
                     help="Processes that crawl zones at a time; each gets its share of the rate."),
        click.option("--scheduler", default="", metavar="tcp://HOST:PORT",
                     help="A Dask scheduler whose workers crawl the zones; --out must be a path they all share."),
        click.option("--time", "time_s", type=DURATION, default=None,
                     help="End after so long, as 10m; what went before a `resume` counts."),
        click.option("--max-nodes", type=click.IntRange(1), default=None, help="End with so many nodes."),
        click.option("--max-disk", type=SIZE, default=None, help="End when --out takes so much, as 10GiB."),
        metrics_option,
        progress_option,
        click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object."),
    ]):
        command = option(command)
    return command


@click.command()
@click.option("--depth", type=click.Choice(DEPTHS), default="standard", show_default=True,
              help="fast: one question a contact; standard: two, and some retries; exhaustive: every bucket. "
                   "random and own are poor on purpose: they check a network against theory.")
@click.option("--zone", type=ZONE, default=None, help="Only ids with this prefix, as in a4/6.")
@click.option("--zones", type=click.IntRange(1, 65_536), default=1, show_default=True,
              help="Cut the work into so many zones (a power of two), crawled apart from each other.")
@click.option("--passes", type=click.IntRange(1, 2), default=1, show_default=True,
              help="2: crawl twice independently, and report the union.")
@click.option("--edges", is_flag=True, help="Keep who names whom as well; needs --out DIR.")
@click.option("-4", "families", flag_value="4", default=None, help="IPv4 only: the default.")
@click.option("-6", "families", flag_value="6", help="IPv6 only.")
@click.option("-46", "families", flag_value="46", help="Both: a socket each, and what one names leads to the other.")
@click.option("--rate", type=Rate(), default=2000.0, show_default=True,
              help="Packets per second; max: as fast as this machine can, with --i-own-this-network or --allow-net.")
@own_network_option
@nat_friendly_option
@new_endpoints_option
@click.option("--max-inflight", type=click.IntRange(0, 131_072), default=0,
              help="Queries out at a time that are not late. Default: from the rate and the round-trip times.")
@click.option("--per-ip", type=click.FloatRange(0, 1000), default=1.0, show_default=True,
              help="Packets per second to one address (of IPv6: one /64), 4 at once; 0 lifts it. More wait.")
@click.option("--timeout", type=DURATION, default=None, help="When a query is given up. Default: 1 to 10 s, as needed.")
@click.option("--allow-net", type=NETWORK, multiple=True, help="Address range to treat as public, as 127.0.0.0/8.")
@exclude_option
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="HOST:PORT,… to start from, or public.")
@seeds_option
@click.option("--bind", "binds", type=LISTEN, multiple=True,
              help="Local address, one for each family; alone, an IPv6 one means -6. Default: any address and port.")
@click.option("--max-contacts", type=click.IntRange(1, 200_000_000), default=16_000_000, show_default=True,
              help="Contacts of a family to remember, a zone; beyond it the crawl is incomplete.")
@click.option("--out", type=OutFolder(allow_dash=True), default=None,
              help="Directory or URL (s3://…) for the results, new or empty; - for JSON lines on stdout.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None,
              help="Of the nodes in --out. Default: parquet where pyarrow is installed.")
@click.option("--checkpoint", "checkpoint_s", type=DURATION, default=CHECKPOINT_S, show_default="30s",
              help="How often to save what `resume` goes on from.")
@contact_option
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=None, help="Repeats the choices of a crawl.")
@click.option("--dry-run", is_flag=True, help="Send nothing; print what the crawl would cost.")
@click.option("--expect", type=click.IntRange(1), default=10_000_000, show_default=True,
              help="Nodes of the network, for --dry-run.")
@workers_options
def census(zones: int, rate: float, i_own_this_network: bool, nat_friendly: bool, new_endpoints_per_minute: int | None,
           allow_net: tuple[str, ...], exclude: tuple[Path, ...], out: Path | None, format_: str | None,
           checkpoint_s: float, contact: str, dry_run: bool, expect: int, workers: int, scheduler: str, as_json: bool,
           time_s: float | None, max_nodes: int | None, max_disk: int | None, metrics: Endpoint | None,
           progress: str, families: str | None, binds: tuple[Endpoint, ...], edges: bool, **options: Any) -> None:
    """Find every node that answers: its address, id, round-trip time and client.

    Asks each contact what the depth says and no more, says that it is read-only (BEP 43), and stores nothing.
    """
    from fastdht.cli.crawl import choose_format, make_config

    check_rate(rate, allow_net, owns_network=i_own_this_network)
    folder = out if out is not None and str(out) != STREAM else None
    if folder is None and (workers > 1 or scheduler or max_disk or edges):
        raise click.UsageError("--workers, --scheduler, --max-disk and --edges need --out DIR")
    bind, bind6 = choose_binds(families, binds)
    config = make_config(limit_rate(rate, nat_friendly, new_endpoints_per_minute), allow_net, **options,
                         bind=bind, bind6=bind6, edges=edges, time_s=time_s or 0.0, max_nodes=max_nodes or 0,
                         max_disk=max_disk or 0)
    plan = Plan(config, choose_format(format_) if folder is not None else "jsonl", zones, read_lists(exclude),
                checkpoint_s)
    plan.split()        # raises for a number of zones that cannot be
    if dry_run:
        show_cost(estimate(config, expect, plan.format_, zones), as_json)
        return
    if folder is None:
        result = run_unkept(plan, sys.stdout.buffer if out is not None else None, metrics, progress)
    else:
        remarks = {"command": shlex.join(["fastdht", *sys.argv[1:]]), "contact": contact}
        result = run_plan(plan, folder, workers, scheduler, remarks, metrics=metrics, progress=progress)
    emit_result(result, config.bootstrap, as_json=as_json, is_silent=str(out) == STREAM)


def choose_binds(families: str | None, binds: tuple[Endpoint, ...]) -> tuple[Endpoint, Endpoint | None]:
    """Where the first socket is bound, and the second if both families are crawled: as told, else anywhere."""
    given = {"6" if bind.is_ipv6 else "4": bind for bind in binds}
    wanted = families or "".join(sorted(given)) or "4"
    if len(given) < len(binds) or set(given) - set(wanted):
        raise click.UsageError(f"--bind {', '.join(map(str, binds))}: one address for each family crawled (-{wanted})")
    first, *second = (given.get(family, ANYWHERE[family]) for family in wanted)
    return first, second[0] if second else None


def limit_rate(rate: float, nat_friendly: bool, new_endpoints: int | None) -> float:
    """The rate that all limits allow. Any packet may be the first to its endpoint, so each counts as a new one."""
    limits = [rate or float("inf"), NAT_FRIENDLY_RATE if nat_friendly else float("inf"),
              new_endpoints / MINUTE_S if new_endpoints else float("inf")]
    return 0.0 if min(limits) == float("inf") else min(limits)


def read_lists(paths: tuple[Path, ...]) -> tuple[Range, ...]:
    return tuple(each for path in paths for each in read_ranges(path))


def show_cost(cost: Cost, as_json: bool) -> None:
    if as_json:
        emit_json({name: round(value, 3) if isinstance(value, float) else value
                   for name in Cost.__dataclass_fields__ for value in (getattr(cost, name),)})
        return
    print_summary("What this crawl would cost" + (f", ended by --{cost.limit}" if cost.limit else ""), [
        Row("nodes", count(cost.nodes), "expected to be found"),
        Row("packets", count(cost.packets), "sent"),
        Row("minutes", f"{cost.minutes:,.1f}"),
        Row("Mbit/s", f"{cost.mbit_out:.2f} out", f"{cost.mbit_in:.2f} in"),
        Row("NAT entries", count(cost.nat_entries), f"{count(cost.nat_entries_per_minute)} a minute"),
        Row("disk", f"{cost.disk_bytes / (1 << 20):,.0f} MiB", "with the checkpoints"),
    ])


@click.command()
@click.argument("directory", type=CrawlFolder(goes_on=True))
@click.option("--rate", type=RATE, default=None, help="Packets per second from now on. Default: as before.")
@workers_options
def resume(directory: Path, rate: float | None, workers: int, scheduler: str, as_json: bool,
           metrics: Endpoint | None, progress: str, **limits: Any) -> None:
    """Go on with the crawl in DIRECTORY where it was stopped or killed.

    What was found is kept; zones that are done are not crawled again. Limits that are not given anew are lifted.
    """
    from fastdht.cli import crawl_harvest
    from fastdht.crawl.layout import read_note
    from fastdht.crawl.runner import reopen

    note = read_note(directory)
    if note.get("mode") == "harvest":
        if workers > 1 or scheduler:
            raise click.UsageError("a harvest has one ledger, so one process: no --workers and no --scheduler")
        crawl_harvest.resume(directory, note, rate, limits, metrics, progress, as_json=as_json)
        return
    plan, note = reopen(directory)
    plan = plan.going_on(rate, **{name: value or 0 for name, value in limits.items()})
    result = run_plan(plan, directory, workers, scheduler, {}, note, metrics, progress)
    emit_result(result, plan.config.bootstrap, as_json=as_json)


@click.command()
@click.argument("directories", nargs=-1, required=True, metavar="DIRECTORY…",
                type=CrawlFolder())
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="FILE.sqlite, FILE.duckdb, or a new directory.")
def merge(directories: tuple[Path, ...], out: Path) -> None:
    """Join crawls into one table, each node once; docs/crawl.md has its columns."""
    from fastdht.crawl.merge import merge as join

    rows = join(directories, out)
    click.echo(f"{out}: {count(rows)} nodes")


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("url")
def send(directory: Path, url: str) -> None:
    """Copy the crawl in DIRECTORY to a URL (s3://…), without its checkpoints; what is there already is replaced."""
    from fastdht.crawl.layout import read_note
    from fastdht.crawl.remote import RemoteFolder

    read_note(directory)
    RemoteFolder(url).send(directory)
    click.echo(url)
