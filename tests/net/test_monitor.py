"""A monitor over real UDP on loopback: nodes of a virtual network, and nodes that are taken away."""
from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from fastdht import Node
from fastdht.crawl.monitor.cohort import Sampler, read_candidates
from fastdht.crawl.monitor.job import Job, begin, go_on
from fastdht.crawl.monitor.run import Monitor
from fastdht.crawl.monitor.settings import Member, MonitorConfig, choose_members
from fastdht.crawl.monitor.store import read_cohort, read_rows
from fastdht.errors import ConfigError
from fastdht.testing.swarm import Swarm
from fastdht.types import Endpoint


def settings(network: Swarm | None = None, **changes: Any) -> MonitorConfig:
    values: dict[str, Any] = {
        "bootstrap": tuple(network.bootstrap) if network is not None else (), "allow_net": ("127.0.0.0/8",),
        "every_s": 2.0, "duration_s": 6.0, "timeout_s": 0.4, "per_ip_rate": 0.0, "seed": 3, "follow": 0}
    return MonitorConfig(**{**values, **changes})


def members_of(network: Swarm, first: int, count: int) -> list[Member]:
    return [Member(row.id, socket.inet_aton(row.ip) + row.port.to_bytes(2, "big"))
            for row in network.truth(first, count)]


def test_alive_and_dead_are_told_apart_and_asked_no_more_than_that() -> None:
    """Of the contacts of a hard network the first half are alive; the others never answer."""
    with Swarm(400, 31, profile="hard", loss=0.0) as network:
        members = members_of(network, 0, 300) + members_of(network, 400, 100)

        async def main() -> Any:
            return await Monitor(settings(network), members).run()

        result = asyncio.run(main())
        asked = list(network.asked())
    found = result.findings
    rounds = found["rounds_observed"]
    assert rounds >= 2
    assert (found["alive_at_start"], found["dead_at_start"], found["never_answered"]) == (300, 100, 100)
    assert found["availability"]["mean"] == pytest.approx(0.75)
    assert sum(asked) == result.sent
    assert max(asked[:300]) <= 2 * rounds and sum(asked[:300]) >= 300 * rounds
    assert set(asked[400:500]) == {2 * rounds}
    assert sum(asked[300:400]) == sum(asked[500:]) == 0


def test_peers_of_targets_are_those_announced() -> None:
    with Swarm(500, 32, torrents=3) as network:
        targets = tuple(network.torrent(number) for number in range(3))

        async def main() -> Any:
            return await Monitor(settings(network, targets=targets), members_of(network, 0, 100)).run()

        result = asyncio.run(main())
        for target in targets:
            series = result.findings["targets"][target.hex()]
            count = len(network.torrent_peers(target))
            assert (series["first"], series["last"], series["most"]) == (count, count, count)
            assert series["rounds"] >= 2


def test_fresh_sample_comes_from_the_network_and_is_spread_over_it(tmp_path: Path) -> None:
    with Swarm(2000, 33) as network:
        result = asyncio.run(begin(Job(settings(network, nodes=100, rate=0.0), folder=tmp_path / "out")))
        truth = {(row.id, socket.inet_aton(row.ip) + row.port.to_bytes(2, "big")) for row in network.truth()}
    cohort = read_cohort(tmp_path / "out")
    assert len(cohort) == 100 == result.findings["alive_at_start"]
    assert {tuple(member) for member in cohort} <= truth


def test_sampler_takes_all_there_is_where_there_is_little() -> None:
    with Swarm(60, 34) as network:
        found = asyncio.run(Sampler(settings(network, nodes=1000, rate=0.0)).run())
        assert {member.id for member in found} == {row.id for row in network.truth()}


def test_stopped_monitor_goes_on_in_its_directory(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with Swarm(200, 35) as network:
        asyncio.run(begin(Job(settings(network, nodes=50, rate=0.0, duration_s=4.0), folder=folder)))
        result = asyncio.run(go_on(folder, 8.0))
    assert result.complete
    rows = list(read_rows(folder, "visits", ("round", "ip", "port")))
    assert len({tuple(row.values()) for row in rows}) == len(rows)
    assert [row["round"] for row in read_rows(folder, "rounds", ("round",))] == list(range(4))
    assert result.findings["visits"] == len(rows) >= 100
    assert len(list(read_rows(folder, "sessions", ("id",)))) == result.findings["sessions_seen"]


def test_nodes_that_are_closed_have_gone() -> None:
    """Real nodes; ICMP tells at once that nobody listens any more."""
    async def main() -> Any:
        nodes = [Node(f"127.96.{number}.1:0", bootstrap=(), allow_net=["127.0.0.0/8"]) for number in range(12)]
        for node in nodes:
            await node.start()
        members = [Member(bytes(node.id), node.endpoints[0].pack()) for node in nodes]
        visited = asyncio.Event()
        monitor = Monitor(settings(duration_s=10.0, bind=Endpoint("127.0.0.1", 0)), members,
                          told=lambda number, counts: visited.set())
        running = asyncio.ensure_future(monitor.run())
        await visited.wait()
        for node in nodes[:2]:
            await node.close()
        result = await running
        for node in nodes[2:]:
            await node.close()
        return result, monitor

    result, monitor = asyncio.run(main())
    ended = {each.node for each in monitor.book.tracker.sessions if not each.right_censored}
    assert ended == {0, 1}
    assert result.findings["availability"]["last"] == pytest.approx(10 / 12, abs=1e-4)


def test_cohort_may_be_that_of_another_monitor(tmp_path: Path) -> None:
    with Swarm(300, 36) as network:
        config = settings(network, nodes=40, rate=0.0, duration_s=2.0)
        asyncio.run(begin(Job(config, folder=tmp_path / "one")))
        asyncio.run(begin(Job(config, cohort=tmp_path / "one", folder=tmp_path / "two")))
    assert set(read_cohort(tmp_path / "two")) == set(read_cohort(tmp_path / "one"))
    chosen, _ = choose_members(read_candidates(tmp_path / "one", config), config)
    assert set(chosen) == set(read_cohort(tmp_path / "one"))


def test_directory_without_a_monitor_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no monitor"):
        asyncio.run(go_on(tmp_path))
