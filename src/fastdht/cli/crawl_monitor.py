"""`fastdht crawl monitor`: visit the same nodes again and again. Rate class: command."""
from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fastdht.cli.crawl_census import Rate, read_lists
from fastdht.cli.crawl_manners import check_rate, contact_option, exclude_option, own_network_option
from fastdht.cli.folders import CrawlFolder, OutFolder
from fastdht.cli.params import BOOTSTRAP, DURATION, INFO_HASH, LISTEN, NETWORK, TIMEOUT
from fastdht.cli.render import Row, count, emit_json, emit_remark, percent, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.cli.watching import metrics_option, watched
from fastdht.crawl.metadata.bulk import read_wanted
from fastdht.crawl.monitor.book import RoundCount
from fastdht.crawl.monitor.job import Job, begin, go_on
from fastdht.crawl.monitor.run import MonitorResult
from fastdht.crawl.monitor.settings import DEFAULT_NODES, MAX_FOLLOW, MAX_NODES, MonitorConfig
from fastdht.crawl.monitor.store import StreamStore
from fastdht.crawl.monitor.visitor import ALIVE
from fastdht.crawl.records import FORMATS
from fastdht.types import Endpoint, InfoHash

STREAM = "-"
REMARK_S = 5.0              # between two lines about rounds


@click.command()
@click.option("--cohort", type=CrawlFolder(), default=None,
              help="Directory of a census, or of another monitor: its nodes are visited. "
                   "Default: a fresh sample, by a census of random zones.")
@click.option("--nodes", type=click.IntRange(1, MAX_NODES), default=DEFAULT_NODES, show_default=True,
              help="Nodes to visit, drawn at random.")
@click.option("--every", "every_s", type=DURATION, default="60s", show_default=True,
              help="From a node's visit to its next, as 10m; at least four timeouts.")
@click.option("--for", "duration_s", type=DURATION, default=None, show_default="1h",
              help="How long, as 7d; 0: until Ctrl-C.")
@click.option("--target", "targets", type=INFO_HASH, multiple=True,
              help="Infohash whose peers are counted once a round; may be repeated.")
@click.option("--targets", "targets_file", type=click.File("r", encoding="utf-8"), default=None,
              help="File of infohashes, one on a line; - for stdin.")
@click.option("--follow", type=click.IntRange(0, MAX_FOLLOW), default=16, show_default=True,
              help="Ids of nodes that have gone, looked up each round: has their address changed?")
@click.option("--resume", type=CrawlFolder(goes_on=True), default=None,
              help="Go on with the monitor in this directory, as it was begun; only --for may be given anew.")
@click.option("--rate", type=Rate(), default=2000.0, show_default=True,
              help="Packets per second at most; max: no limit, with --i-own-this-network or --allow-net.")
@own_network_option
@click.option("--per-ip", "per_ip_rate", type=click.FloatRange(0, 1000), default=1.0, show_default=True,
              help="Packets per second to one address: of more nodes there, some are left out. 0 lifts it.")
@click.option("--timeout", "timeout_s", type=TIMEOUT, default="3s", show_default=True,
              help="After which a ping is repeated once, then given up.")
@click.option("--allow-net", type=NETWORK, multiple=True, help="Address range to treat as public, as 127.0.0.0/8.")
@exclude_option
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="HOST:PORT,… to start from, or public; only asked for a fresh sample, and for targets.")
@click.option("--bind", type=LISTEN, default=Endpoint("0.0.0.0", 0), show_default="0.0.0.0:0",
              help="Local address; an IPv6 one visits IPv6.")
@click.option("--out", type=OutFolder(allow_dash=True), default=None,
              help="Directory or URL for the tables, new or empty; - for visits as JSON lines on stdout.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None,
              help="Of the tables in --out. Default: parquet where pyarrow is installed.")
@click.option("--checkpoint", "checkpoint_s", type=TIMEOUT, default="60s", show_default=True,
              help="After so long visits are safe on disk.")
@contact_option
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=None, help="Repeats the choice of nodes.")
@metrics_option
@click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object.")
def monitor(resume: Path | None, duration_s: float | None, metrics: Endpoint | None, as_json: bool, out: Path | None,
            **options: Any) -> None:
    """Visit the same nodes again and again: who stays, who goes, who comes back, and for how long.

    A visit is one ping, repeated once after silence. Announces nothing, stores nothing on others.
    """
    figures: dict[str, float | None] = {}
    told = remarks(figures)
    if resume is not None:
        refuse_others()
        work = go_on(resume, duration_s, told)
    else:
        work = begin(make_job(duration_s, out, **options), told)
    result = run_async(watched(metrics, lambda: figures, work))
    if as_json:
        emit_json(result.as_dict())
    elif str(out) != STREAM:
        show(result)


def refuse_others() -> None:
    """A monitor goes on as it was begun: any option but those of the outside is a mistake."""
    context = click.get_current_context()
    given = [name for name in context.params if name not in ("resume", "duration_s", "metrics", "as_json")
             and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT]
    if given:
        names = {param.name: param.opts[0] for param in context.command.params}
        raise click.UsageError(f"--resume goes on as it was begun; {names[given[0]]} cannot be given")


def make_job(duration_s: float | None, out: Path | None, *, cohort: Path | None, targets: tuple[InfoHash, ...],
             targets_file: Any, rate: float, i_own_this_network: bool,
             allow_net: tuple[str, ...], exclude: tuple[Path, ...], bootstrap: Any,
             format_: str | None, contact: str, seed: int | None, **values: Any) -> Job:
    from fastdht.cli.crawl import bootstrap_names, choose_format

    check_rate(rate, allow_net, owns_network=i_own_this_network)
    wanted = list(targets)
    if targets_file is not None:
        wanted += [each.info_hash for each in read_wanted(targets_file)]
    config = MonitorConfig(
        bootstrap=bootstrap_names(bootstrap), rate=rate, allow_net=allow_net,
        targets=tuple(dict.fromkeys(map(bytes, wanted))), duration_s=3600.0 if duration_s is None else duration_s,
        seed=int.from_bytes(os.urandom(8), "big") if seed is None else seed, **values)
    folder = out if out is not None and str(out) != STREAM else None
    return Job(config, read_lists(exclude), cohort, folder, choose_format(format_) if folder is not None else "jsonl",
               StreamStore(sys.stdout.buffer) if str(out) == STREAM else None,
               {"command": shlex.join(["fastdht", *sys.argv[1:]]), "contact": contact})


def remarks(figures: dict[str, float | None]) -> Callable[[int, RoundCount], None]:
    """Keeps the figures of each round, and has a line about one on stderr now and then."""
    said = 0.0

    def tell(number: int, counts: RoundCount) -> None:
        nonlocal said
        visits = (figures.get("visits_total") or 0) + counts.visits
        figures.update({"round": number, "visits_total": visits, "alive_ratio": counts.availability})
        if time.monotonic() - said < REMARK_S:
            return
        said = time.monotonic()
        share = counts.availability
        alive = "not observed" if share is None else f"alive {count(counts.outcomes[ALIVE])} ({percent(share)})"
        emit_remark(f"round {number} | visits {count(counts.visits)} | {alive}"
                    + (f" | {counts.reason}" if counts.reason else ""))

    return tell


def show(result: MonitorResult) -> None:
    found = result.findings
    share = found["availability"]
    print_summary("Monitor" if result.complete else f"Monitor, incomplete: {result.reason}", [
        Row("nodes", count(found["cohort"]), f"{count(found['dead_at_start'])} not there at the start, "
                                             f"{count(found['never_answered'])} never"),
        Row("rounds", count(result.rounds), f"{count(found['rounds_observed'])} observed"),
        Row("availability", percent(share["mean"]) if share["mean"] is not None else "-", "mean over the rounds"),
        Row("session", *span_of(found["sessions"], "sessions begun in sight")),
        Row("left of a session", *span_of(found["residual"], "nodes there at the start")),
        Row("other ids", count(found["id_changes"]), f"changes, at {count(found['renamed_nodes'])} nodes"),
        Row("other addresses", count(found["address_changes"]),
            f"of {count(found['gone_looked_up'])} nodes looked up after they had gone"),
        Row("not observed", count(found["unobserved_visits"]), f"of {count(found['visits'])} visits"),
        Row("sent", count(result.sent)),
        Row("time", seconds(result.elapsed_s)),
    ])


def span_of(survival: dict[str, Any], what: str) -> tuple[str, str]:
    """The median and its band, and of what."""
    median = survival["median_s"]
    if median is None:
        return "-", f"{count(survival['ended'])} of {count(survival['count'])} {what} have ended: no median yet"
    low, high = (seconds(each) if each is not None else "?" for each in (survival["median_low_s"],
                                                                          survival["median_high_s"]))
    return seconds(median), f"median; 95 %: {low} to {high}; {count(survival['count'])} {what}"
