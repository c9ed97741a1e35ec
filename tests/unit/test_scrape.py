"""Scraping a swarm (BEP 33): filters instead of peers, and when a full swarm gives no token."""
from __future__ import annotations

from typing import Any

import pytest

from fastdht._ext import krpc
from fastdht._ext.filters import Filter
from fastdht._ext.peers import PeerStore
from fastdht.config import PeersConfig, ThrottleConfig
from fastdht.testing import builders
from fastdht.types import Contact, Endpoint
from tests.unit.core_kit import ASKER, Kit

MINUTE = 60_000_000
TORRENT = bytes(builders.info_hash(3))
POLITE = 1024


def open_kit(**settings: Any) -> Kit:
    return Kit(throttle=ThrottleConfig.off(), **settings)


def announce(kit: Kit, number: int, *, seed: bool = False, port: int = 7000, ip: str | None = None,
             is_ipv6: bool = False) -> dict[str, Any]:
    peer = builders.contact(number, is_ipv6=is_ipv6)
    if ip is not None:
        peer = Contact(peer.id, Endpoint(ip, 6881))
    [given] = kit.send(builders.query("get_peers", peer.id, target=TORRENT), peer.endpoint)
    if "token" in given:
        kit.send(krpc.build_query("announce_peer", id=bytes(peer.id), tid=5, target=TORRENT, token=given["token"], port=port,
                                  seed=seed), peer.endpoint)
    return given


def scrape(kit: Kit, asker: Contact = ASKER, **arguments: Any) -> dict[str, Any]:
    [answer] = kit.send(question(asker, **arguments), asker.endpoint)
    return answer


def question(asker: Contact, **arguments: Any) -> bytes:
    return krpc.build_query("get_peers", id=bytes(asker.id), tid=5, target=TORRENT, scrape=True, **arguments)


def filter_of(*ips: bytes) -> bytes:
    made = Filter()
    for ip in ips:
        made.add(ip)
    return bytes(made)


def address(number: int, *, is_ipv6: bool = False) -> bytes:
    return builders.contact(number, is_ipv6=is_ipv6).endpoint.pack()[:-2]


def test_scrape_when_nobody_announced_then_an_answer_without_filters() -> None:
    answer = scrape(open_kit())
    assert "seed_filter" not in answer and "peer_filter" not in answer
    assert "token" in answer


@pytest.mark.parametrize("is_ipv6", [False, True])
def test_scrape_when_peers_are_stored_then_the_filters_of_their_addresses(is_ipv6: bool) -> None:
    kit = open_kit(family=6 if is_ipv6 else 4)
    for number in range(10, 25):
        announce(kit, number, seed=number < 15, is_ipv6=is_ipv6)
    for _ in range(2):      # the second time from the bits that the first one kept
        answer = scrape(kit, builders.contact(1, is_ipv6=is_ipv6))
        assert answer["seed_filter"] == filter_of(*(address(number, is_ipv6=is_ipv6) for number in range(10, 15)))
        assert answer["peer_filter"] == filter_of(*(address(number, is_ipv6=is_ipv6) for number in range(15, 25)))
        assert "values" not in answer and "token" in answer


def test_scrape_when_one_address_has_two_ports_then_it_counts_once() -> None:
    kit = open_kit()
    announce(kit, 10, port=7000)
    announce(kit, 10, port=7001)
    assert scrape(kit)["peer_filter"] == filter_of(address(10))


def test_scrape_when_a_peer_becomes_a_seed_then_it_moves_to_the_other_filter() -> None:
    kit = open_kit()
    announce(kit, 10)
    assert scrape(kit)["peer_filter"] == filter_of(address(10))
    announce(kit, 10, seed=True)
    answer = scrape(kit)
    assert (answer["seed_filter"], answer["peer_filter"]) == (filter_of(address(10)), bytes(256))


def test_scrape_when_the_peers_have_expired_then_no_filters() -> None:
    store = PeerStore(4, secret=bytes(16), seed=1)
    store.announce(TORRENT, b"\x14\0\0\x01\x1a\xe1", False, 0)
    store.announce(TORRENT, b"\x15\0\0\x01\x1a\xe1", True, MINUTE)
    assert store.filters(TORRENT, 45 * MINUTE) == (filter_of(b"\x15\0\0\x01"), bytes(256))
    assert store.filters(TORRENT, 46 * MINUTE) is None


def test_get_peers_when_not_scraping_then_no_filters() -> None:
    kit = open_kit()
    announce(kit, 10)
    [answer] = kit.send(builders.query("get_peers", ASKER.id, target=TORRENT))
    assert "values" in answer and "seed_filter" not in answer


@pytest.mark.parametrize("is_ipv6", [False, True])
def test_scrape_when_both_families_are_wanted_then_the_reply_stays_within_1024_bytes(is_ipv6: bool) -> None:
    kit = open_kit(family=6 if is_ipv6 else 4)
    other = Kit(family=4 if is_ipv6 else 6)
    kit.core.set_sibling(other.core)
    kit.befriend(*builders.contacts(20, first=100, is_ipv6=is_ipv6))
    other.befriend(*builders.contacts(20, first=200, is_ipv6=not is_ipv6))
    announce(kit, 10, is_ipv6=is_ipv6)
    asker = builders.contact(1, is_ipv6=is_ipv6)
    kit.core.receive(question(asker, want=3), asker.endpoint.pack(), kit.now)
    [(datagram, _)] = kit.core.drain()
    assert len(datagram) <= POLITE
    answer = scrape(kit, asker, want=3)
    own, others = ("nodes6", "nodes") if is_ipv6 else ("nodes", "nodes6")
    assert len(answer[own]) == (8 * 38 if is_ipv6 else 8 * 26)
    assert len(answer[others]) % (26 if is_ipv6 else 38) == 0
    assert answer["peer_filter"] == filter_of(address(10, is_ipv6=is_ipv6))


def test_scrape_when_the_asker_is_unproved_then_filters_before_nodes_and_at_most_six_times_the_query() -> None:
    kit = Kit()
    kit.befriend(*builders.contacts(40, first=100))
    announce(kit, 10)
    stranger = builders.contact(5000)
    kit.core.receive(question(stranger), stranger.endpoint.pack(), kit.now)
    [(datagram, _)] = kit.core.drain()
    assert 600 < len(datagram) <= 6 * len(question(stranger))
    assert scrape(kit, builders.contact(5001))["peer_filter"] == filter_of(address(10))


def test_token_when_a_swarm_of_many_subnets_is_full_then_only_for_who_is_in_it() -> None:
    kit = open_kit(peers=PeersConfig(peers_per_info_hash=20))
    for number in range(20):
        assert "token" in announce(kit, number, ip=f"20.{number}.0.1")
    assert "token" not in announce(kit, 50, ip="99.0.0.1")
    assert "token" in announce(kit, 51, ip="20.7.0.1")
    kit.advance(46 * 60)
    assert "token" in announce(kit, 52, ip="99.0.0.1")      # they have expired


def test_token_when_one_subnet_crowds_a_full_swarm_then_it_makes_room() -> None:
    """Thirty addresses of two /24s hold a swarm that is full with 32; others still get in, at their cost."""
    kit = open_kit(peers=PeersConfig(peers_per_info_hash=32))
    for number in range(16):
        announce(kit, number, ip=f"20.0.0.{number + 1}")
        announce(kit, number, ip=f"20.0.1.{number + 1}")
    tokens = sum("token" in announce(kit, number, ip=f"40.{number}.0.1") for number in range(10))
    assert tokens == 10


def test_token_when_one_address_announced_600_ports_then_others_still_get_theirs() -> None:
    kit = open_kit()
    for port in range(1000, 1600):
        announce(kit, 10, port=port)
    assert all("token" in announce(kit, number) for number in range(100, 200))
    [answer] = kit.send(builders.query("get_peers", ASKER.id, target=TORRENT))
    held = [peer for peer in answer["values"] if peer[:4] == address(10)]
    assert len(held) <= 2
