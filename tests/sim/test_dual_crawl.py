"""A census of a town of both families, in virtual time: scripted nodes with known tables (BEP 32)."""
from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fastdht._ext import krpc
from fastdht.crawl import Crawl, CrawlConfig, CrawlResult
from fastdht.crawl.packed import EDGES
from fastdht.crawl.sinks import DirectorySink
from fastdht.crawl.verify import Verdict, verify
from fastdht.testing import SimNetwork, builders
from fastdht.types import Contact, Endpoint
from tests.sim.sim_kit import simulate

V4_ONLY, V6_ONLY, DUAL = 60, 40, 50
WANT = {4: 1, 6: 2}    # bits of n4 and n6
KNOWN = 24              # of a family, by each node
BINDS = {"4": (Endpoint("9.9.9.9", 6881), None), "6": (Endpoint("2a99::9", 6881), None),
         "46": (Endpoint("9.9.9.9", 6881), Endpoint("2a99::9", 6881))}


class Villager:
    """One socket of a node: it names its family's contacts, and those that `want` asks for as well."""

    def __init__(self, own: Contact, known: list[Contact], known6: list[Contact]) -> None:
        self.own = own
        self.known = {4: known, 6: known6}
        self.named: set[tuple[str, str]] = set()        # edges it has shown
        self.sources: set[bytes] = set()

    def answer(self, data: bytes, source: bytes) -> list[tuple[bytes, bytes]]:
        query = krpc.parse(data)
        assert query is not None
        assert query["read_only"]
        self.sources.add(source)
        wanted = query.get("want", WANT[6 if self.own.endpoint.is_ipv6 else 4])
        nodes = {family: builders.closest(known, query["target"]) for family, known in self.known.items()
                 if known and wanted & WANT[family]}
        self.named |= {(self.own.id[:8].hex(), each.id[:8].hex()) for named in nodes.values() for each in named}
        return [(krpc.build_reply(
            id=bytes(self.own.id), tid=query["tid"], nodes=builders.pack_nodes(nodes[4]) if 4 in nodes else None,
            nodes6=builders.pack_nodes(nodes[6]) if 6 in nodes else None), source)]


class Town:
    """Nodes of either family and of both; those of both are two contacts, each with an id of its own (BEP 45)."""

    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        v4 = builders.contacts(V4_ONLY + DUAL, seed, first=100)
        v6 = builders.contacts(V6_ONLY + DUAL, seed + 1, first=100, is_ipv6=True)
        both = {4: v4[-DUAL:], 6: v6[-DUAL:]}
        self.people: list[Villager] = []
        for is_ipv6, places in ((False, v4), (True, v6)):
            for index, place in enumerate(places):
                is_dual = index >= len(places) - DUAL
                ring = places[index + 1:index + 3] or places[:2]        # so that everybody is named
                own = [*ring, *rng.sample(places, KNOWN)]
                other = rng.sample(v4 if is_ipv6 else v6, KNOWN) if is_dual else []
                self.people.append(Villager(place, *((other, own) if is_ipv6 else (own, other))))
        self.bootstrap = {4: str(both[4][0].endpoint), 6: str(both[6][0].endpoint)}

    def keys(self, families: str) -> set[bytes]:
        wanted = {size for family, size in (("4", 6), ("6", 18)) if family in families}
        return {packed + each.own.id for each in self.people if len(packed := each.own.endpoint.pack()) in wanted}

    def settle(self, network: SimNetwork) -> None:
        for each in self.people:
            network.act(each.own.endpoint, each.answer)


def census(town: Town, folder: Path, families: str, seed: int, **changes: Any) -> tuple[CrawlResult, Verdict]:
    bind, bind6 = BINDS[families]
    values = {"bootstrap": tuple(town.bootstrap.values()), "bind": bind, "bind6": bind6, "seed": seed, "rate": 0.0,
              "max_contacts": 10_000, "timeout_s": 1.0, "depth": "exhaustive", "edges": True, **changes}

    async def main() -> CrawlResult:
        loop: Any = asyncio.get_running_loop()
        network = SimNetwork(loop, seed)
        town.settle(network)
        return await Crawl(CrawlConfig(**values), DirectorySink(folder, "jsonl"), clock=loop.clock,
                           busy_clock=lambda: 0, transport=network.open,
                           edges=DirectorySink(folder, "jsonl", table=EDGES)).run()

    result = simulate(main, seed)
    (folder / "summary.json").write_text(json.dumps(result.as_dict()))
    return result, verify(folder, town.keys(families), town.keys("46"))


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for path in folder.glob(f"parts/{table}/*.jsonl") for line in path.read_text().splitlines()]


@pytest.mark.parametrize("families", ["4", "6", "46"])
def test_census_finds_its_families_and_nobody_else(tmp_path: Path, seed: int, families: str) -> None:
    town = Town(seed)
    result, verdict = census(town, tmp_path, families, seed)
    found = {Endpoint(row["ip"], row["port"]).pack() + bytes.fromhex(row["id"]) for row in rows(tmp_path, "nodes")}
    assert result.complete
    assert found == town.keys(families)
    assert (verdict.recall, verdict.precision, verdict.doubled_rows) == (1.0, 1.0, 0)
    assert all(row["bep42"] for row in rows(tmp_path, "nodes"))
    asked = {len(source) for each in town.people for source in each.sources}
    assert asked == {size for family, size in (("4", 6), ("6", 18)) if family in families}
    assert {(row["from_id"], row["to_id"]) for row in rows(tmp_path, "edges")} == {
        edge for each in town.people for edge in each.named}


@pytest.mark.parametrize("entry", [4, 6])
def test_census_of_both_begins_with_either_and_sums_up_each(tmp_path: Path, seed: int, entry: int) -> None:
    town = Town(seed)
    result, verdict = census(town, tmp_path, "46", seed, bootstrap=(town.bootstrap[entry],))
    assert (verdict.recall, verdict.precision) == (1.0, 1.0)
    assert (result.families["ipv4"]["found"], result.families["ipv6"]["found"]) == (V4_ONLY + DUAL, V6_ONLY + DUAL)
    for name in ("found", "contacts", "sent", "answered"):
        assert sum(counts[name] for counts in result.families.values()) == getattr(result, name)
    assert result.families["ipv6"]["answered"] == result.families["ipv6"]["sent"]      # nothing is lost here


def test_two_passes_over_both_families_write_no_row_twice(tmp_path: Path, seed: int) -> None:
    town = Town(seed)
    result, verdict = census(town, tmp_path, "46", seed, passes=2, depth="standard")
    assert (verdict.precision, verdict.doubled_rows) == (1.0, 0)
    assert result.found == verdict.found
    assert result.found_twice > 0.9 * result.found




def test_rate_is_shared_by_both_families(tmp_path: Path, seed: int) -> None:
    town = Town(seed)
    result, verdict = census(town, tmp_path, "46", seed, rate=100.0, depth="standard")
    assert verdict.recall > 0.95
    assert result.sent / result.elapsed_s <= 1.05 * 100
    assert result.sent / result.elapsed_s >= 0.6 * 100
