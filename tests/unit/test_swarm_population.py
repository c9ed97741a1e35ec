"""Who lives in a virtual network: addresses, ids and roles follow from the seed."""
from __future__ import annotations

import ipaddress
from collections import Counter

import pytest

from fastdht._ext.ids import is_secure
from fastdht._ext.swarm_population import ROLE_NAMES, Population
from fastdht.errors import ConfigError
from fastdht.testing.swarm import LIARS, PROFILES, Profile, Swarm
from fastdht.testing.truth import KINDS, TruthRow

PORT = 6881


def rows_of(swarm: Swarm) -> list[TruthRow]:
    return list(swarm.truth())


def test_population_when_built_then_every_contact_has_its_own_endpoint() -> None:
    rows = rows_of(Swarm(30_000, 1, PORT, profile="hard", adversaries=0.1))
    assert len(rows) == 30_000 * 2 + 3_000
    assert len({(row.ip, row.port) for row in rows}) == len(rows)


def test_population_when_built_then_spreads_over_the_net_and_spares_reserved_addresses() -> None:
    rows = rows_of(Swarm(200_000, 2, PORT))
    addresses = {row.ip for row in rows}
    assert len({ip.rpartition(".")[0] for ip in addresses}) > 60_000     # 62,440 of 65,536 expected: 1 - e^-3.05
    assert not addresses & {"127.0.0.0", "127.0.0.1", "127.255.255.255"}
    assert all(ip.startswith("127.") for ip in addresses)


@pytest.mark.parametrize("net", ["127.50.0.0/16", "127.7.16.0/20", "127.9.9.0/24"])
def test_population_when_net_given_then_lives_inside_it(net: str) -> None:
    inside = ipaddress.IPv4Network(net)
    rows = rows_of(Swarm(200, 3, PORT, net=net))
    assert {ipaddress.IPv4Address(row.ip) in inside for row in rows} == {True}
    assert {row.port for row in rows} == {PORT}


def test_population_when_net_is_full_then_goes_on_at_the_next_port() -> None:
    rows = rows_of(Swarm(600, 4, PORT, net="127.9.9.0/24"))
    ports = Counter(row.port for row in rows)
    assert ports == {PORT: 253, PORT + 1: 253, PORT + 2: 94}             # 256 less the three reserved ones


def test_population_when_asked_for_a_place_then_finds_its_contact_and_no_other() -> None:
    people = Population([500, 500, *[0] * (len(ROLE_NAMES) - 3), 30], 5, PORT, ids_per_ip=10)
    serials = {}
    for serial in range(people.total):
        record = people.truth_records(serial, 1)
        serials[int.from_bytes(record[1:4], "big"), int.from_bytes(record[4:6], "big")] = serial
    assert all(people.serial_at(host, port) == serial for (host, port), serial in serials.items())
    taken = {host for host, _ in serials}
    assert all(people.serial_at(host, PORT) == -1 for host in range(5_000) if host not in taken)
    assert people.serial_at(next(iter(taken)), PORT + 200) == -1


@pytest.mark.parametrize(("profile", "share"), [("clean", 1.0), ("easy", 0.7), ("hard", 0.7)])
def test_ids_when_profile_given_then_bep42_holds_for_its_share(profile: str, share: float) -> None:
    rows = rows_of(Swarm(20_000, 6, PORT, profile=profile))
    secure = [is_secure(row.id, ipaddress.IPv4Address(row.ip).packed + row.port.to_bytes(2, "big")) for row in rows]
    assert [row.bep42 for row in rows] == secure
    assert sum(secure) / len(rows) == pytest.approx(share, abs=0.01)


def test_ids_when_built_then_are_distinct_and_uniform() -> None:
    rows = rows_of(Swarm(50_000, 7, PORT))
    assert len({row.id for row in rows}) == len(rows)
    first_bytes = Counter(row.id[0] for row in rows)
    assert max(abs(first_bytes[byte] - 195.3) for byte in range(256)) < 6 * 14    # six standard deviations


def test_population_when_seed_is_the_same_then_is_the_same() -> None:
    first = Swarm(1_000, 8, PORT).truth_records(0, 1_000)
    assert Swarm(1_000, 8, PORT).truth_records(0, 1_000) == first
    assert Swarm(1_000, 9, PORT).truth_records(0, 1_000) != first


def test_population_when_profile_has_dead_contacts_then_they_come_on_top() -> None:
    for profile, dead in (("clean", 0), ("easy", 500), ("hard", 1_000)):
        kinds = Counter(row.kind for row in Swarm(1_000, 10, PORT, profile=profile).truth())
        assert (kinds["honest"], kinds["dead"]) == (1_000, dead)


def test_truth_when_kind_given_then_only_honest_are_reachable_and_impostors_do_not_answer() -> None:
    rows = rows_of(Swarm(100, 11, PORT, adversaries=dict.fromkeys(LIARS, 20), ids_per_ip=10))
    assert {row.kind for row in rows if row.reachable} == {"honest"}
    assert {row.kind for row in rows if not row.answers} == {"invented-id", "reflector", "id-mirror", "wrong-tid",
                                                             "other-port"}
    assert Counter(row.kind for row in rows if row.kind != "honest") == dict.fromkeys(LIARS, 20)


def test_many_ids_when_built_then_share_addresses_by_port() -> None:
    rows = rows_of(Swarm(50, 12, PORT, adversaries={"many-ids": 25}, ids_per_ip=10))
    crowd = [row for row in rows if row.kind == "many-ids"]
    assert sorted(Counter(row.ip for row in crowd).values()) == [5, 10, 10]
    assert len({row.id for row in crowd}) == 25
    assert not {row.port for row in crowd} & {PORT}


def test_same_id_when_built_then_all_claim_one_id_and_one_is_listed() -> None:
    crowd = [row for row in Swarm(50, 13, PORT, adversaries={"same-id": 40}).truth() if row.kind == "same-id"]
    assert len({row.id for row in crowd}) == 1
    assert [row.listed for row in crowd] == [True] + [False] * 39


def test_kind_names_when_compared_then_match_the_compiled_ones() -> None:
    assert KINDS == ROLE_NAMES


@pytest.mark.parametrize(("options", "words"), [
    ({"nodes": 0}, "0 nodes; 1 to"),
    ({"nodes": 10, "port": 70_000}, "port 70000"),
    ({"nodes": 10, "profile": "worse"}, "profile 'worse'; one of clean, easy, hard"),
    ({"nodes": 10, "profile": Profile(loss=1.5)}, "loss 1.5"),
    ({"nodes": 10, "net": "10.0.0.0/8"}, "not under 127.0.0.0/8"),
    ({"nodes": 10, "net": "127.0.0.0/9"}, "23 host bits; an even number of 8 to 24"),
    ({"nodes": 10, "net": "banana"}, "net 'banana'"),
    ({"nodes": 10, "rtt": "slow"}, "rtt 'slow'"),
    ({"nodes": 10, "adversaries": {"saint": 1}}, "adversary 'saint'"),
    ({"nodes": 10, "adversaries": -1}, "adversaries -1"),
    ({"nodes": 500_000, "net": "127.1.1.0/24"}, "at most 256"),
    ({"nodes": 10, "port": 65_500, "adversaries": {"many-ids": 200}}, "pass 65535"),
    ({"nodes": 10, "torrents": -1}, "-1 torrents"),
])
def test_swarm_when_shape_is_impossible_then_says_what_and_why(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Swarm(**options)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_profiles_when_read_then_are_those_of_the_notes() -> None:
    assert [PROFILES[name].loss for name in ("clean", "easy", "hard")] == [0.0, 0.005, 0.01]
    assert [PROFILES[name].sigma for name in ("clean", "easy", "hard")] == [0.0, 1.0, 2.0]


def test_packets_when_counted_per_ip_then_are_those_of_all_its_ports() -> None:
    swarm = Swarm(10, 1, PORT, adversaries={"many-ids": 12}, ids_per_ip=10)
    assert swarm.max_packets_per_ip() == 0
    per_ip: Counter[str] = Counter()
    for number, row in enumerate(swarm.truth()):
        for _ in range(3 if row.kind == "honest" else 1 + number % 2):
            swarm.handle(b"junk", ("127.0.0.1", 9), (row.ip, row.port))
            per_ip[row.ip] += 1
    assert swarm.max_packets_per_ip() == max(per_ip.values()) >= 10
    assert swarm.asked_by_kind() == {"honest": 30, "many-ids": sum(per_ip.values()) - 30}
