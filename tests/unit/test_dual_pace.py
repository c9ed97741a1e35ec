"""Who may be asked when, with two families: a pace for each /64, and shares of the rate and the window."""
from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from fastdht._ext import drive
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.frontier import Frontier
from fastdht.crawl.passes import IDLE_SHARE, Pass
from fastdht.crawl.settings import CrawlConfig
from fastdht.engine.transport import Transport
from fastdht.testing import SimNetwork, VirtualLoop
from fastdht.types import Endpoint

V4, V6, BOTH = 1, 2, 3
SECOND = 1_000_000


def offer(frontier: Frontier, *texts: str) -> None:
    for text in texts:
        packed = Endpoint.parse(text).pack()
        frontier.offer(packed, 6 if len(packed) == 18 else 4)


def make_frontier(**options: object) -> Frontier:
    return Frontier(bytes(20), AddressFilter(), families=BOTH, **{"max_in_flight": 100, **options})  # type: ignore[arg-type]


def asked(frontier: Frontier, now_us: int, families: int = BOTH) -> list[str]:
    questions = iter(lambda: drive.ask(frontier, now_us, families), None)
    return [str(Endpoint.unpack(question[0])) for question in islice(questions, 100) if question is not None]


def test_addresses_of_one_64_share_a_pace_and_others_do_not() -> None:
    frontier = make_frontier(address_rate=1.0, address_burst=1)
    offer(frontier, "[2a01:1:2:3::1]:1", "[2a01:1:2:3:ffff::2]:2", "[2a01:1:2:4::1]:3", "8.8.8.1:4", "8.8.8.2:5")
    assert set(asked(frontier, 0)) == {"[2a01:1:2:3::1]:1", "[2a01:1:2:4::1]:3", "8.8.8.1:4", "8.8.8.2:5"}
    assert asked(frontier, SECOND // 2) == []
    assert asked(frontier, 2 * SECOND) == ["[2a01:1:2:3:ffff::2]:2"]
    assert frontier.max_packets_per_address() == 2


def test_socket_is_given_questions_of_its_own_family_only() -> None:
    frontier = make_frontier(address_rate=0.0)
    offer(frontier, "[2a01:1::1]:1", "8.8.8.1:2", "[2a01:2::1]:3", "8.8.8.2:4")
    assert (frontier.has_questions(4), frontier.has_questions(6)) == (True, True)
    assert asked(frontier, 0, V6) == ["[2a01:1::1]:1", "[2a01:2::1]:3"]
    assert (frontier.has_questions(4), frontier.has_questions(6)) == (True, False)
    assert drive.due(frontier, 0, V6) == -1
    assert drive.due(frontier, 0, V4) == 0
    assert asked(frontier, 0, V4) == ["8.8.8.1:2", "8.8.8.2:4"]


def test_full_window_or_slow_pace_of_one_family_leaves_the_other_alone() -> None:
    frontier = make_frontier(address_rate=0.0)
    offer(frontier, *(f"[2a01:{number}::1]:1" for number in range(1, 9)), *(f"8.8.8.{number}:1" for number in range(1, 9)))
    frontier.set_max_in_flight(2, 6)
    frontier.set_rate(1.0, 4)
    assert Counter(":" in each.rpartition(":")[0] for each in asked(frontier, 10 * SECOND)) == {True: 2, False: 1}
    assert drive.due(frontier, 10 * SECOND, V6) == -1
    assert drive.due(frontier, 10 * SECOND, V4) > 10 * SECOND


@pytest.mark.parametrize("address", ["2001:db8::1", "fe80::1", "fd00::1", "::1", "ff02::1", "2002:808:808::1",
                                     "2001:0:1::1", "64:ff9b::808:808", "::ffff:8.8.8.8", "3fff::1", "2001:1::1"])
def test_special_ipv6_addresses_are_never_asked(address: str) -> None:
    frontier = make_frontier()
    offer(frontier, f"[{address}]:6881")
    assert drive.ask(frontier, 0) is None
    assert frontier.counters()["filtered_bogon"] == 1


def test_rate_and_window_are_halved_while_both_have_questions_and_else_nearly_all_goes_to_one() -> None:
    loop = VirtualLoop(1)
    network = SimNetwork(loop, 1)
    config = CrawlConfig(bootstrap=("8.8.8.1:1",), bind=Endpoint("9.9.9.9", 1), bind6=Endpoint("2a99::1", 1), rate=1000.0)
    frontier = make_frontier(address_rate=0.0)

    def open_transport(bind: Endpoint) -> Transport:
        return network.open(bind)

    current = Pass(config, 0, frontier, {}, loop.clock, lambda: 0, open_transport)
    offer(frontier, *(f"8.8.{number}.1:1" for number in range(200)))
    current.share_out()
    assert rates(frontier) == [pytest.approx(1000 * (1 - IDLE_SHARE), rel=0.1), 0]
    offer(frontier, *(f"8.9.{number}.1:1" for number in range(100)), *(f"[2a01:{i:x}::1]:1" for i in range(1, 100)))
    current.share_out()
    v4, v6 = rates(frontier, 10 * SECOND)
    assert v4 == pytest.approx(500, rel=0.1)
    assert v6 == pytest.approx(500, rel=0.1)
    current.close()
    loop.close()


def rates(frontier: Frontier, start_us: int = SECOND) -> list[float]:
    """Questions a second to either family, over a tenth of one."""
    frontier.set_max_in_flight(1 << 20, 4)
    frontier.set_max_in_flight(1 << 20, 6)
    counted = []
    for families in (V4, V6):
        asked(frontier, start_us, families)         # what had been saved up
        counted.append(10 * sum(len(asked(frontier, start_us + step * 2000, families)) for step in range(1, 51)))
    return counted
