"""Bulk look-ups of peers in a virtual network over real UDP on loopback, against its truth."""
from __future__ import annotations

import asyncio

import pytest

from fastdht.crawl.peers import BulkPeers, PeersConfig, PeersSummary
from fastdht.crawl.scrape import SwarmSize
from fastdht.errors import ConfigError
from fastdht.stats import LookupReport
from fastdht.testing.catalog import CROWD, CrowdTruth
from fastdht.testing.swarm import Swarm, host_order


def census_of(network: Swarm) -> list[tuple[bytes, bytes]]:
    return [(row.id, host_order((row.ip, 0))[0].to_bytes(4, "big") + row.port.to_bytes(2, "big"))
            for row in network.truth(0, network.nodes)]


def config_for(network: Swarm, **changes: object) -> PeersConfig:
    values: dict[str, object] = {"bootstrap": tuple(network.bootstrap), "allow_net": ("127.0.0.0/8",), "rate": 0.0,
                                 "per_ip_rate": 0.0, "timeout_s": 1.0, **changes}
    return PeersConfig(**values)     # type: ignore[arg-type]


def look_up(network: Swarm, *, with_census: bool, **changes: object) -> tuple[PeersSummary, float, int]:
    """The summary, the share of announced peers that was found, and how many were found that nobody announced."""
    found: dict[bytes, set[tuple[str, int]]] = {}

    def keep(info_hash: bytes, report: LookupReport) -> None:
        assert info_hash not in found
        found[info_hash] = {(peer.ip, peer.port) for peer in report.values}

    run = BulkPeers(config_for(network, **changes), keep, census_of(network) if with_census else None)
    hashes = [network.torrent(number) for number in range(network.torrents)]
    summary = asyncio.run(run.run(hashes))
    assert set(found) == set(hashes)
    announced = {each: set(network.torrent_peers(each)) for each in hashes}
    right = sum(len(announced[each] & found[each]) for each in hashes)
    return (summary, right / sum(map(len, announced.values())),
            sum(len(found[each] - announced[each]) for each in hashes))


def test_after_a_census_few_messages_find_all_announced_peers() -> None:
    with Swarm(5000, 3, profile="hard", torrents=1500) as network:
        summary, recall, false = look_up(network, with_census=True)
        assert network.counters()["received"] == summary.sent
    assert summary.complete
    assert recall >= 0.99
    assert false == 0
    assert summary.msgs_per_hash <= 12


def test_without_a_census_neighbours_lead_to_each_other() -> None:
    with Swarm(5000, 4, profile="hard", torrents=400) as network:
        summary, recall, false = look_up(network, with_census=False)
    assert recall >= 0.99
    assert false == 0
    assert summary.msgs_per_hash <= 40


def test_look_ups_at_a_rate_keep_it() -> None:
    with Swarm(1000, 5, torrents=100) as network:
        summary, recall, _ = look_up(network, with_census=True, rate=1000.0)
    assert recall == 1.0
    assert summary.sent / summary.elapsed_s <= 1050


def test_nobody_to_ask_is_refused() -> None:
    run = BulkPeers(PeersConfig(bootstrap=()), lambda info_hash, report: None, [])
    with pytest.raises(ConfigError, match="nobody to ask"):
        asyncio.run(run.run([bytes(20)]))


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"rate": -1.0}, {"max_queries": 9}, {"timeout_s": 0.0}])
def test_settings_outside_their_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        PeersConfig(bootstrap=("127.0.0.1:9",), **wrong)     # type: ignore[arg-type]


def scrape(network: Swarm) -> dict[bytes, SwarmSize]:
    sizes: dict[bytes, SwarmSize] = {}

    def keep(info_hash: bytes, report: LookupReport, size: SwarmSize) -> None:
        assert report.value_count == 0 or size.filters < report.responses
        sizes[info_hash] = size

    run = BulkPeers(config_for(network), census=census_of(network), scraped=keep)
    summary = asyncio.run(run.run([network.torrent(number) for number in range(network.torrents)]))
    assert summary.complete and summary.infohashes == len(sizes) == network.torrents
    return sizes


def truth_of(network: Swarm, info_hash: bytes) -> CrowdTruth:
    assert network.crowds is not None
    return CrowdTruth(*CROWD.unpack(network.crowds.record(info_hash)))


@pytest.mark.parametrize("full", [0.0, 0.1], ids=["honest", "one in ten lies"])
def test_counts_of_a_scrape_lie_within_their_bounds(full: float) -> None:
    with Swarm(3000, 6, profile="hard", torrents=300, largest_swarm=5000, full_filters=full) as network:
        sizes = scrape(network)
    held = 0
    for info_hash, size in sizes.items():
        truth = truth_of(network, info_hash)
        held += size.seeds.low <= truth.seeds <= size.seeds.high
        held += size.downloaders.low <= truth.others <= size.downloaders.high
    # 95 % of 600; the deviation is 5.3, or more as two counts of one infohash share its nodes: four below.
    assert held >= 546


def test_scrape_of_an_unknown_infohash_counts_nobody() -> None:
    with Swarm(1000, 7, torrents=1, largest_swarm=50) as network:
        sizes: list[SwarmSize] = []
        run = BulkPeers(config_for(network), census=census_of(network), scraped=lambda _, __, size: sizes.append(size))
        summary = asyncio.run(run.run([b"\x01" * 20]))
    [size] = sizes
    assert size.is_empty and size.filters == 0 and (size.seeds.high, size.downloaders.high) == (0, 0)
    assert (summary.with_peers, summary.peers, summary.seeds) == (0, 0, 0)


def test_eight_of_a_census_are_asked_where_all_answer() -> None:
    with Swarm(2000, 8, torrents=100) as network:
        summary, recall, _ = look_up(network, with_census=True)
        assert max(network.asked()) <= 100
    assert (summary.msgs_per_hash, recall) == (8.0, 1.0)
