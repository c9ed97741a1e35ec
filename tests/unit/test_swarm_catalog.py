"""Infohashes of the virtual network: who holds them, what samples tell, and when it is asked too early."""
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from fastdht.errors import ConfigError
from fastdht.testing.catalog import HASH_ROW, HashTruth, read_hashes, read_peers, write_hashes, write_peers
from fastdht.testing.swarm import Swarm, unpack_peer
from fastdht.testing.truth import TruthRow
from tests.oracle.bencode import decode, encode

NODES = 300
SECOND = 1_000_000


@pytest.fixture(scope="module")
def network() -> Swarm:
    return Swarm(NODES, 5, 7000, profile="easy", loss=0, infohashes=6000, interval_s=100)


@pytest.fixture(scope="module")
def people(network: Swarm) -> list[TruthRow]:
    return list(network.truth(0, NODES))


@pytest.fixture(scope="module")
def truth(network: Swarm) -> HashTruth:
    assert network.catalog is not None
    return HashTruth(b"".join(network.catalog.records(cell) for cell in range(network.catalog.cells())))


def ask(network: Swarm, row: TruthRow, method: bytes, now_s: float, **arguments: bytes) -> dict[bytes, Any]:
    query = {b"a": {b"id": bytes(20), **{name.encode(): value for name, value in arguments.items()}}, b"q": method,
             b"t": b"aa", b"y": b"q"}
    [(_, data)] = network.handle(encode(query), ("127.0.0.1", 9), (row.ip, row.port), int(now_s * SECOND))
    return decode(data, strict=True)


def sample(network: Swarm, row: TruthRow, now_s: float) -> dict[bytes, Any]:
    return ask(network, row, b"sample_infohashes", now_s, target=random.Random(1).randbytes(20))


def owners(truth: HashTruth) -> list[tuple[bytes, tuple[int, ...]]]:
    return [(info_hash, truth.holders(row)) for info_hash, row in truth.index().items()]


def held_by(truth: HashTruth) -> dict[int, set[bytes]]:
    held: dict[int, set[bytes]] = {}
    for info_hash, holders in owners(truth):
        for serial in holders:
            held.setdefault(serial, set()).add(info_hash)
    return held


def test_infohash_lives_on_the_eight_closest_honest_nodes(people: list[TruthRow], truth: HashTruth) -> None:
    ids = [int.from_bytes(row.id, "big") for row in people]
    for info_hash, holders in owners(truth):
        target = int.from_bytes(info_hash, "big")
        assert list(holders) == sorted(range(NODES), key=lambda serial: ids[serial] ^ target)[:8]


def test_number_of_infohashes_is_about_what_was_asked_for(network: Swarm, truth: HashTruth) -> None:
    assert network.catalog is not None
    assert len(truth) == network.catalog.total() == len(truth.index())
    assert 2000 < len(truth) < 18_000           # cells differ by a factor of e, and there are only eight


def test_sample_is_twenty_of_what_the_node_holds(network: Swarm, people: list[TruthRow], truth: HashTruth) -> None:
    assert network.catalog is not None
    held = held_by(truth)
    samplers = [serial for serial in range(NODES) if network.catalog.support(serial) == 2]
    assert 0.5 * NODES < len(samplers) < 0.7 * NODES
    for serial in samplers:
        answer = sample(network, people[serial], 0)[b"r"]
        told = [answer[b"samples"][i:i + 20] for i in range(0, len(answer[b"samples"]), 20)]
        assert (answer[b"num"], answer[b"interval"]) == (len(held.get(serial, ())), 100)
        assert len(told) == len(set(told)) == min(20, answer[b"num"])
        assert set(told) <= held.get(serial, set())
        assert answer[b"nodes"]


def test_nodes_without_support_refuse_or_answer_as_find_node(network: Swarm, people: list[TruthRow]) -> None:
    assert network.catalog is not None
    kinds = {0: 0, 1: 0}
    for serial in range(NODES):
        support = network.catalog.support(serial)
        if support == 2:
            continue
        answer = sample(network, people[serial], 0)
        kinds[support] += 1
        if support == 1:
            assert answer[b"e"][0] == 204
        else:
            assert answer[b"r"][b"nodes"] and b"samples" not in answer[b"r"]
    assert min(kinds.values()) > 0.1 * NODES


def test_chance_is_that_of_the_supporting_holders(network: Swarm, truth: HashTruth) -> None:
    assert network.catalog is not None
    nums = {serial: len(hashes) for serial, hashes in held_by(truth).items()}
    index = truth.index()
    for info_hash, holders in owners(truth):
        missed = 1.0
        for serial in holders:
            if network.catalog.support(serial) == 2:
                missed *= 1 - min(1.0, 20 / nums[serial])
        assert truth.chance(index[info_hash]) == pytest.approx(1 - missed, abs=1e-6)


@pytest.fixture
def fresh() -> Iterator[tuple[Swarm, TruthRow]]:
    """A network of its own, for its counters, and a node of it that gives samples of more than twenty."""
    network = Swarm(NODES, 5, 7000, infohashes=6000, interval_s=100)
    assert network.catalog is not None
    for serial, row in enumerate(network.truth(0, NODES)):
        if network.catalog.support(serial) == 2:
            probe = sample(Swarm(NODES, 5, 7000, infohashes=6000, interval_s=100), row, 0)
            if probe[b"r"][b"num"] > 40:
                yield network, row
                return


def test_sample_is_the_same_until_an_interval_ends(fresh: tuple[Swarm, TruthRow]) -> None:
    network, row = fresh
    told = [sample(network, row, second)[b"r"][b"samples"] for second in range(300)]
    changes = [second for second in range(1, 300) if told[second] != told[second - 1]]
    assert len(changes) >= 2
    assert {later - earlier for earlier, later in zip(changes, changes[1:], strict=False)} == {100}


def test_question_before_the_interval_ends_is_counted(fresh: tuple[Swarm, TruthRow]) -> None:
    network, row = fresh
    for second, violations in ((5, 0), (105, 0), (204, 1), (304, 1), (310, 2)):
        sample(network, row, second)
        assert network.counters()["interval_violations"] == violations


def test_get_peers_finds_peers_at_the_holders_only(network: Swarm, people: list[TruthRow], truth: HashTruth) -> None:
    for info_hash, holders in owners(truth)[::500]:
        for serial in range(NODES):
            answer = ask(network, people[serial], b"get_peers", 0, info_hash=info_hash)[b"r"]
            assert (b"values" in answer) == (serial in holders)


def test_files_give_back_what_was_written(network: Swarm, truth: HashTruth, tmp_path_factory: pytest.TempPathFactory
                                          ) -> None:
    assert network.catalog is not None
    path = tmp_path_factory.mktemp("truth") / "truth"
    write_hashes(path, 5, network.catalog)
    assert read_hashes(path).rows == truth.rows
    torrents = Swarm(100, 1, 7000, torrents=12)
    write_peers(path, 1, torrents.torrent_rows(), 12)
    peers = read_peers(path)
    assert len(peers) == 12
    for info_hash, packed in peers.items():
        assert {unpack_peer(each) for each in packed} == set(torrents.torrent_peers(info_hash))


def test_row_has_the_size_that_the_documentation_gives() -> None:
    assert HASH_ROW.size == 56


@pytest.mark.parametrize("wrong", [{"infohashes": 10_000_000}, {"support": 1.5}, {"interval_s": 21_601}])
def test_samples_outside_their_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Swarm(100, 1, **wrong)      # type: ignore[arg-type]
