"""Who is in a cohort, when each is visited, and settings that cannot be kept."""
from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address
from random import Random
from typing import Any

import pytest

from fastdht.crawl.monitor.cohort import draw, zone_at
from fastdht.crawl.monitor.settings import Member, MonitorConfig, choose_members, lay_out
from fastdht.errors import ConfigError
from fastdht.types import Endpoint


def settings(**changes: Any) -> MonitorConfig:
    values: dict[str, Any] = {"bootstrap": ("127.0.0.1:9",), "seed": 7}
    return MonitorConfig(**{**values, **changes})


def crowd(addresses: int, each: int) -> list[Member]:
    return [Member(bytes([n, m]) + bytes(18), bytes([11, 0, n, 1]) + (6000 + m).to_bytes(2, "big"))
            for n in range(addresses) for m in range(each)]


@pytest.mark.parametrize(("changes", "message"), [
    ({"every_s": 11.9}, "at least 4 timeouts"), ({"nodes": 0}, "1 to 1,000,000"), ({"rate": -1.0}, "negative"),
    ({"timeout_s": 0.0}, "zero"), ({"duration_s": -1.0}, "negative"), ({"targets": (b"short",)}, "20 bytes"),
    ({"follow": 1001}, "0 to 1000"), ({"checkpoint_s": 0.0}, "zero"),
])
def test_settings_outside_their_limits_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


def test_rate_that_is_too_low_for_the_cohort_is_refused() -> None:
    """A minute less a twentieth and two timeouts of 3 s is a window of 51 s: 2 tries of 1,000 nodes are 39.2/s."""
    settings(rate=40.0).check_rate(1000)
    with pytest.raises(ConfigError, match="40 packets/s; the rate is 39"):
        settings(rate=39.0).check_rate(1000)
    settings(rate=0.0).check_rate(1_000_000)


def test_only_what_the_rate_leaves_is_followed() -> None:
    assert settings(rate=40.0).followed(1000) == 0          # 40 packets are left of 2,040
    assert settings(rate=42.0).followed(1000) == 2          # 142
    assert settings(rate=2000.0).followed(1000) == 16
    assert settings(rate=0.0, follow=5).followed(1000) == 5


def test_settings_survive_their_file() -> None:
    config = settings(bind=Endpoint("::1", 9), targets=(bytes(20),), allow_net=("::1/128",), nodes=5)
    assert MonitorConfig.from_plain(config.as_plain()) == config
    with pytest.raises(ConfigError, match="how to go on"):
        MonitorConfig.from_plain({"bind": "x"})


def test_visits_of_one_address_keep_its_rate() -> None:
    """Both tries of each may be needed: with one packet a second, visits of an address begin two seconds apart."""
    config = settings(nodes=10_000)
    members, crowded = choose_members(crowd(40, 60), config)
    places = defaultdict(list)
    for at_us, number in lay_out(members, config):
        assert 0 <= at_us <= 51_000_000
        places[members[number].endpoint[:4]].append(at_us)
    assert crowded == 40 * 60 - len(members)
    assert {len(each) for each in places.values()} == {25}      # of a window of 51 s
    for times in places.values():
        assert min(b - a for a, b in zip(times, times[1:], strict=False)) >= 2_000_000


def test_every_node_has_one_place() -> None:
    members, _ = choose_members(crowd(20, 3), settings(per_ip_rate=0.0))
    places = lay_out(members, settings())
    assert sorted(number for _, number in places) == list(range(60))
    assert places == sorted(places)


def test_cohort_is_a_random_part_and_the_seed_repeats_it() -> None:
    people = crowd(200, 1)
    chosen, _ = choose_members(people, settings(nodes=50))
    assert len(set(chosen)) == 50 and set(chosen) < set(people)
    assert choose_members(reversed(people), settings(nodes=50))[0] == chosen
    assert choose_members(people, settings(nodes=50, seed=8))[0] != chosen


def test_excluded_addresses_other_families_and_doubles_are_left_out() -> None:
    people = crowd(10, 1)
    opted_out = (4, int(ip_address("11.0.3.0")), int(ip_address("11.0.6.255")))
    other = Member(bytes(20), ip_address("2001:db8::1").packed + b"\x1a\xe1")
    chosen, _ = choose_members([*people, *people, other], settings(), [opted_out])
    assert sorted(member.endpoint[2] for member in chosen) == [0, 1, 2, 7, 8, 9]


def test_draw_gives_each_the_same_chance(seed: int) -> None:
    """A thousand draws of 10 from 40: each is expected 250 times, with a standard deviation of 14."""
    people = crowd(40, 1)
    counts = dict.fromkeys(people, 0)
    for number in range(1000):
        chosen = draw(people, 10, seed + number)
        assert len(set(chosen)) == 10
        for member in chosen:
            counts[member] += 1
    assert 180 <= min(counts.values()) <= max(counts.values()) <= 320


def test_zone_holds_the_place_it_was_made_for(seed: int) -> None:
    place = Random(seed).getrandbits(160)
    for bits in (0, 1, 7, 12):
        zone = zone_at(place, bits)
        assert zone.bits == bits
        assert place.to_bytes(20, "big") in zone
