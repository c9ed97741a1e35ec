"""Samples of info-hashes (BEP 51): what is shown, for how long, and that support shows even when nothing is held."""
from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fastdht._ext.peers import PeerStore
from fastdht._ext.peers_sample import InfoHashSample
from fastdht.config import CoreConfig, ThrottleConfig
from fastdht.errors import ConfigError
from fastdht.testing import builders
from fastdht.types import Contact
from tests.unit.core_kit import ASKER, Kit

SECOND = 1_000_000
TARGET = builders.node_id(77)
INTERVAL = 600
TTL = 45 * 60 * SECOND


def torrent(number: int) -> bytes:
    return number.to_bytes(20, "big")


def make(count: int, *, seed: int = 1, interval_s: int = INTERVAL) -> tuple[PeerStore, InfoHashSample]:
    store = PeerStore(4, secret=bytes(16), seed=1, info_hashes_per_ip=10_000, info_hashes_per_subnet=10_000)
    for number in range(count):
        store.announce(torrent(number), b"\x14\0\0\x01\x1a\xe1", False, 0)
    return store, InfoHashSample(store, interval_s, seed)


def ask(kit: Kit, asker: Contact = ASKER, **arguments: Any) -> dict[str, Any]:
    [answer] = kit.send(builders.query("sample_infohashes", asker.id, target=TARGET, **arguments), asker.endpoint)
    return answer


def announce(kit: Kit, number: int) -> None:
    peer = builders.contact(1000 + number)
    [given] = kit.send(builders.query("get_peers", peer.id, target=torrent(number)), peer.endpoint)
    kit.send(builders.query("announce_peer", peer.id, target=torrent(number), token=given["token"], port=1),
             peer.endpoint)


def test_sample_when_nothing_is_held_then_samples_is_there_and_empty() -> None:
    kit = Kit()
    kit.befriend(*builders.contacts(3, first=10))
    answer = ask(kit)
    assert (answer["samples"], answer["num"], answer["interval"]) == (b"", 0, 21_600)
    assert len(answer["nodes"]) == 3 * 26


def test_sample_when_few_are_held_then_all_of_them_at_once() -> None:
    kit = Kit(throttle=ThrottleConfig.off(), sample_interval_s=INTERVAL)
    for number in range(20):
        announce(kit, number)
        answer = ask(kit)
        samples = answer["samples"]
        assert {samples[i:i + 20] for i in range(0, len(samples), 20)} == {torrent(n) for n in range(number + 1)}
        assert (answer["num"], answer["interval"]) == (number + 1, INTERVAL)


def test_sample_when_many_are_held_then_twenty_that_stay_for_the_interval() -> None:
    store, sample = make(500)
    left, first = sample.take(20, 0)
    assert (left, len(set(first))) == (INTERVAL, 20)
    assert set(first) <= set(store.info_hashes())
    assert sample.take(20, (INTERVAL - 1) * SECOND) == (1, first)
    left, second = sample.take(20, INTERVAL * SECOND)
    assert left == INTERVAL and set(second) != set(first)


def test_sample_when_redrawn_often_then_shows_every_info_hash_as_often() -> None:
    _, sample = make(100, interval_s=1)
    shown = Counter(info_hash for second in range(2000) for info_hash in sample.take(20, second * SECOND)[1])
    assert sum(shown.values()) == 40_000
    # Each is shown 400 times on average, with a deviation of 17.9: the bounds are five of them.
    assert len(shown) == 100 and min(shown.values()) > 310 and max(shown.values()) < 490


def test_sample_when_one_of_it_expires_then_another_takes_its_place() -> None:
    store, sample = make(100, interval_s=21_600)
    _, first = sample.take(20, 0)
    for number in range(100):
        if torrent(number) != first[3]:
            store.announce(torrent(number), b"\x14\0\0\x01\x1a\xe1", False, 10 * SECOND)
    store.reclaim(TTL, 1000)
    _, second = sample.take(20, TTL)
    assert second[:3] + second[4:] == first[:3] + first[4:]
    assert second[3] != first[3] and second[3] not in first


def test_sample_when_all_have_expired_then_empty() -> None:
    _, sample = make(100)
    assert sample.take(20, 0)[1]
    assert sample.take(20, TTL)[1] == []


def test_sample_when_many_become_few_then_all_are_shown_again() -> None:
    store, sample = make(40)
    sample.take(20, 0)
    for number in range(5):
        store.announce(torrent(number), b"\x14\0\0\x01\x1a\xe1", False, 10 * SECOND)
    store.reclaim(TTL, 1000)
    assert set(sample.take(20, TTL)[1]) == {torrent(number) for number in range(5)}


@pytest.mark.parametrize("limit", [0, 1, 7, 20])
def test_sample_when_limited_then_no_more(limit: int) -> None:
    assert len(make(500)[1].take(limit, 0)[1]) == limit
    assert len(make(20)[1].take(limit, 0)[1]) == limit


def test_sample_when_the_asker_is_unproved_then_fewer_and_at_most_six_times_the_query() -> None:
    kit = Kit(throttle=ThrottleConfig(per_ip_rate=1e6, per_ip_burst=10**6))
    kit.befriend(*builders.contacts(40, first=100))
    for number in range(30):
        announce(kit, number)
        kit.now += SECOND
    stranger = builders.contact(5000)
    question = builders.query("sample_infohashes", stranger.id, target=TARGET)
    kit.core.receive(question, stranger.endpoint.pack(), kit.now)
    [(datagram, _)] = kit.core.drain()
    assert len(datagram) <= 6 * len(question)
    assert 5 * 20 <= len(ask(kit, builders.contact(5001))["samples"]) < 20 * 20


def test_sample_when_the_target_is_missing_then_203() -> None:
    [answer] = Kit().send(b"d1:ad2:id20:abcdefghij0123456789e1:q17:sample_infohashes1:t2:aa1:v32:" + bytes(32) + b"1:y1:qe")
    assert answer["error_code"] == 203


@pytest.mark.parametrize("interval", [-1, 21_601])
def test_interval_outside_the_beps_bounds_raises(interval: int) -> None:
    with pytest.raises(ConfigError, match="0 to 21600"):
        CoreConfig(sample_interval_s=interval)
    with pytest.raises(ValueError, match="0 to 21600"):
        make(1, interval_s=interval)
