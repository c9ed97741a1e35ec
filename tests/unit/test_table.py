"""The routing table, rule by rule. BEP 5 "Routing Table" unless a test says otherwise."""
from __future__ import annotations

import random
from collections import Counter

import pytest

from fastdht._ext.ids import shared_prefix
from fastdht._ext.table import RoutingTable

SECOND = 1_000_000
MINUTE = 60 * SECOND
OWN = bytes(20)[:-1] + b"\x01"


def make_table(**options: int) -> RoutingTable:
    """Without a limit for networks: endpoint() puts 256 subnets into one."""
    return RoutingTable(OWN, 4, **{"seed": 1, "network_limit": 0, **options})   # type: ignore[arg-type]


def endpoint(number: int, port: int = 6881) -> bytes:
    """Each number its own /24."""
    return bytes([20 + (number >> 16), (number >> 8) & 255, number & 255, 1]) + port.to_bytes(2, "big")


def far_id(number: int) -> bytes:
    """Ids of bucket 0, in order of `number`."""
    return b"\x80" + number.to_bytes(19, "big")


def full_bucket(**options: int) -> RoutingTable:
    """Bucket 0 filled with far_id(0..7) at endpoint(0..7), which cannot split."""
    table = make_table(max_buckets=1, **options)
    for i in range(8):
        table.reply_from(far_id(i), endpoint(i), 1, i)
    return table


def live(table: RoutingTable) -> dict[bytes, str]:
    return {packed: standing for _, packed, standing, _, _ in table.contacts()}


def test_contact_seen_only_by_its_queries_waits_as_a_candidate() -> None:
    table = make_table()
    table.query_from(far_id(1), endpoint(1), 0)
    assert len(table) == 0
    assert table.closest(far_id(1)) == b""
    assert table.waiting_contacts() == [(far_id(1), endpoint(1), False, 0)]


def test_candidate_is_pinged_90_seconds_after_its_last_query() -> None:
    table = make_table()
    table.query_from(far_id(1), endpoint(1), 0)
    table.query_from(far_id(1), endpoint(1), 50 * SECOND)
    assert table.next_questionable(139 * SECOND) is None
    assert table.next_questionable(140 * SECOND) == (far_id(1), endpoint(1))
    assert table.next_questionable(140 * SECOND) is None


def test_strangers_displace_a_candidate_only_when_it_has_waited_15_minutes() -> None:
    table = make_table(replacements=2)
    table.query_from(far_id(1), endpoint(1), 0)
    table.query_from(far_id(2), endpoint(2), MINUTE)
    table.query_from(far_id(3), endpoint(3), 14 * MINUTE)              # refused, and remembered as such
    table.query_from(far_id(1), endpoint(1), 14 * MINUTE)              # the stalest is fresh again
    table.query_from(far_id(3), endpoint(3), 16 * MINUTE - 1)
    assert sorted(packed for _, packed, _, _ in table.waiting_contacts()) == [endpoint(1), endpoint(2)]
    table.query_from(far_id(4), endpoint(4), 16 * MINUTE)
    table.query_from(far_id(5), endpoint(5), 16 * MINUTE)
    assert sorted(packed for _, packed, _, _ in table.waiting_contacts()) == [endpoint(1), endpoint(4)]


def test_candidate_of_a_full_good_bucket_is_not_pinged() -> None:
    table = full_bucket()
    table.query_from(far_id(9), endpoint(9), 8)
    assert table.next_questionable(100 * SECOND) is None
    table.failure_of(endpoint(3), 100 * SECOND)
    picked = {table.next_questionable(101 * SECOND), table.next_questionable(101 * SECOND)}
    assert picked == {(far_id(3), endpoint(3)), (far_id(9), endpoint(9))}


def test_spoofed_queries_a_hundred_thousand_of_them_leave_live_entries_alone() -> None:
    table, rng = make_table(), random.Random(1)
    for i in range(2000):
        table.reply_from(rng.randbytes(20), endpoint(rng.randrange(1 << 20)), 1, i)
    before = table.contacts()
    for i in range(100_000):
        table.query_from(rng.randbytes(20), bytes([rng.randint(1, 223)]) + rng.randbytes(5), 2000 + i)
    assert table.contacts() == before
    assert all(waiting <= 8 for _, _, waiting in table.bucket_sizes())
    table.check_invariants()


def test_standing_follows_silence_and_failures() -> None:
    table = make_table(max_failures=2)
    table.reply_from(far_id(1), endpoint(1), 1, 0)
    assert table.good_count(15 * MINUTE - 1) == 1
    assert table.good_count(15 * MINUTE) == 0
    assert live(table) == {endpoint(1): "questionable"}
    table.query_from(far_id(1), endpoint(1), 16 * MINUTE)       # it answered once, and is heard of again
    assert live(table) == {endpoint(1): "good"}
    table.failure_of(endpoint(1), 16 * MINUTE)
    assert live(table) == {endpoint(1): "questionable"}
    table.query_from(far_id(1), endpoint(1), 16 * MINUTE)       # a query may be spoofed: it mends no failure
    assert live(table) == {endpoint(1): "questionable"}
    table.failure_of(endpoint(1), 16 * MINUTE)
    assert live(table) == {endpoint(1): "bad"}
    table.reply_from(far_id(1), endpoint(1), 1, 17 * MINUTE)
    assert live(table) == {endpoint(1): "good"}


def test_newcomer_to_a_full_good_bucket_waits_and_takes_the_first_place_free() -> None:
    table = full_bucket()
    table.reply_from(far_id(8), endpoint(8), 1, 8)
    assert endpoint(8) not in live(table)
    table.failure_of(endpoint(5), 9)
    assert endpoint(8) in live(table)
    assert endpoint(5) not in live(table)


def test_newcomer_to_a_full_bucket_displaces_the_entry_that_failed_most() -> None:
    table = full_bucket()
    for packed in (endpoint(2), endpoint(4), endpoint(4)):
        table.failure_of(packed, 8)
    table.reply_from(far_id(8), endpoint(8), 1, 9)
    assert endpoint(4) not in live(table)
    assert endpoint(2) in live(table)


def test_failing_entry_that_a_new_own_id_crowds_out_is_no_spare() -> None:
    table = make_table(max_buckets=3)
    for i, first in enumerate(b"\x80" * 8 + b"\x40" * 8 + b"\x20" * 8):
        table.reply_from(bytes([first]) + i.to_bytes(19, "big"), endpoint(i), 1, i)
    table.failure_of(endpoint(23), 30)
    table.move_to(b"\xff" * 20)           # the last 16 now share a bucket of 8
    table.check_invariants()
    assert endpoint(23) not in {packed for _, packed, _, _, _ in table.contacts()}


def test_failing_entry_without_a_replacement_stays() -> None:
    table = full_bucket()
    for i in range(300):
        table.failure_of(endpoint(0), 8 + i)
    assert live(table)[endpoint(0)] == "bad"


def test_stale_replacement_displaces_nobody_until_it_answers_again() -> None:
    table = full_bucket()
    table.reply_from(far_id(8), endpoint(8), 1, 8)
    table.failure_of(endpoint(0), 16 * MINUTE)
    assert endpoint(0) in live(table)
    picked = {table.next_questionable(16 * MINUTE) for _ in range(9)}
    assert (far_id(8), endpoint(8)) in picked
    table.reply_from(far_id(8), endpoint(8), 1, 16 * MINUTE + 1)
    assert endpoint(0) not in live(table)


def test_known_endpoint_answering_with_another_id_is_evicted() -> None:
    table = make_table()
    table.reply_from(far_id(1), endpoint(1), 1, 0)
    table.reply_from(far_id(2), endpoint(1), 1, 1)
    assert len(table) == 0
    assert table.waiting_contacts() == [(far_id(2), endpoint(1), False, 1)]
    assert table.changed_ids == 1


def test_known_endpoint_querying_with_another_id_changes_nothing() -> None:
    table = make_table()
    table.reply_from(far_id(1), endpoint(1), 1, 0)
    table.query_from(far_id(2), endpoint(1), 1)
    assert [c[:2] for c in table.contacts()] == [(far_id(1), endpoint(1))]
    assert table.waiting_contacts() == []


def test_known_id_at_another_endpoint_keeps_the_verified_one_until_it_fails() -> None:
    table = make_table()
    table.reply_from(far_id(1), endpoint(1), 1, 0)
    table.query_from(far_id(1), endpoint(2), 1)
    table.reply_from(far_id(1), endpoint(3), 1, 2)
    assert live(table) == {endpoint(1): "good"}
    assert table.waiting_contacts() == []
    assert table.refused == 1
    table.failure_of(endpoint(1), 3)
    table.reply_from(far_id(1), endpoint(3), 1, 4)
    assert live(table) == {endpoint(3): "good"}


def test_second_port_of_an_ip_is_refused_until_the_first_fails() -> None:
    table = make_table()
    table.reply_from(far_id(1), endpoint(1), 1, 0)
    table.reply_from(far_id(2), endpoint(1, port=9), 1, 1)
    assert live(table) == {endpoint(1): "good"}
    table.failure_of(endpoint(1), 2)
    table.reply_from(far_id(2), endpoint(1, port=9), 1, 3)
    assert live(table) == {endpoint(1, port=9): "good"}


def test_subnet_of_65_000_ids_holds_at_most_eight_places() -> None:
    table, rng = make_table(), random.Random(2)
    for i in range(65_000):
        table.reply_from(rng.randbytes(20), bytes([20, 0, 0, i % 256]) + (1 + i % 65535).to_bytes(2, "big"), 1, i)
    held = Counter(min(shared_prefix(OWN, c[0]), len(table.bucket_sizes()) - 1) for c in table.contacts())
    assert 1 <= len(table) <= 8
    assert max(held.values()) == 1
    table.check_invariants()


@pytest.mark.parametrize("extended", [0, 1])
@pytest.mark.parametrize("is_aimed", [False, True])
def test_attacker_with_a_16_and_65_000_ids_holds_at_most_a_tenth_of_the_table(is_aimed: bool, extended: int) -> None:
    """Also with ids made for the buckets near ours, which honest contacts leave empty."""
    table, rng = make_table(network_limit=5, extended=extended), random.Random(3)
    for i in range(300):
        table.reply_from(rng.randbytes(20), bytes([20 + i % 200, i // 2, i % 256, 1, 26, 225]), 1, i)
    honest = set(live(table))
    assert len(honest) >= 48
    for i in range(65_000):
        node_id = near_id(rng.randrange(45), rng) if is_aimed else rng.randbytes(20)
        table.reply_from(node_id, bytes([231, 1]) + rng.randbytes(2) + b"\x1a\xe1", 1, 300 + i)
    held = set(live(table))
    assert honest <= held
    assert 1 <= len(held - honest) <= len(held) / 10
    table.check_invariants()


def near_id(prefix: int, rng: random.Random) -> bytes:
    """A random id that shares exactly `prefix` bits with ours."""
    own = int.from_bytes(OWN, "big")
    return (own ^ (1 << (159 - prefix)) ^ rng.getrandbits(159 - prefix)).to_bytes(20, "big")


def test_network_that_is_full_takes_a_contact_in_place_of_a_failing_one() -> None:
    table = make_table(network_limit=3)
    for i in range(4):
        table.reply_from(far_id(i), endpoint(i), 1, i)
    assert set(live(table)) == {endpoint(0), endpoint(1), endpoint(2)}
    table.failure_of(endpoint(1), 9)
    table.reply_from(far_id(4), endpoint(4), 1, 10)
    assert set(live(table)) == {endpoint(0), endpoint(2), endpoint(4)}


def test_ipv6_network_is_a_32() -> None:
    table = RoutingTable(OWN, 6, seed=1, network_limit=2)
    for i in range(4):
        table.reply_from(far_id(i), bytes.fromhex(f"20010db8{i:04x}") + bytes(9) + b"\x01\x1a\xe1", 1, i)
        table.reply_from(far_id(10 + i), bytes.fromhex(f"2001{i:04x}") + bytes(11) + b"\x01\x1a\xe1", 1, i)
    assert sum(packed.startswith(bytes.fromhex("20010db8")) for packed in live(table)) == 2
    assert len(table) == 6


def test_limits_of_zero_let_a_whole_table_stand_on_one_ip() -> None:
    table = make_table(one_per_ip=0, bucket_subnet_limit=0, table_subnet_limit=0)
    for i in range(8):
        table.reply_from(far_id(i), bytes([127, 0, 0, 1]) + (1 + i).to_bytes(2, "big"), 1, i)
    assert len(table) == 8


def test_ids_that_share_up_to_60_bits_with_ours_open_at_most_40_buckets() -> None:
    table, rng = make_table(), random.Random(4)
    number = 0
    for prefix in range(61):
        for _ in range(16):
            number += 1
            table.reply_from(near_id(prefix, rng), endpoint(number), 1, number)
    assert len(table.bucket_sizes()) == 40
    assert len(table) <= 480
    table.check_invariants()


def test_extended_table_has_its_first_buckets_16_8_4_and_2_times_as_large() -> None:
    table, rng = make_table(extended=1), random.Random(5)
    for i in range(20_000):
        table.reply_from(rng.randbytes(20), endpoint(rng.randrange(1 << 20)), 1, i)
    assert [room for _, room, _ in table.bucket_sizes()][:6] == [128, 64, 32, 16, 8, 8]
    assert [count for count, _, _ in table.bucket_sizes()][:6] == [128, 64, 32, 16, 8, 8]


def test_closest_with_too_few_good_contacts_fills_up_with_questionable_ones() -> None:
    table = full_bucket(max_failures=2)
    for i in (0, 1, 1):
        table.failure_of(endpoint(i), 9)
    found = [packed for _, packed in table.closest_contacts(far_id(0))]
    assert found == [endpoint(i) for i in (0, 2, 3, 4, 5, 6, 7)]       # 1 is bad; 0 is questionable, but closest
    assert [packed for _, packed in table.closest_contacts(far_id(0), 6)] == [endpoint(i) for i in range(2, 8)]


@pytest.mark.parametrize("node_id", [OWN, bytes(20)])
def test_own_and_zero_id_are_never_filed(node_id: bytes) -> None:
    table = make_table()
    table.reply_from(node_id, endpoint(1), 1, 0)
    table.query_from(node_id, endpoint(1), 0)
    assert (len(table), table.waiting_contacts()) == (0, [])


def test_contact_of_the_other_family_is_never_filed() -> None:
    table = make_table()
    table.reply_from(far_id(1), bytes(15) + b"\x01\x1a\xe1", 1, 0)
    assert len(table) == 0


def test_refresh_of_a_bucket_unchanged_for_15_minutes_aims_into_its_range_once() -> None:
    table, rng = make_table(), random.Random(6)
    assert table.next_refresh(99 * MINUTE) is None              # nobody to ask
    for i in range(500):
        table.reply_from(rng.randbytes(20), endpoint(i), 1, 100 * MINUTE)
    buckets = len(table.bucket_sizes())
    assert buckets > 4
    assert table.next_refresh(115 * MINUTE - 1) is None
    aimed = [table.next_refresh(115 * MINUTE) for _ in range(buckets)]
    assert table.next_refresh(115 * MINUTE) is None
    prefixes = [shared_prefix(OWN, target) for target in aimed if target is not None]
    assert sorted(min(p, buckets - 1) for p in prefixes) == list(range(buckets))


def test_bad_entries_are_pinged_ever_less_often() -> None:
    table = make_table()
    table.reply_from(far_id(1), endpoint(1), 1, 0)
    for _ in range(3):
        table.failure_of(endpoint(1), 0)
    pings = []
    for now_s in range(0, 4 * 3600, 5):
        if table.next_questionable(now_s * SECOND) is not None:
            pings.append(now_s)
            table.failure_of(endpoint(1), now_s * SECOND)
    gaps = [b - a for a, b in zip(pings, pings[1:])]
    assert gaps == [600, 1200, 2400, 4800, 4800]


def test_loaded_contacts_are_questionable_and_spread_over_their_buckets() -> None:
    rng = random.Random(7)
    saved = [(rng.randbytes(20), endpoint(i)) for i in range(400)]
    table = make_table()
    held = table.load(saved, 5 * MINUTE)
    assert held == len(table) > 30
    assert set(live(table).values()) == {"questionable"}
    assert table.next_questionable(5 * MINUTE) is not None
    assert len(table.closest_contacts(OWN)) == 8
    table.check_invariants()


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 129}, {"max_buckets": 65}, {"replacements": -1},
                                     {"max_failures": 0}, {"bucket_subnet_limit": -1}])
def test_table_given_values_outside_their_limits_names_them(options: dict[str, int]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        make_table(**options)


def test_table_given_malformed_ids_or_family_raises() -> None:
    with pytest.raises(ValueError, match="family is 5"):
        RoutingTable(OWN, 5, seed=1)
    with pytest.raises(ValueError, match="id is 19 bytes; 20 needed"):
        RoutingTable(bytes(19), 4, seed=1)
    with pytest.raises(ValueError, match="id is 21 bytes"):
        make_table().closest(bytes(21))
