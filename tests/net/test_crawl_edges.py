"""Who names whom: a census with edges over real UDP, against what the network's nodes would answer."""
from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from fastdht._ext import krpc
from fastdht.crawl import Crawl, CrawlConfig, CrawlResult, Zone
from fastdht.crawl.job import ZoneRun
from fastdht.crawl.layout import node_parts, parts_folder
from fastdht.crawl.merge import merge
from fastdht.crawl.packed import EDGES
from fastdht.crawl.plan import Plan
from fastdht.crawl.records import Progress
from fastdht.crawl.runner import begin, crawl_here, finish
from fastdht.crawl.sinks import DirectorySink
from fastdht.engine.traffic import SENT, watched
from fastdht.testing.swarm import Swarm

Edge = tuple[str, str]


class Witness:
    """Sees every datagram; knows from the network's own tables which edges the answers must have shown."""

    def __init__(self, network: Swarm) -> None:
        self._network = network
        self._targets: dict[tuple[bytes, bytes], bytes] = {}
        self.answered: list[tuple[bytes, bytes]] = []       # endpoint and target

    def look(self, direction: bool, data: bytes, endpoint: bytes) -> None:
        message = krpc.parse(data)
        if message is None:
            return
        if direction is SENT:
            self._targets[endpoint, message["tid"]] = message["target"]
        elif "id" in message:
            self.answered.append((endpoint, self._targets[endpoint, message["tid"]]))

    def edges(self, zone: Zone) -> Counter[Edge]:
        ids = {(row.ip, row.port): row.id for row in self._network.truth()}
        expected: Counter[Edge] = Counter()
        for endpoint, target in self.answered:
            ip, port = ".".join(map(str, endpoint[:4])), int.from_bytes(endpoint[4:], "big")
            if ids[ip, port] in zone:
                expected.update((ids[ip, port][:8].hex(), named[:8].hex())
                                for named, _, _ in self._network.answer(ip, target, port))
        return expected


def configure(network: Swarm, **changes: object) -> CrawlConfig:
    values: dict[str, object] = {"bootstrap": tuple(network.bootstrap), "allow_net": ("127.0.0.0/8",), "rate": 0.0,
                                 "per_ip_rate": 0.0, "timeout_s": 1.0, "seed": 7, "max_contacts": 100_000, "edges": True}
    return CrawlConfig(**{**values, **changes})     # type: ignore[arg-type]


def read(parts: list[Path]) -> Counter[Edge]:
    rows = [json.loads(line) for path in parts for line in path.read_text().splitlines()]
    assert all(list(row) == ["from_id", "to_id"] for row in rows)
    return Counter((row["from_id"], row["to_id"]) for row in rows)


@pytest.mark.parametrize("changes", [{}, {"depth": "exhaustive"}, {"zone": Zone(bytes([0x40]) + bytes(19), 2)}],
                         ids=["standard", "exhaustive", "zone"])
def test_edges_are_what_the_nodes_that_answered_say(tmp_path: Path, changes: dict[str, object]) -> None:
    with Swarm(800, 51, profile="easy") as network:
        witness = Witness(network)
        config = configure(network, **changes)
        result = asyncio.run(Crawl(config, edges=DirectorySink(tmp_path, "jsonl", table=EDGES),
                                   transport=watched(witness.look)).run())
        expected = witness.edges(config.zone)
    found = read(sorted(tmp_path.glob("parts/edges/*.jsonl")))
    assert found == expected
    assert len(found) > 1000
    assert (result.edges, result.edges_dropped) == (sum(found.values()), 0)


def test_census_without_edges_keeps_none() -> None:
    with Swarm(200, 52) as network:
        result = asyncio.run(Crawl(configure(network, edges=False)).run())
    assert (result.found, result.edges) == (200, 0)


def stop_at(plan: Plan, folder: Path, found: int) -> None:
    def watch(progress: Progress) -> None:
        if progress.found >= found:
            run.stop()

    run = ZoneRun(plan.config.zone, plan, folder, watch)
    asyncio.run(run.run())


def test_edges_of_a_crawl_that_went_on_are_all_there_and_merge_gives_each_once(tmp_path: Path) -> None:
    with Swarm(2000, 53) as network:
        plan = Plan(configure(network, rate=2000.0), "jsonl", checkpoint_s=0.2)
        note = begin(tmp_path / "crawl", plan, {})
        stop_at(plan, tmp_path / "crawl", 700)
        result: CrawlResult = asyncio.run(crawl_here(plan, tmp_path / "crawl", lambda _: None))
        finish(tmp_path / "crawl", note, result)
        ids = {row.id[:8].hex() for row in network.truth()}
        lonely = parts_folder(tmp_path / "crawl", Zone(), "edges") / "part-0-0.jsonl"
        lonely.write_text('{"from_id":"0","to_id":"0"}\n')      # of an attempt that does not count
    found = read(node_parts(tmp_path / "crawl", "edges"))
    assert result.complete
    assert {source for source, _ in found} == ids       # each of the clean network answered, before or after
    assert {target for _, target in found} <= ids
    assert result.edges <= sum(found.values()) < 1.1 * result.edges    # a stop may lose what it had counted, never rows
    merge([tmp_path / "crawl"], tmp_path / "all.sqlite")
    with sqlite3.connect(tmp_path / "all.sqlite") as database:
        rows = database.execute("SELECT from_id, to_id FROM edges").fetchall()
    assert len(rows) == len(set(rows))
    assert set(rows) == set(found)
    assert not lonely.exists()
