"""The page of bulk peers: how many were found of what, and for how much. Rate class: command."""
from __future__ import annotations

from typing import TYPE_CHECKING

from fastdht.crawl.records import SWARM_COLUMNS
from fastdht.crawl.report import swarms
from fastdht.crawl.report.columns import read_table
from fastdht.crawl.report.content import TOP, Page, Section, Source, Table, number

if TYPE_CHECKING:
    import pyarrow

KINDS = {"truncate": "networks, without port", "hmac": "keyed hashes", "none": "whole addresses"}


def build(source: Source) -> Page:
    """Raises PersistError."""
    rows = read_table(source.directory, "swarms", SWARM_COLUMNS, ("info_hash", "peers", "asked", "answered", "outcome"))
    kind = str(source.note.get("anonymize", ""))
    found = ("Peers found", number(source.summary.get("peers")), f"kept as {KINDS.get(kind, kind)}")
    page = Page(f"Peers {source.directory.name}", [found, *swarms.facts(source)])
    page.sections = [
        *swarms.spread(rows.column("peers"), "Peers found of an infohash", "peers"), *swarms.cost(rows), *largest(rows)]
    page.undone = ["A node tells at most 50 of its peers or so: large swarms are larger. A scrape counts them.",
                   *swarms.UNDONE]
    return page


def largest(rows: pyarrow.Table) -> list[Section]:
    if not len(rows):
        return []
    top = rows.sort_by([("peers", "descending"), ("info_hash", "ascending")]).slice(0, TOP)
    return [Section("Largest swarms", "By the peers that were found.", table=Table(("infohash", "peers"), [
        (name, number(count)) for name, count in zip(top.column("info_hash").to_pylist(),
                                                     top.column("peers").to_pylist(), strict=True)]))]
