"""`fastdht crawl metadata`: fetch the metadata of torrents whose hashes are known. Rate class: command."""
from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import click

from fastdht import __version__
from fastdht.blocklist import Blocklist
from fastdht.cli.crawl_manners import contact_option, exclude_option, require_one_stdin
from fastdht.cli.folders import CrawlFolder, OutFolder
from fastdht.cli.params import BOOTSTRAP, DURATION, NETWORK, SIZE, HostPort
from fastdht.cli.render import Row, count, emit_json, emit_remark, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.cli.serve import bootstrap_hosts
from fastdht.crawl.harvest_run import read_samples
from fastdht.crawl.metadata.bulk import FindPeers, MetadataRecord, MetadataRun, MetadataSummary, Wanted, read_wanted
from fastdht.crawl.metadata.fetch import FetchConfig
from fastdht.crawl.metadata.torrent import write_torrent
from fastdht.crawl.neighbours import HashList
from fastdht.crawl.records import FORMATS, METADATA_COLUMNS
from fastdht.crawl.sinks import prepare_directory, write_json
from fastdht.crawl.tables import TableSink, json_line
from fastdht.errors import PersistError
from fastdht.node import Node
from fastdht.types import Endpoint, InfoHash

NAMES = [column.name for column in METADATA_COLUMNS]
MAX_LOOKUPS = 32            # hashes looked up at a time; the rest wait


class Output:
    """Records to a table or to stdout, and .torrent files beside the table."""

    def __init__(self, out: Path | None, format_: str, *, torrents: bool) -> None:
        self._table = TableSink(out, "metadata", METADATA_COLUMNS, format_) if out is not None else None
        self._torrents = out / "torrents" if out is not None and torrents else None

    def keep(self, record: MetadataRecord, metadata: bytes | None) -> None:
        if metadata is not None and self._torrents is not None:
            write_torrent(self._torrents, bytes.fromhex(record.info_hash), metadata)
        if self._table is not None:
            self._table.add(asdict(record))
        else:
            sys.stdout.write(json_line(asdict(record), NAMES))
            sys.stdout.flush()

    def close(self) -> None:
        if self._table is not None:
            self._table.close()


@click.command()
@click.argument("hashes", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--from-harvest", "harvest", type=CrawlFolder(), default=None,
              help="Directory of a harvest: every infohash that it saw, instead of HASHES.")
@click.option("--out", type=OutFolder(), default=None,
              help="Directory or URL for records and .torrent files, new or empty. Default: JSON lines on stdout.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default=None,
              help="Of the records in --out. Default: parquet where pyarrow is installed.")
@click.option("--torrents/--no-torrents", default=True, show_default=True, help="Write .torrent files below --out.")
@click.option("--max-size", type=SIZE, default="16MiB", show_default=True, help="Of one torrent's metadata.")
@click.option("--parallel", type=click.IntRange(1, 10_000), default=200, show_default=True,
              help="Torrents worked on at a time.")
@click.option("--parallel-peers", type=click.IntRange(1, 50), default=3, show_default=True,
              help="Peers of one torrent that are asked at a time.")
@click.option("--max-peers", type=click.IntRange(1, 1000), default=20, show_default=True,
              help="Peers tried before a torrent is given up.")
@click.option("--connections", type=click.IntRange(1, 100_000), default=400, show_default=True,
              help="Connections at a time, in all.")
@click.option("--per-ip", type=click.IntRange(1, 10_000), default=8, show_default=True,
              help="Connections at a time to one address.")
@click.option("--connect-timeout", type=DURATION, default="3s", show_default=True)
@click.option("--timeout", type=DURATION, default="6s", show_default=True, help="Without a byte from a peer.")
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="Hosts to look up peers through, HOST:PORT,…; none: only peers named in the input.")
@click.option("--allow-net", type=NETWORK, multiple=True, help="Address range to treat as public, as 127.0.0.0/8.")
@exclude_option
@contact_option
@click.option("--purpose", default="", help="Why this is done; recorded in crawl.json. Needed with --out.")
@click.option("--json", "as_json", is_flag=True, help="Last line of stdout: the summary as one JSON object.")
def metadata(hashes: TextIO | None, harvest: Path | None, out: Path | None, format_: str | None, torrents: bool,
             purpose: str, as_json: bool, bootstrap: str | tuple[HostPort, ...], allow_net: tuple[str, ...],
             exclude: tuple[Path, ...], contact: str, parallel: int, connect_timeout: float, timeout: float,
             **limits: int) -> None:
    """Fetch the metadata of the torrents in HASHES (- for stdin), and check it against their hashes.

    A line is a hash, or a hash and the peers to ask: HASH IP:PORT IP:PORT …, or a JSON object with info_hash and peers.
    Hashes without peers are looked up. Content is never fetched, nothing is announced.
    """
    from fastdht.cli.crawl import choose_format, finish_note

    if out is not None and not purpose:
        raise click.UsageError("--out keeps names of what people share; say why with --purpose TEXT")
    if (hashes is None) == (harvest is None):
        raise click.UsageError("either HASHES or --from-harvest DIR says which torrents")
    if harvest is not None and bootstrap == "none":
        raise click.UsageError("--from-harvest names no peers, so they must be looked up: --bootstrap is none")
    require_one_stdin(hashes, exclude)
    wanted = read_wanted(hashes) if hashes is not None else harvested(harvest)
    config = FetchConfig(connect_s=connect_timeout, silence_s=timeout, **limits)
    chosen = choose_format(format_) if out is not None else "jsonl"
    note = {"version": __version__, "mode": "metadata", "id": os.urandom(16).hex(), "purpose": purpose,
            "format": chosen, "command": shlex.join(["fastdht", *sys.argv[1:]]), "contact": contact,
            "config": asdict(config)}
    blocklist = Blocklist.read(*exclude) if exclude else None
    if out is not None:
        prepare_directory(out)
        write_json(out / "crawl.json", {"state": "running", **note})
    output = Output(out, chosen, torrents=torrents)
    state = "failed"
    try:
        with closing(output):
            summary, is_whole = run_async(work(wanted, output, config, parallel, bootstrap, allow_net, blocklist))
        state = "complete" if is_whole else "partial"
        if out is not None:
            write_json(out / "summary.json", summary.as_dict())
    finally:
        if out is not None:
            finish_note(out, {"state": state, **note}, state)
    if as_json:
        emit_json(summary.as_dict())
    elif out is not None:
        print_summary("Metadata", summarise(summary))
    else:
        emit_remark(f"{count(summary.fetched)} of {count(summary.hashes)} fetched in {seconds(summary.elapsed_s)}")


async def work(wanted: Iterable[Wanted], output: Output, config: FetchConfig, parallel: int,
               bootstrap: str | tuple[HostPort, ...], allow_net: tuple[str, ...],
               blocklist: Blocklist | None) -> tuple[MetadataSummary, bool]:
    """Run to the end or to the first signal; whether all of the input was worked on."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        find = None
        if bootstrap != "none":
            node = await stack.enter_async_context(
                Node(bootstrap=bootstrap_hosts(bootstrap), allow_net=allow_net, read_only=True, blocklist=blocklist))
            find = looker(node)
        run = MetadataRun(config, output.keep, find, parallel=parallel, blocklist=blocklist)
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, run.stop)
        return await run.run(wanted), not run.is_stopped


def harvested(folder: Path | None) -> Iterator[Wanted]:
    """Each infohash that a harvest saw, once. Raises PersistError."""
    seen = HashList(bytes.fromhex(row[0]) for row in read_samples(folder)) if folder is not None else HashList()
    if not len(seen):
        raise PersistError(f"{folder} holds no samples; it must be what `fastdht crawl harvest --out` wrote")
    return (Wanted(InfoHash(each), ()) for each in seen)


def looker(node: Node) -> FindPeers:
    """Looks up peers with a node, some hashes at a time."""
    places = asyncio.Semaphore(MAX_LOOKUPS)

    async def find(info_hash: InfoHash) -> Sequence[Endpoint]:
        async with places:
            return (await node.get_peers(info_hash)).values

    return find


def summarise(summary: MetadataSummary) -> list[Row]:
    def listed(counts: dict[str, Any]) -> str:
        return ", ".join(f"{name} {count(number)}" for name, number in sorted(counts.items()))

    return [
        Row("fetched", count(summary.fetched), f"of {count(summary.hashes)} hashes"),
        Row("by outcome", listed(summary.by_status)),
        Row("connections", count(sum(summary.connections.values())), listed(summary.connections)),
        Row("metadata", f"{count(summary.bytes)} B"),
        Row("rate", f"{summary.fetched / max(summary.elapsed_s, 1e-6):.1f}/s"),
        Row("time", seconds(summary.elapsed_s)),
    ]
