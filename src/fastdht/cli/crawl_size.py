"""`fastdht crawl size`: estimate how many nodes a network has. Rate class: command."""
from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fastdht import __version__
from fastdht.blocklist import Blocklist
from fastdht.cli.crawl_manners import (
    check_rate,
    contact_option,
    exclude_option,
    nat_friendly_option,
    new_endpoints_option,
    own_network_option,
)
from fastdht.cli.folders import OutFolder
from fastdht.cli.params import BOOTSTRAP, DURATION, LISTEN, NETWORK
from fastdht.cli.render import Row, count, emit_json, emit_remark, percent, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.cli.watching import metrics_option, watched
from fastdht.crawl.crawler import as_plain
from fastdht.crawl.job import stopped_by_signals
from fastdht.crawl.plan import new_id
from fastdht.crawl.size import ASSUMPTIONS, METHODS, Estimate, alive, answer_rate, unnamed
from fastdht.crawl.size_run import SizeConfig, SizeCrawl, SizeResult
from fastdht.crawl.sinks import prepare_directory, write_json
from fastdht.errors import DHTError
from fastdht.types import Endpoint

TITLES = {"zone": "zone count", "closest": "closest nodes", "recapture": "recapture"}


@click.command()
@click.option("--method", type=click.Choice(("all", *METHODS)), default="all", show_default=True,
              help="Whose estimate is the answer. all: zone, with the others beside it.")
@click.option("--ci", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True,
              help="Chance with which the interval shall hold the truth.")
@click.option("--target-error", type=click.FloatRange(0.001, 0.5), default=0.03, show_default=True,
              help="Relative error wanted, with a chance of 0.95; half the error costs four times the messages.")
@click.option("--max-msgs", type=click.IntRange(0), default=0,
              help="Messages to spend: no zone is begun for which they should not last. Default: from the error.")
@click.option("--rate", default="2000", show_default=True,
              help="Packets per second; max: as fast as this machine can, with --i-own-this-network or --allow-net.")
@own_network_option
@nat_friendly_option
@new_endpoints_option
@click.option("--max-inflight", type=click.IntRange(0, 131_072), default=0,
              help="Queries out at a time that are not late, per zone. Default: from rate and round-trip times.")
@click.option("--per-ip", type=click.FloatRange(0, 1000), default=1.0, show_default=True,
              help="Packets per second to one address; 0 lifts it. More wait, none are dropped.")
@click.option("--timeout", type=DURATION, default=None, help="When a query is given up. Default: 1 to 10 s, as needed.")
@click.option("--allow-net", type=NETWORK, multiple=True, help="Address range to treat as public, as 127.0.0.0/8.")
@exclude_option
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="HOST:PORT,… to start from, or public.")
@click.option("--bind", type=LISTEN, default=Endpoint("0.0.0.0", 0), show_default="0.0.0.0:0",
              help="Local address; an IPv6 one measures IPv6. With a port, zones are crawled one by one.")
@contact_option
@click.option("--out", type=OutFolder(), default=None,
              help="Directory or URL for summary.json and crawl.json, new or empty.")
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=None, help="Repeats the choices made.")
@metrics_option
@click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object.")
def size(method: str, ci: float, target_error: float, max_msgs: int, rate: str, i_own_this_network: bool,
         nat_friendly: bool, new_endpoints_per_minute: int | None, allow_net: tuple[str, ...],
         exclude: tuple[Path, ...], contact: str, out: Path | None, metrics: Endpoint | None, as_json: bool,
         **options: Any) -> None:
    """Estimate how many nodes answer, from lookups and a few random zones: some 30,000 messages for any network.

    Lists nobody, says that it is read-only (BEP 43), and stores nothing on others.
    """
    from fastdht.cli.crawl import Rate, make_config
    from fastdht.cli.crawl_census import limit_rate, read_lists

    packets = Rate().convert(rate, None, None)
    check_rate(packets, allow_net, owns_network=i_own_this_network)
    crawl = make_config(limit_rate(packets, nat_friendly, new_endpoints_per_minute), allow_net, depth="standard",
                        zone=None, passes=1, max_contacts=1_000_000, **options)
    excluded = read_lists(exclude)
    crawl = replace(crawl, blocklist=Blocklist(excluded) if excluded else None)
    result = run_size(SizeConfig(crawl, method, ci, target_error, max_msgs), out, contact, metrics)
    if as_json:
        emit_json(result.as_dict())
    else:
        show(result)
    if not result.answered and not result.reason.startswith("stopped"):
        raise DHTError(f"{result.reason}: asked {', '.join(crawl.bootstrap)}")


def run_size(config: SizeConfig, out: Path | None, contact: str, metrics: Endpoint | None) -> SizeResult:
    """Estimate, keeping crawl.json and summary.json of the folder true to what happened."""
    from fastdht.cli.crawl import LAYOUT, finish_note

    note = {"layout": LAYOUT, "version": __version__, "mode": "size", "id": new_id(), "contact": contact,
            "seed": config.crawl.seed, "command": shlex.join(["fastdht", *sys.argv[1:]]), "method": config.method,
            "ci": config.ci, "target_error": config.target_error, "max_msgs": config.budget,
            "config": as_plain(config.crawl)}
    if out is not None:
        prepare_directory(out)
        write_json(out / "crawl.json", {"state": "running", **note})
    state = "failed"
    try:
        result = run_async(measure_until_signal(config, metrics))
        state = "complete" if result.complete else "partial" if result.answered else "failed"
        if out is not None:
            write_json(out / "summary.json", result.as_dict())
    finally:
        if out is not None:
            finish_note(out, {"state": state, **note}, state)
    return result


async def measure_until_signal(config: SizeConfig, metrics: Endpoint | None) -> SizeResult:
    running = SizeCrawl(config, on_step=emit_remark)
    with stopped_by_signals(running.stop):
        return await watched(metrics, running.figures, running.run())


def show(result: SizeResult) -> None:
    total, guess = result.count, result.estimate
    rows = [Row("nodes", count(guess.nodes), span(guess, result.ci)) if guess is not None
            else Row("nodes", "unknown", "too little was found")]
    rows += [Row(TITLES[name], count(each.nodes), span(each, result.ci)) for name, each in result.methods.items()]
    rows += [
        Row("counted", count(total.found), f"in {len(result.zones)} zones, {percent(result.share)} of the key space"),
        Row("alive there", count(alive(total)), f"{percent(answer_rate(total))} answer; {count(unnamed(total))} that "
            "nobody named"),
        Row("check", f"{count(total.rechecked)} of {count(total.checked)}", "nodes of other lookups were counted"),
        Row("sent", count(result.sent), f"{count(result.lookups)} lookups among them"),
        Row("most to one address", count(result.max_packets_per_ip), "packets, in one zone"),
        Row("lost in the kernel", count(result.kernel_drops), "datagrams"),
        Row("time", seconds(result.elapsed_s)),
        *(Row(f"{TITLES[name]} assumes", "", "; ".join(ASSUMPTIONS[name])) for name in result.methods),
    ]
    print_summary("Size" if result.complete else f"Size, incomplete: {result.reason}", rows)


def span(guess: Estimate, ci: float) -> str:
    return f"{count(guess.low)} to {count(guess.high)} with a chance of {100 * ci:g} %"
