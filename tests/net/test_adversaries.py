"""Crawls among adversaries over real UDP on loopback: nothing false is listed, and nobody honest is lost to them."""
from __future__ import annotations

import asyncio
import ipaddress
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastdht.crawl import Crawl, CrawlConfig, CrawlResult
from fastdht.crawl.sinks import DirectorySink
from fastdht.crawl.verify import Verdict, verify
from fastdht.engine.traffic import SENT, watched
from fastdht.testing.swarm import LIARS, Swarm
from fastdht.testing.truth import ANSWERS, KINDS, REACHABLE, RECORD, Truth

NODES, CROWD = 1500, 150
UNREADABLE = {"deep"}         # beyond what a decoder should follow
NET = ipaddress.IPv4Network("127.0.0.0/8")


@dataclass
class Census:
    """A census and what became of it."""

    result: CrawlResult
    verdict: Verdict
    asked: Counter[bytes]           # compact endpoints that a datagram was sent to
    by_kind: dict[str, int]         # datagrams that reached the contacts of each kind
    counters: dict[str, int]
    found: set[str]                 # ip:port


def crawl(network: Swarm, folder: Path, **changes: object) -> Census:
    """A census of standard depth; every datagram sent is looked at."""
    asked: Counter[bytes] = Counter()

    def look(direction: bool, _data: bytes, endpoint: bytes) -> None:
        if direction is SENT:
            asked[endpoint] += 1

    values: dict[str, object] = {"allow_net": (str(NET),), "rate": 0.0, "per_ip_rate": 0.0, "timeout_s": 0.5,
                                 "seed": 7, "max_contacts": 100_000}
    with network:
        config = CrawlConfig(**{**values, "bootstrap": tuple(network.bootstrap), **changes})   # type: ignore[arg-type]
        result = asyncio.run(Crawl(config, DirectorySink(folder, "jsonl"), transport=watched(look)).run())
        (folder / "summary.json").write_text(json.dumps(result.as_dict()))
    truth = Truth(network.nodes, network.seed, network.truth_records(0, network.contacts))
    sessions = network.sessions()
    always, partly = sessions.split(truth) if sessions is not None else (truth.keys(REACHABLE), set())
    rows = [json.loads(line) for path in folder.glob("parts/nodes/*.jsonl") for line in path.read_text().splitlines()]
    return Census(result, verify(folder, always, truth.keys(ANSWERS), partly), asked, network.asked_by_kind(),
                  network.counters(), {f"{row['ip']}:{row['port']}" for row in rows})


@pytest.mark.parametrize("kind", LIARS)
def test_census_among_one_kind_of_liar_finds_every_honest_node_and_lists_no_impostor(tmp_path: Path, kind: str) -> None:
    network = Swarm(NODES, 21, adversaries={kind: CROWD}, ids_per_ip=20, infohashes=9000)
    census = crawl(network, tmp_path)
    assert census.verdict.precision == 1.0
    assert census.verdict.recall >= 1 - 1 / NODES       # a datagram may be lost when this machine is busy
    assert census.verdict.doubled_rows == 0
    assert census.by_kind[kind] > 0
    assert census.result.sent <= 3 * (NODES + CROWD)
    crowd = [row for row in network.truth() if row.kind == kind]
    listed = sum(f"{row.ip}:{row.port}" in census.found for row in crowd)
    if kind in UNREADABLE or not crowd[0].answers:
        assert listed == 0
    else:
        assert listed > 0.9 * CROWD


def test_census_of_a_hard_network_with_all_kinds_finds_as_many_as_without(tmp_path: Path) -> None:
    recalls = []
    for share in (0, 0.1):
        census = crawl(Swarm(4000, 23, profile="hard", adversaries=share, ids_per_ip=20), tmp_path / str(share))
        assert census.verdict.precision == 1.0
        recalls.append(census.verdict.recall)
    print("recall without and with adversaries:", recalls)
    assert recalls[1] >= recalls[0] - 0.012             # four standard deviations of what 4,000 nodes show


def test_census_among_all_kinds_sends_nothing_to_port_zero_or_beyond_the_net(tmp_path: Path) -> None:
    census = crawl(Swarm(2000, 24, adversaries={"bogons": 200, "invented-id": 50, "many-nodes": 20}), tmp_path)
    assert census.result.filtered["port_zero"] > 0
    assert census.result.filtered["bogon"] > 0
    assert census.counters["strays"] == 0
    for endpoint in census.asked:
        assert ipaddress.IPv4Address(endpoint[:4]) in NET
        assert endpoint[4:] != b"\0\0"
    assert sum(census.asked.values()) == census.result.sent


def test_census_with_pace_keeps_it_at_an_address_with_many_ids(tmp_path: Path) -> None:
    network = Swarm(500, 25, adversaries={"many-ids": 40}, ids_per_ip=40)
    census = crawl(network, tmp_path, per_ip_rate=20.0, per_ip_burst=4)
    assert census.verdict.precision == 1.0
    crowded = next(row.ip for row in network.truth() if row.kind == "many-ids")
    sent = sum(count for endpoint, count in census.asked.items()
               if str(ipaddress.IPv4Address(endpoint[:4])) == crowded)
    assert 0 < sent <= 4 + 20 * census.result.elapsed_s


def test_census_of_nodes_that_answer_once_loses_only_what_their_second_answers_would_name(tmp_path: Path) -> None:
    census = crawl(Swarm(NODES, 26, node_limit=1), tmp_path)
    assert census.verdict.precision == 1.0
    assert census.verdict.recall > 0.98
    assert census.counters["muted"] > 0.9 * NODES       # the second question: the node's own id


def test_census_of_nodes_that_answer_twice_mutes_nobody(tmp_path: Path) -> None:
    census = crawl(Swarm(NODES, 26, node_limit=2), tmp_path)
    assert census.verdict.recall == 1.0
    assert census.counters["muted"] == 0


def test_census_among_nodes_that_come_and_go_finds_who_stays(tmp_path: Path) -> None:
    census = crawl(Swarm(3000, 27, churn=0.4, session_s=60), tmp_path)
    print(census.verdict)
    assert census.verdict.precision == 1.0
    assert census.verdict.recall > 0.99
    assert census.verdict.reachable + census.verdict.part_time < 3000 - 100
    assert census.counters["to_away"] > 100


def test_census_lists_who_was_there_for_a_part_and_says_how_many(tmp_path: Path) -> None:
    census = crawl(Swarm(2000, 28, churn=1.0, session_s=1), tmp_path, rate=2000.0)
    assert census.verdict.precision == 1.0
    assert census.verdict.part_time > 200
    assert 0 < census.verdict.part_time_found < census.verdict.part_time


def test_kinds_of_the_truth_are_those_that_can_be_asked_for() -> None:
    network = Swarm(100, 29, adversaries=1.0)
    kinds = {KINDS[network.truth_records(i, 1)[RECORD.size - 1]] for i in range(network.contacts)}
    assert kinds == {"honest", *LIARS}
