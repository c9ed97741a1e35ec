"""`fastdht crawl peers`: look up, or count, the peers of many infohashes. Rate class: command."""
from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

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
    require_one_stdin,
)
from fastdht.cli.folders import CrawlFolder, OutFolder
from fastdht.cli.params import BOOTSTRAP, DURATION, LISTEN, NETWORK
from fastdht.cli.render import Row, count, emit_json, emit_remark, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.cli.watching import metrics_option, watched
from fastdht.crawl.anonymous import KINDS, anonymizer
from fastdht.crawl.metadata.bulk import read_wanted
from fastdht.crawl.neighbours import HashList
from fastdht.crawl.peers import BulkPeers, PeersConfig, PeersSummary
from fastdht.crawl.records import FORMATS, PEER_COLUMNS, SCRAPE_COLUMNS, SWARM_COLUMNS
from fastdht.crawl.scrape import SwarmSize
from fastdht.crawl.sinks import prepare_directory, write_json
from fastdht.crawl.tables import TableSink
from fastdht.crawl.verify import read_nodes
from fastdht.errors import DHTError, PersistError
from fastdht.stats import LookupReport
from fastdht.types import ID_SIZE, Endpoint


class Output:
    """Peers to tables, or a JSON line per infohash to stdout, which `crawl metadata` reads when nothing is hidden."""

    def __init__(self, out: Path | None, format_: str, kind: str, blocklist: Blocklist | None = None) -> None:
        self._text = anonymizer(kind, os.urandom(32))       # the key is kept nowhere
        self._blocklist = blocklist                         # whose addresses are not told either
        self._peers = TableSink(out, "peers", PEER_COLUMNS, format_) if out is not None else None
        self._swarms = TableSink(out, "swarms", SWARM_COLUMNS, format_) if out is not None else None

    def keep(self, info_hash: bytes, report: LookupReport) -> None:
        digits = info_hash.hex()
        peers = dict.fromkeys(self._text(each) for each in report.values
                              if self._blocklist is None or each.ip not in self._blocklist)
        if self._peers is None or self._swarms is None:
            line = {"info_hash": digits, "peers": list(peers), "found": report.value_count}
            sys.stdout.write(json.dumps(line) + "\n")
            return
        for peer in peers:
            self._peers.add({"info_hash": digits, "peer": peer})
        self._swarms.add({"info_hash": digits, "peers": report.value_count, "asked": report.queries,
                          "answered": report.responses, "outcome": report.outcome})

    def close(self) -> None:
        for table in (self._peers, self._swarms):
            if table is not None:
                table.close()


class Sizes:
    """Sizes of swarms to a table, or a JSON line per infohash to stdout. Nobody's address is kept."""

    def __init__(self, out: Path | None, format_: str) -> None:
        self._table = TableSink(out, "scrapes", SCRAPE_COLUMNS, format_) if out is not None else None

    def keep(self, info_hash: bytes, report: LookupReport, size: SwarmSize) -> None:
        row = {"info_hash": info_hash.hex(), **size.as_dict(), "asked": report.queries, "answered": report.responses,
               "outcome": report.outcome}
        if self._table is not None:
            self._table.add(row)
        else:
            sys.stdout.write(json.dumps(row) + "\n")

    def close(self) -> None:
        if self._table is not None:
            self._table.close()


@click.command()
@click.argument("hashes", type=click.File("r", encoding="utf-8"))
@click.option("--from-census", "census", type=CrawlFolder(), default=None,
              help="Directory of a fresh census: its nodes closest to each infohash are asked, and nobody else.")
@click.option("--scrape", "is_scrape", is_flag=True,
              help="Count seeds and downloaders (BEP 33), with 95 % bounds, instead of naming peers.")
@click.option("--anonymize", type=click.Choice(KINDS), default="truncate", show_default=True,
              help="Peers as their /24 or /48, as hashes with a key that is thrown away, or whole.")
@click.option("--purpose", default="", help="Why this is done; recorded in crawl.json. Needed with --out.")
@click.option("--rate", default="2000", show_default=True,
              help="Queries per second; max: as fast as this machine can, with --i-own-this-network or --allow-net.")
@own_network_option
@nat_friendly_option
@new_endpoints_option
@click.option("--per-ip", "per_ip_rate", type=click.FloatRange(0, 1000), default=1.0, show_default=True,
              help="Queries per second to one address; 0 lifts it.")
@click.option("--concurrency", type=click.IntRange(1, 4096), default=1024, show_default=True,
              help="Infohashes worked on at a time.")
@click.option("--budget-msgs", "max_queries", type=click.IntRange(10, 1000), default=60, show_default=True,
              help="Queries for one infohash.")
@click.option("--timeout", "timeout_s", type=DURATION, default="5s", show_default=True, help="Of a query.")
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="HOST:PORT,… to start from, or public; not asked with --from-census.")
@click.option("--bind", type=LISTEN, default=Endpoint("0.0.0.0", 0), show_default="0.0.0.0:0", help="Local address.")
@click.option("--allow-net", type=NETWORK, multiple=True, help="Address range to treat as public, as 127.0.0.0/8.")
@exclude_option
@contact_option
@click.option("--out", type=OutFolder(), default=None,
              help="Directory or URL for the tables, new or empty. Default: JSON lines on stdout.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None,
              help="Of the tables in --out. Default: parquet where pyarrow is installed.")
@metrics_option
@click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object.")
def peers(hashes: TextIO, census: Path | None, is_scrape: bool, anonymize: str, purpose: str, rate: str,
          i_own_this_network: bool, nat_friendly: bool, new_endpoints_per_minute: int | None, bootstrap: Any,
          out: Path | None, format_: str | None, as_json: bool, allow_net: tuple[str, ...], exclude: tuple[Path, ...],
          contact: str, metrics: Endpoint | None, **options: Any) -> None:
    """Look up the peers of the infohashes in HASHES (- for stdin), one on a line, and announce nothing."""
    from fastdht.cli.crawl import Rate, bootstrap_names, choose_format, finish_note
    from fastdht.cli.crawl_census import limit_rate

    if out is not None and not purpose:
        raise click.UsageError("--out keeps who shares what; say why with --purpose TEXT")
    packets = Rate().convert(rate, None, None)
    check_rate(packets, allow_net, owns_network=i_own_this_network)
    require_one_stdin(hashes, exclude)
    config = PeersConfig(bootstrap=bootstrap_names(bootstrap), allow_net=allow_net,
                         rate=limit_rate(packets, nat_friendly, new_endpoints_per_minute),
                         blocklist=Blocklist.read(*exclude) if exclude else None, **options)
    wanted = HashList(each.info_hash for each in read_wanted(hashes))
    if not len(wanted):
        raise click.UsageError(f"{hashes.name} has no infohash; one on a line is needed")
    chosen = choose_format(format_) if out is not None else "jsonl"
    mode = {"mode": "scrape" if is_scrape else "peers", "anonymize": anonymize}
    note = {"version": __version__, **mode, "id": os.urandom(16).hex(), "purpose": purpose, "format": chosen,
            "command": shlex.join(["fastdht", *sys.argv[1:]]), "contact": contact,
            "config": {**asdict(replace(config, blocklist=None)), "bind": str(config.bind),
                       "blocklist": len(config.blocklist or ())}}
    if out is not None:
        prepare_directory(out)
        write_json(out / "crawl.json", {"state": "running", **note})
    state = "failed"
    try:
        with closing(Sizes(out, chosen) if is_scrape else Output(out, chosen, anonymize, config.blocklist)) as output:
            known = read_census(census) if census is not None else None
            summary = run_async(work(config, output, known, wanted, metrics))
        state = "complete" if summary.complete else "partial"
        if out is not None:
            write_json(out / "summary.json", {**mode, **summary.as_dict()})
    finally:
        if out is not None:
            finish_note(out, {"state": state, **note}, state)
    show(summary, as_json=as_json, is_stream=out is None, is_scrape=is_scrape)
    if not summary.answered and summary.complete:
        raise DHTError("nobody answered")


def read_census(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    """Id and compact endpoint of each node that a census found. Raises PersistError."""
    is_empty = True
    for keys, _ in read_nodes(folder):
        for key in keys:
            yield key[-ID_SIZE:], key[:-ID_SIZE]
            is_empty = False
    if is_empty:
        raise PersistError(f"{folder} holds no nodes; it must be what `fastdht crawl census --out` wrote")


async def work(config: PeersConfig, output: Output | Sizes, known: Iterator[tuple[bytes, bytes]] | None,
               wanted: HashList, metrics: Endpoint | None) -> PeersSummary:
    if isinstance(output, Sizes):
        run = BulkPeers(config, census=known, scraped=output.keep)
    else:
        run = BulkPeers(config, output.keep, known)
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, run.stop)
    summary, started = run.summary, time.monotonic()
    return await watched(metrics, lambda: {
        "sent_total": summary.sent, "answered_total": summary.answered, "infohashes": summary.infohashes,
        "peers": summary.peers, "unanswered": summary.unanswered, "elapsed_seconds": time.monotonic() - started,
    }, run.run(wanted))


def show(summary: PeersSummary, *, as_json: bool, is_stream: bool, is_scrape: bool) -> None:
    if as_json:
        emit_json(summary.as_dict())
        return
    counted = f"{count(summary.seeds)} seeds and {count(summary.peers)} downloaders" if is_scrape else (
        f"{count(summary.peers)} peers")
    if is_stream:
        emit_remark(f"{counted} of {count(summary.with_peers)} infohashes, of "
                    f"{count(summary.infohashes)}, in {seconds(summary.elapsed_s)}")
        return
    print_summary("Scrape" if is_scrape else "Peers", [
        Row("infohashes", count(summary.infohashes), f"{count(summary.with_peers)} with peers"),
        Row("found", counted, f"{count(summary.saturated)} infohashes have more than can be counted" * is_scrape),
        Row("sent", count(summary.sent), f"{summary.msgs_per_hash:.1f} per infohash"),
        Row("not answered", count(summary.unanswered), "infohashes"),
        Row("rate", f"{count(summary.hashes_per_s)}/s"),
        Row("time", seconds(summary.elapsed_s)),
    ])
