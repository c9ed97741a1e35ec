"""The page of fetched metadata: how many torrents, why not the others, how large, how fast. Rate class: command."""
from __future__ import annotations

from typing import TYPE_CHECKING

from fastdht.crawl.records import METADATA_COLUMNS
from fastdht.crawl.report import plots
from fastdht.crawl.report.columns import counted, most, octaves, read_table
from fastdht.crawl.report.content import (
    TOP,
    Page,
    Section,
    Source,
    Table,
    counts_table,
    decimal,
    number,
    percent,
    ratio,
    seconds,
    size,
)

if TYPE_CHECKING:
    import pyarrow

NAMES = ("info_hash", "status", "size", "files", "private", "version", "metadata_size", "tried", "seconds", "client",
         "error")
STATUSES = {"ok": "fetched", "no_peers": "no peers known", "failed": "all peers tried, none sent it",
            "unreadable": "right hash, but no torrent"}


def build(source: Source) -> Page:
    """Raises PersistError."""
    import pyarrow.compute as compute

    rows, summary = read_table(source.directory, "metadata", METADATA_COLUMNS, NAMES), source.summary
    fetched = rows.filter(compute.equal(rows.column("status"), "ok"))
    connections = summary.get("connections", {})
    page = Page(f"Metadata {source.directory.name}", [
        ("Fetched", number(summary.get("fetched", len(fetched))),
         f"{percent(ratio(len(fetched), len(rows)))} of {len(rows):,} hashes"),
        ("State", str(source.note.get("state", "unknown")), ""),
        ("Metadata", size(summary.get("bytes")), "all checked against their hashes"),
        ("Content described", size(compute.sum(fetched.column("size")).as_py() or 0), "never fetched"),
        ("Connections", number(sum(connections.values())), "to peers"),
        ("Rate", decimal(summary.get("fetched_per_s"), 1), "torrents per second"),
        ("Time", seconds(summary.get("elapsed_s")), ""),
    ])
    if len(rows):
        page.sections = [*results(rows), *failures(rows, connections), *torrents(fetched)]
    page.undone = [
        "Names of torrents are in the records, not on this page.",
        "Peers that speak only uTP count as unreachable.",
        "Content was never fetched, and nothing was announced.",
    ]
    return page


def results(rows: pyarrow.Table) -> list[Section]:
    """What became of the hashes, and how long it took."""
    import pyarrow.compute as compute

    counts = sorted(counted(rows.column("status")).items(), key=lambda each: -each[1])
    sections = [Section("Results", "Each hash has one.", plots.bars_plot(
        [(STATUSES.get(name, str(name)), count) for name, count in counts], "Hashes by result", "hashes", len(rows)))]
    for name, heading in (("ok", "Time to fetch"), ("failed", "Time to give up")):
        spent = rows.filter(compute.equal(rows.column("status"), name)).column("seconds")
        bins = octaves(compute.multiply(spent, 1000))
        if bins:
            middle = compute.quantile(spent, 0.5)[0].as_py()
            sections.append(Section(
                heading, f"From the first look to the result; median {seconds(middle)}. Each column is up to twice as "
                "long as the one before.", plots.columns_plot([(milliseconds(low), count) for low, count in bins],
                                                               heading, "time, at least", "hashes")))
    return sections


def failures(rows: pyarrow.Table, connections: dict[str, int]) -> list[Section]:
    """What went wrong with connections, and last of all with a hash."""
    import pyarrow.compute as compute

    sections = []
    if connections:
        ended = sorted(connections.items(), key=lambda each: -each[1])
        sections.append(Section("Connections", "By how they ended.", plots.bars_plot(
            ended[:TOP], "Connections by outcome", "connections", sum(connections.values()))))
    failed = rows.filter(compute.not_equal(rows.column("status"), "ok"))
    errors = most(failed.column("error").drop_null(), TOP)
    if errors:
        sections.append(Section("Why the others failed", "What the last peer of a hash did, or what is wrong with it.",
                                table=counts_table(("error", "of them", "hashes"), errors, len(failed))))
    return sections


def torrents(fetched: pyarrow.Table) -> list[Section]:
    """What the fetched metadata say."""
    sections = []
    for name, heading, write in (("size", "Size of the content", size), ("metadata_size", "Size of the metadata", size),
                                 ("files", "Files of a torrent", number)):
        bins = octaves(fetched.column(name))
        if bins:
            sections.append(Section(heading, plot=plots.columns_plot(
                [(write(low), count) for low, count in bins], heading, f"{heading.lower()}, at least", "torrents")))
    if not len(fetched):
        return sections
    kinds = [(f"version {name}", count) for name, count in sorted(counted(fetched.column("version")).items())]
    private = counted(fetched.column("private")).get(True, 0)
    clients = most(fetched.column("client").drop_null(), TOP)
    tables: list[tuple[str, Table | None]] = [
        ("Kinds of torrents", counts_table(("", "of all", "torrents"), [
            *kinds, ("asks not to be found by the DHT (BEP 27)", private)], len(fetched))),
        ("Clients that sent it", counts_table(("client", "of all", "torrents"), clients, len(fetched)))]
    return sections + [Section(heading, table=table) for heading, table in tables if table is not None]


def milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:,.1f} s"
