"""The peer store: who is kept when it is full, what is given out, and that a single source cannot take it over."""
from __future__ import annotations

import random
from collections import Counter

import pytest

from fastdht._ext.peers import PeerStore

SECOND = 1_000_000
MINUTE = 60 * SECOND
TORRENT = bytes(range(20))


def make_store(family: int = 4, **options: int) -> PeerStore:
    return PeerStore(family, **{"secret": bytes(16), "seed": 1, **options})     # type: ignore[arg-type]


def peer(number: int, port: int = 6881) -> bytes:
    """Each number its own /24."""
    return bytes([20 + (number >> 16), (number >> 8) & 255, number & 255, 1]) + port.to_bytes(2, "big")


def info_hash(number: int) -> bytes:
    return number.to_bytes(20, "big")


def packed_peers(store: PeerStore, torrent: bytes = TORRENT) -> set[bytes]:
    return {packed for packed, _, _ in store.peers_of(torrent)}


def test_values_are_bencoded_strings_as_in_bep_5() -> None:
    store = make_store()
    store.announce(TORRENT, b"axje.u", False, 0)
    assert store.values(TORRENT, 50, 0) == b"6:axje.u"


def test_values_over_ipv6_are_18_bytes_long_as_in_bep_32() -> None:
    store = make_store(family=6)
    store.announce(TORRENT, b"0123456789abcdefPP", False, 0)
    assert store.values(TORRENT, 50, 0) == b"18:0123456789abcdefPP"


def test_peer_expires_45_minutes_after_its_last_announce() -> None:
    store = make_store()
    store.announce(TORRENT, peer(1), False, 0)
    store.announce(TORRENT, peer(1), False, 10 * MINUTE)
    assert store.values(TORRENT, 1, 55 * MINUTE - 1) != b""
    assert store.values(TORRENT, 1, 55 * MINUTE) == b""
    assert store.reclaim(55 * MINUTE, 100) == 1
    assert (store.peer_count, store.info_hash_count) == (0, 0)


def test_noseed_leaves_seeds_out_and_the_flag_follows_the_last_announce() -> None:
    store = make_store()
    store.announce(TORRENT, peer(1), True, 0)
    store.announce(TORRENT, peer(2), False, 0)
    assert store.values(TORRENT, 9, 0, noseed=True) == b"6:" + peer(2)
    store.announce(TORRENT, peer(1), False, 1)
    assert len(store.values(TORRENT, 9, 1, noseed=True)) == 16


def test_values_of_a_large_swarm_give_every_peer_about_equally_often() -> None:
    store = make_store()
    for i in range(500):
        store.announce(TORRENT, peer(i), False, i)
    counts: Counter[bytes] = Counter()
    for seed in range(2000):
        values = store.values(TORRENT, 50, 500, seed=seed)
        counts.update(values[at + 2 : at + 8] for at in range(0, len(values), 8))
    assert len(counts) == 500
    # Each draw takes a peer with probability 0.1: mean 200, standard deviation 13.4; six of them on either side.
    assert min(counts.values()) > 120
    assert max(counts.values()) < 280


def test_six_hundred_ports_of_one_ip_hold_two_places() -> None:
    store = make_store()
    for port in range(1, 601):
        store.announce(TORRENT, peer(1, port), False, port)
    assert packed_peers(store) == {peer(1, 599), peer(1, 600)}
    assert all(store.announce(TORRENT, peer(i), False, 700) for i in range(2, 300))


def test_a_24_holds_sixteen_places_in_a_swarm() -> None:
    store = make_store()
    for host in range(256):
        store.announce(TORRENT, bytes([20, 0, 0, host, 0, 9]), False, host)
    assert packed_peers(store) == {bytes([20, 0, 0, host, 0, 9]) for host in range(240, 256)}


def test_ten_thousand_announces_of_one_ip_reach_64_info_hashes_and_others_are_served() -> None:
    store = make_store()
    for i in range(10_000):
        store.announce(info_hash(i), peer(1), False, i)
    assert store.info_hash_count == 64
    assert store.refused == 10_000 - 64
    assert all(store.announce(info_hash(20_000 + i), peer(2 + i), False, 10_000 + i) for i in range(4000))


def test_a_24_reaches_256_info_hashes() -> None:
    store = make_store()
    for i in range(5000):
        store.announce(info_hash(i), bytes([20, 0, 0, i % 200, 0, 9]), False, i)
    assert store.info_hash_count == 256


def test_source_at_its_share_may_still_announce_where_it_is() -> None:
    store = make_store(info_hashes_per_ip=1)
    assert store.announce(info_hash(1), peer(1), False, 0)
    assert not store.announce(info_hash(2), peer(1), False, 1)
    assert store.announce(info_hash(1), peer(1, port=9), False, 2)


def test_share_is_returned_when_peers_expire() -> None:
    store = make_store(info_hashes_per_ip=1)
    store.announce(info_hash(1), peer(1), False, 0)
    store.reclaim(45 * MINUTE, 100)
    assert store.announce(info_hash(2), peer(1), False, 45 * MINUTE)


def test_full_swarm_gives_up_peers_of_its_most_crowded_subnet() -> None:
    store = make_store(peers_per_info_hash=100, peers_per_subnet=80)
    for i in range(40):
        store.announce(TORRENT, peer(i), False, i)
    for host in range(60):
        store.announce(TORRENT, bytes([99, 0, 0, host, 0, 9]), False, 40 + host)
    for i in range(30):
        assert store.announce(TORRENT, peer(1000 + i), False, 100 + i)
    kept = packed_peers(store)
    assert len(kept) == 100
    assert {peer(i) for i in range(40)} | {peer(1000 + i) for i in range(30)} <= kept


def test_full_swarm_gives_up_an_expired_peer_first() -> None:
    store = make_store(peers_per_info_hash=3)
    for i, now_us in enumerate((0, 30 * MINUTE, 31 * MINUTE)):
        store.announce(TORRENT, peer(i), False, now_us)
    store.announce(TORRENT, peer(9), False, 46 * MINUTE)
    assert packed_peers(store) == {peer(1), peer(2), peer(9)}


def test_store_full_of_info_hashes_gives_up_small_swarms() -> None:
    store = make_store(max_info_hashes=64)
    for i in range(64):
        for j in range(10 if i < 32 else 1):
            store.announce(info_hash(i), peer(100 * i + j), False, i)
    for i in range(1000):
        assert store.announce(info_hash(1000 + i), peer(100_000 + i), False, 100 + i)
    # A sample of 16 meets only large swarms once in 65,000 times.
    assert set(map(info_hash, range(32))) <= set(store.info_hashes())
    assert store.info_hash_count == 64
    store.check_invariants()


def test_store_full_of_equal_swarms_keeps_those_near_our_id() -> None:
    store = PeerStore(4, max_info_hashes=64, secret=bytes(16), seed=1, own_id=bytes(20))
    near = [bytes(4) + bytes([i]) * 16 for i in range(1, 9)]
    for i, torrent in enumerate(near):
        store.announce(torrent, peer(i), False, i)
    for i in range(2000):
        store.announce(b"\xff" + info_hash(i)[1:], peer(100 + i), False, 100 + i)
    assert set(near) <= set(store.info_hashes())


def test_store_full_of_peers_still_takes_every_announce() -> None:
    store = make_store(max_peers=50)
    for i in range(2000):
        assert store.announce(info_hash(i % 7), peer(i), False, i)
        assert peer(i) in packed_peers(store, info_hash(i % 7))
    assert store.peer_count == 50
    store.check_invariants()


def test_store_of_one_peer_and_one_info_hash_still_turns_over() -> None:
    store = make_store(max_peers=1, max_info_hashes=1, peers_per_info_hash=1)
    for i in range(20):
        assert store.announce(info_hash(i // 2), peer(i), False, i)
    assert packed_peers(store, info_hash(9)) == {peer(19)}
    store.check_invariants()


def test_random_torrents_of_random_peers_over_days_never_exceed_a_bound() -> None:
    rng = random.Random(3)
    store = make_store(max_info_hashes=100, max_peers=500)
    for step in range(20_000):
        now_us = step * 10 * SECOND
        store.announce(info_hash(rng.randrange(300)), peer(rng.randrange(1 << 18)), False, now_us)
        store.reclaim(now_us, 20)
    store.check_invariants()
    newest = 20_000 * 10 * SECOND
    assert all(newest - seen < 2 * 45 * MINUTE for h in store.info_hashes() for _, _, seen in store.peers_of(h))


@pytest.mark.parametrize("options", [{"max_peers": 0}, {"peers_per_info_hash": 4097}, {"ports_per_ip": 0},
                                     {"ttl_us": 0}])
def test_store_given_values_outside_their_limits_names_them(options: dict[str, int]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        make_store(**options)


def test_store_given_malformed_arguments_raises() -> None:
    with pytest.raises(ValueError, match="family is 5"):
        make_store(family=5)
    with pytest.raises(ValueError, match="info_hash is 3 bytes; 20 needed"):
        make_store().announce(b"abc", peer(1), False, 0)
    with pytest.raises(ValueError, match="compact endpoint is 7 bytes"):
        make_store().announce(TORRENT, bytes(7), False, 0)
