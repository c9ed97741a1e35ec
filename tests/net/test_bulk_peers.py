"""Bulk look-ups of peers in a virtual network over real UDP on loopback, against its truth."""
from __future__ import annotations

import asyncio
import random

import pytest

from fastdht.crawl.peers import BulkPeers, NodeCache, PeersConfig, PeersSummary
from fastdht.errors import ConfigError
from fastdht.stats import LookupReport
from fastdht.testing.swarm import Swarm, host_order


def look_up(network: Swarm, *, with_census: bool, **changes: object) -> tuple[PeersSummary, float, int]:
    """The summary, the share of announced peers that was found, and how many were found that nobody announced."""
    found: dict[bytes, set[tuple[str, int]]] = {}

    def keep(info_hash: bytes, report: LookupReport) -> None:
        assert info_hash not in found
        found[info_hash] = {(peer.ip, peer.port) for peer in report.values}

    census = [(row.id, host_order((row.ip, 0))[0].to_bytes(4, "big") + row.port.to_bytes(2, "big"))
              for row in network.truth(0, network.nodes)] if with_census else None
    values: dict[str, object] = {"bootstrap": tuple(network.bootstrap), "allow_net": ("127.0.0.0/8",), "rate": 0.0,
                                 "per_ip_rate": 0.0, "timeout_s": 1.0, **changes}
    run = BulkPeers(PeersConfig(**values), keep, census)     # type: ignore[arg-type]
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


@pytest.mark.parametrize("seed", range(5))
def test_closest_of_the_cache_are_those_of_a_full_sort(seed: int) -> None:
    rng = random.Random(seed)
    nodes = [((b"\x77" if rng.random() < 0.3 else b"") + rng.randbytes(20), rng.randbytes(6)) for _ in range(700)]
    cache = NodeCache(1000)
    for node_id, endpoint in nodes[350:]:
        cache.add(node_id[:20], endpoint)
    for _ in range(300):
        target = rng.choice([rng.randbytes(20), b"\x77" + rng.randbytes(19)])
        ranked = sorted(nodes, key=lambda node: int.from_bytes(node[0][:20], "big") ^ int.from_bytes(target, "big"))
        assert cache.closest(target, 10) == [endpoint for _, endpoint in ranked[:10]]


def test_cache_forgets_what_is_farthest_from_the_newest() -> None:
    cache = NodeCache(limit=50)
    for number in range(200):
        cache.add(bytes([number]) + bytes(19), number.to_bytes(6, "big"))
    assert len(cache) == 50
    assert cache.closest(bytes([199]) + bytes(19), 1) == [(199).to_bytes(6, "big")]
