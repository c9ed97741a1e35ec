"""Announced peers as bytes: what comes back after a restart, and that no damaged dump gets in."""
from __future__ import annotations

import struct
from random import Random

import pytest

from fastdht._ext.peers import PeerStore
from fastdht._ext.peers_dump import dump_peers, load_peers
from tests.unit.core_kit import Kit

SECOND = 1_000_000
TTL = 2_700 * SECOND
Record = tuple[bytes, bool, int]


def make_store(family: int = 4, **options: int) -> PeerStore:
    return PeerStore(family, **{"secret": bytes(16), "seed": 1, **options})     # type: ignore[arg-type]


def filled(family: int, seed: int, *, swarms: int = 40, at: int = 0) -> PeerStore:
    rng = Random(seed)
    store = make_store(family)
    for _ in range(swarms):
        info_hash = rng.randbytes(20)
        for _ in range(rng.randrange(1, 40)):
            store.announce(info_hash, rng.randbytes(6 if family == 4 else 18), rng.random() < 0.3,
                           at + rng.randrange(1000) * SECOND)
    return store


def records(store: PeerStore) -> dict[bytes, list[Record]]:
    return {info_hash: sorted(store.peers_of(info_hash)) for info_hash in store.info_hashes()}


@pytest.mark.parametrize("family", [4, 6])
def test_dump_of_one_peer_is_laid_out_as_documented(family: int) -> None:
    store = make_store(family)
    packed = bytes(range(100, 106 if family == 4 else 118))
    store.announce(b"i" * 20, packed, True, 5 * SECOND)
    expected = struct.pack(">4sBBI20sH", b"FDPS", 1, family, 1, b"i" * 20, 1) + packed + struct.pack(">BI", 1, 7)
    assert dump_peers(store, 12 * SECOND) == expected


@pytest.mark.parametrize("family", [4, 6])
def test_load_of_a_dump_restores_every_peer_with_its_age(family: int, seed: int) -> None:
    old = filled(family, seed)
    now, later = 1000 * SECOND, 77 * SECOND
    new = make_store(family)
    assert load_peers(new, dump_peers(old, now), later) == old.peer_count
    moved = {info_hash: sorted((packed, is_seed, seen - now + later) for packed, is_seed, seen in listed)
             for info_hash, listed in records(old).items()}
    assert records(new) == moved
    new.check_invariants()


def test_load_after_a_while_away_leaves_out_what_has_expired_since() -> None:
    old = make_store()
    old.announce(b"i" * 20, b"\x14\0\0\x01\x1a\xe1", False, 0)
    old.announce(b"i" * 20, b"\x15\0\0\x01\x1a\xe1", False, 600 * SECOND)
    new = make_store()
    data = dump_peers(old, 600 * SECOND)
    assert load_peers(new, data, 0, TTL - 600 * SECOND) == 1
    assert new.peers_of(b"i" * 20) == [(b"\x15\0\0\x01\x1a\xe1", False, 600 * SECOND - TTL)]
    assert load_peers(make_store(), data, 0, TTL) == 0


def test_dump_leaves_out_expired_peers_and_swarms_without_others() -> None:
    store = make_store()
    store.announce(b"i" * 20, b"\x14\0\0\x01\x1a\xe1", False, 0)
    store.announce(b"j" * 20, b"\x14\0\0\x01\x1a\xe1", False, 1)
    store.announce(b"j" * 20, b"\x15\0\0\x01\x1a\xe1", False, 0)
    data = dump_peers(store, TTL)
    assert b"i" * 20 not in data and struct.unpack(">I", data[6:10]) == (1,)
    assert len(data) == 10 + 22 + 11
    assert dump_peers(store, 2 * TTL) == struct.pack(">4sBBI", b"FDPS", 1, 4, 0)


def test_load_into_a_store_in_use_keeps_the_later_announce() -> None:
    old, new = make_store(), make_store()
    old.announce(b"i" * 20, b"\x14\0\0\x01\x1a\xe1", False, 0)
    new.announce(b"i" * 20, b"\x14\0\0\x01\x1a\xe1", True, 50 * SECOND)
    assert load_peers(new, dump_peers(old, 10 * SECOND), 60 * SECOND) == 0
    assert new.peers_of(b"i" * 20) == [(b"\x14\0\0\x01\x1a\xe1", True, 50 * SECOND)]


def test_load_into_a_smaller_store_keeps_its_bounds(seed: int) -> None:
    new = make_store(max_info_hashes=7, max_peers=50, peers_per_info_hash=10)
    load_peers(new, dump_peers(filled(4, seed), 1000 * SECOND), 1000 * SECOND)
    assert new.info_hash_count <= 7 and new.peer_count <= 50
    new.check_invariants()


def test_load_of_another_family_raises() -> None:
    with pytest.raises(ValueError, match="family 6"):
        load_peers(make_store(), dump_peers(make_store(6), 0), 0)


def test_load_of_a_later_version_raises() -> None:
    with pytest.raises(ValueError, match="version 2"):
        load_peers(make_store(), b"FDPS\x02\x04\0\0\0\0", 0)


def test_load_of_damaged_bytes_raises_and_adds_nothing_or_stays_within_the_rules(seed: int) -> None:
    rng = Random(seed)
    data = dump_peers(filled(4, seed, swarms=3), 1000 * SECOND)
    for size in range(len(data)):
        with pytest.raises(ValueError):
            load_peers(make_store(), data[:size], 0)
    with pytest.raises(ValueError):
        load_peers(make_store(), data + b"\0", 0)
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        store = make_store(max_info_hashes=4, max_peers=100)
        try:
            load_peers(store, bytes(damaged), rng.randrange(10**12))
        except ValueError:
            assert store.peer_count == 0
        store.check_invariants()


def test_core_dumps_and_loads_its_peers() -> None:
    old, new = Kit(), Kit()
    new.core.load_peers(dump_peers(filled(4, 1), 1000 * SECOND), new.now)
    data = new.core.dump_peers(new.now)
    assert old.core.load_peers(data, old.now, 5 * SECOND) == filled(4, 1).peer_count
    old.core.check_invariants()
