"""Generated routing tables hold what Kademlia's would, and always the same."""
from __future__ import annotations

import random

import pytest

from fastdht.testing.swarm import Profile, Swarm
from fastdht.testing.truth import TruthRow

PORT = 6881
PLAIN = Profile()


def number(node_id: bytes) -> int:
    return int.from_bytes(node_id, "big")


def shared_bits(a: bytes, b: bytes) -> int:
    return 160 - (number(a) ^ number(b)).bit_length()


def network(nodes: int, seed: int, profile: str | Profile = "clean") -> tuple[Swarm, list[TruthRow], random.Random]:
    swarm = Swarm(nodes, seed, PORT, profile=profile)
    return swarm, list(swarm.truth()), random.Random(seed)


@pytest.mark.parametrize("profile", ["clean", "easy", "hard"])
def test_answer_when_asked_then_names_other_contacts_of_the_truth_once_each(profile: str) -> None:
    swarm, rows, rng = network(3_000, 1, profile)
    truth = {(row.id, row.ip, row.port) for row in rows}
    for row in rng.sample(rows[:3_000], 300):
        for target in (rng.randbytes(20), row.id, rng.choice(rows).id):
            named = swarm.answer(row.ip, target)
            assert set(named) <= truth
            assert len(set(named)) == len(named)
            assert (row.id, row.ip, row.port) not in named


def test_answer_when_network_is_large_then_names_eight_that_are_closer_than_the_asked_node() -> None:
    swarm, rows, rng = network(5_000, 2)
    for row in rng.sample(rows, 500):
        target = rng.randbytes(20)
        named = swarm.answer(row.ip, target)
        assert len(named) == 8
        if shared_bits(row.id, target) < 6:         # bucket ranges of 39 and more contacts: surely filled
            assert all(shared_bits(node_id, target) > shared_bits(row.id, target) for node_id, _, _ in named)


@pytest.mark.parametrize("nodes", [1, 2, 3, 8, 9])
def test_answer_when_network_fits_one_bucket_then_names_everyone_else(nodes: int) -> None:
    swarm, rows, rng = network(nodes, 3)
    for row in rows:
        named = {node_id for node_id, _, _ in swarm.answer(row.ip, rng.randbytes(20))}
        assert named == {other.id for other in rows if other is not row}


def test_answer_when_own_id_asked_then_names_the_neighbourhood() -> None:
    """Of the 8 nearest at least those in ranges that a bucket holds whole: the deepest range with 8 others or fewer."""
    swarm, rows, rng = network(4_000, 4)
    for row in rng.sample(rows, 200):
        nearest = sorted(rows, key=lambda other: number(other.id) ^ number(row.id))[1:40]
        named = {node_id for node_id, _, _ in swarm.answer(row.ip, row.id)}
        depth = max(bits for bits in range(160)
                    if sum(shared_bits(other.id, row.id) >= bits for other in nearest) > 8)
        assert {other.id for other in nearest if shared_bits(other.id, row.id) > depth} <= named
        assert all(shared_bits(node_id, row.id) >= depth for node_id in named)


def test_answer_when_asked_again_then_is_the_same() -> None:
    first, rows, rng = network(2_000, 5, "hard")
    again = Swarm(2_000, 5, PORT, profile="hard")
    for row in rng.sample(rows[:2_000], 200):
        target = rng.randbytes(20)
        assert first.answer(row.ip, target) == first.answer(row.ip, target) == again.answer(row.ip, target)


def test_tables_when_probed_everywhere_then_keep_to_the_size_of_their_buckets() -> None:
    """About half of the nodes keep 8 in each bucket, the others 128, 64, 32, 16 in the first four, like libtorrent."""
    swarm, rows, rng = network(20_000, 6)
    widened = 0
    for row in rng.sample(rows, 40):
        sizes = []
        for bucket in range(6):
            flip = number(row.id) ^ (1 << (159 - bucket))
            targets = [flip ^ rng.getrandbits(159 - bucket) for _ in range(400)]
            found = {node_id for target in targets
                     for node_id, _, _ in swarm.answer(row.ip, target.to_bytes(20, "big"))}
            assert {shared_bits(node_id, row.id) for node_id in found} == {bucket}
            sizes.append(len(found))
        assert sizes in ([8] * 6, [128, 64, 32, 16, 8, 8])
        widened += sizes[0] == 128
    assert 8 <= widened <= 32                       # of 40; beyond it once in 30,000 draws


def test_replies_when_profile_is_hard_then_some_are_wide_and_some_narrow() -> None:
    swarm, rows, rng = network(20_000, 7, "hard")
    sizes = [len(swarm.answer(row.ip, rng.randbytes(20))) for row in rng.sample(rows[:20_000], 4_000)]
    assert sum(size in range(16, 21) for size in sizes) / 4_000 == pytest.approx(0.05, abs=0.015)
    assert sum(size in range(1, 4) for size in sizes) / 4_000 == pytest.approx(0.05, abs=0.015)
    assert set(sizes) <= {1, 2, 3, 8, *range(16, 21)}


@pytest.mark.parametrize(("profile", "share"), [("easy", 1 / 3), ("hard", 1 / 2)])
def test_replies_when_profile_has_dead_contacts_then_they_are_its_share(profile: str, share: float) -> None:
    swarm, rows, rng = network(20_000, 8, profile)
    dead = {row.id for row in rows if row.kind == "dead"}
    named = [node_id for row in rng.sample(rows[:20_000], 4_000)
             for node_id, _, _ in swarm.answer(row.ip, rng.randbytes(20))]
    assert sum(node_id in dead for node_id in named) / len(named) == pytest.approx(share, abs=0.03)


def test_popularity_when_hard_then_some_are_named_much_less_than_others() -> None:
    named: dict[bytes, int] = {}
    for profile, low, high in (("clean", 0.0, 0.02), ("hard", 0.2, 0.5)):
        swarm, rows, rng = network(5_000, 9, profile)
        named = dict.fromkeys((row.id for row in rows), 0)
        for _ in range(len(rows)):
            for node_id, _, _ in swarm.answer(rng.choice(rows[:5_000]).ip, rng.randbytes(20)):
                named[node_id] += 1
        mean = sum(named.values()) / len(named)
        rare = sum(count < mean / 4 for count in named.values()) / len(named)
        assert low <= rare <= high, f"{profile}: {rare} of the contacts are named less than a quarter of the mean"


def test_stale_entries_when_asked_for_then_carry_an_old_id_of_an_honest_node() -> None:
    swarm, rows, rng = network(2_000, 10, Profile(stale=0.2))
    ids = {(row.ip, row.port): row.id for row in rows}
    named = {contact for row in rng.sample(rows, 1_000) for contact in swarm.answer(row.ip, rng.randbytes(20))}
    stale = [contact for contact in named if ids[contact[1:]] != contact[0]]
    assert len(stale) / len(named) == pytest.approx(1 / 6, abs=0.04)
