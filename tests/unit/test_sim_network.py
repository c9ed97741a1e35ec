"""The simulated network does to datagrams what it was told, and the same every time."""
from __future__ import annotations

import asyncio
import socket
from statistics import median, quantiles

import pytest

from fastdht.errors import ConfigError
from fastdht.testing import SimNetwork, VirtualLoop, run
from fastdht.testing.latency import log_normal, uniform
from fastdht.types import Endpoint
from tests.unit.sim_toys import Toy, settle

A, B, C = Endpoint("11.0.0.1", 6881), Endpoint("11.0.1.1", 6881), Endpoint("2a00::1", 6881)


@pytest.fixture
def loop():
    loop = VirtualLoop(seed=1)
    yield loop
    loop.close()


def test_datagram_when_sent_then_arrives_once_after_the_latency_from_its_source(loop: VirtualLoop) -> None:
    network = SimNetwork(loop, latency=20)
    a, b = Toy(network, A), Toy(network, B)
    sent_us = loop.clock.now_us
    a.send(b"hello", B)
    settle(loop)
    assert b.got == [(sent_us + 20_000, b"hello", A)]
    assert a.got == []
    assert network.delivered == network.sent == 1


def test_datagram_when_ipv6_then_arrives_too(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a, c = Toy(network, Endpoint("2a00::2", 1)), Toy(network, C)
    a.send(b"six", C)
    settle(loop)
    assert [(data, source) for _, data, source in c.got] == [(b"six", Endpoint("2a00::2", 1))]


def test_receive_when_the_inbox_is_full_then_the_rest_is_announced_again(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a, b = Toy(network, A), Toy(network, B, width=4)
    for i in range(10):
        a.send(b"%d" % i, B)
    settle(loop)
    assert b.batches == [4, 4, 2]
    assert [data for _, data, _ in b.got] == [b"%d" % i for i in range(10)]


def test_receive_when_buffer_overflows_then_newest_lost_and_counted(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a, b = Toy(network, A), network.open(B)     # never started: nobody reads
    for i in range(5000):
        a.send(b"%d" % i, B)
    settle(loop)
    assert b.counters()["kernel_drops"] == 5000 - 4096


def test_latency_when_uniform_then_within_its_bounds(loop: VirtualLoop) -> None:
    network = SimNetwork(loop, latency=uniform(10, 30))
    a, b = Toy(network, A), Toy(network, B)
    start = loop.clock.now_us
    for _ in range(1000):
        a.send(b"x", B)
    settle(loop)
    delays = [t - start for t, _, _ in b.got]
    assert len(delays) == 1000
    assert 10_000 <= min(delays) < 11_000 and 29_000 < max(delays) <= 30_000


def test_latency_when_log_normal_then_has_the_median_p90_and_cap_asked_for(loop: VirtualLoop) -> None:
    draws = [log_normal(60, 200, 1000)(loop.rng) for _ in range(20_000)]
    assert median(draws) == pytest.approx(60_000, rel=0.05)
    assert quantiles(draws, n=10)[-1] == pytest.approx(200_000, rel=0.07)
    assert max(draws) == 1_000_000


def test_latency_when_bounds_are_crossed_then_refused() -> None:
    with pytest.raises(ValueError, match="low <= high"):
        uniform(5, 4)
    with pytest.raises(ValueError, match="p90"):
        log_normal(100, 50)


def test_loss_when_thirty_percent_then_seven_of_ten_arrive(loop: VirtualLoop) -> None:
    network = SimNetwork(loop, loss=0.3)
    a, b = Toy(network, A), Toy(network, B)
    for _ in range(4000):
        a.send(b"x", B)
    settle(loop)
    assert len(b.got) == pytest.approx(2800, abs=150)       # five standard deviations
    assert network.dropped["loss"] == 4000 - len(b.got)


def test_loss_when_of_one_endpoint_and_direction_then_the_other_is_whole(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a, b = Toy(network, A), Toy(network, B)
    network.lose(A, outbound=1.0)
    a.send(b"lost", B)
    b.send(b"kept", A)
    settle(loop)
    assert b.got == [] and [data for _, data, _ in a.got] == [b"kept"]


def test_duplicate_when_certain_then_each_arrives_twice(loop: VirtualLoop) -> None:
    network = SimNetwork(loop, duplicate=1.0)
    a, b = Toy(network, A), Toy(network, B)
    a.send(b"x", B)
    settle(loop)
    assert [data for _, data, _ in b.got] == [b"x", b"x"]


def test_reorder_when_asked_for_then_some_overtake_and_none_is_lost(loop: VirtualLoop) -> None:
    network = SimNetwork(loop, reorder=0.2)
    a, b = Toy(network, A), Toy(network, B)
    for i in range(100):
        loop.call_later(i * 0.001, a.send, b"%03d" % i, B)
    settle(loop)
    order = [data for _, data, _ in b.got]
    assert order != sorted(order) and sorted(order) == [b"%03d" % i for i in range(100)]


def test_probability_when_outside_0_to_1_then_refused(loop: VirtualLoop) -> None:
    with pytest.raises(ValueError, match=r"loss is 1\.5"):
        SimNetwork(loop, loss=1.5)


def test_down_when_a_datagram_is_on_its_way_then_it_is_lost_until_up(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a, b = Toy(network, A), Toy(network, B)
    a.send(b"in flight", B)
    network.down(B)
    a.send(b"to one that is down", B)
    b.send(b"from one that is down", A)
    settle(loop)
    network.up(B)
    a.send(b"after", B)
    settle(loop)
    assert [data for _, data, _ in b.got] == [b"after"]
    assert a.got == []
    assert network.dropped["down"] == 3


def test_network_when_off_then_nothing_passes_and_no_name_resolves(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    network.names["router.example"] = ["11.0.0.1", "2a00::1"]
    a, b = Toy(network, A), Toy(network, B)
    network.off()
    a.send(b"x", B)
    with pytest.raises(socket.gaierror, match="off"):
        loop.run_until_complete(loop.getaddrinfo("router.example", 1))
    settle(loop)
    assert a.transport.counters()["send_ENETUNREACH"] == 1
    network.on()
    a.send(b"y", B)
    settle(loop)
    assert [data for _, data, _ in b.got] == [b"y"]
    found = loop.run_until_complete(loop.getaddrinfo("router.example", 1))
    assert [entry[4][:2] for entry in found] == [("11.0.0.1", 1), ("2a00::1", 1)]
    with pytest.raises(socket.gaierror, match="not in"):
        loop.run_until_complete(loop.getaddrinfo("elsewhere.example", 1))


def test_partition_when_between_groups_then_only_they_are_cut_until_healed(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    toys = {place: Toy(network, place) for place in (A, B, Endpoint("11.0.2.1", 1))}
    a, b, other = toys.values()
    cut = network.partition([A], [B])
    a.send(b"cut", B)
    a.send(b"free", other.transport.local)
    b.send(b"cut", A)
    settle(loop)
    assert (len(a.got), len(b.got), len(other.got)) == (0, 0, 1)
    cut.heal()
    cut.heal()
    a.send(b"healed", B)
    settle(loop)
    assert [data for _, data, _ in b.got] == [b"healed"]


def test_partition_when_from_everybody_then_the_group_still_talks_within(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a, b, c = (Toy(network, Endpoint(f"11.0.{i}.1", 1)) for i in range(3))
    network.partition([a.transport, b.transport])
    a.send(b"within", b.transport.local)
    a.send(b"across", c.transport.local)
    c.send(b"across", a.transport.local)
    settle(loop)
    assert (len(a.got), len(b.got), len(c.got)) == (0, 1, 0)


def test_nobody_when_icmp_is_on_then_the_sender_is_told_who(loop: VirtualLoop) -> None:
    network = SimNetwork(loop, icmp=True)
    a = Toy(network, A)
    a.send(b"x", B)
    settle(loop)
    assert a.refused == [(b"x", B)] and a.got == []
    assert network.dropped["nobody"] == 1


def test_nobody_when_icmp_is_off_then_silence(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a = Toy(network, A)
    a.send(b"x", B)
    settle(loop)
    assert a.refused == [] and network.dropped["nobody"] == 1


def test_open_when_taken_then_refused_until_closed(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a = Toy(network, A)
    with pytest.raises(ConfigError, match=r"11\.0\.0\.1:6881"):
        network.open(A)
    a.transport.close()
    a.transport.close()
    Toy(network, A)


def test_open_when_the_port_is_0_then_a_free_one_is_taken(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    opened = [network.open(Endpoint("11.0.0.1", 0)).local for _ in range(3)]
    assert len(set(opened)) == 3 and all(place.ip == "11.0.0.1" and place.port >= 49_152 for place in opened)


def test_close_when_datagrams_wait_then_nothing_is_called_afterwards(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a, b = Toy(network, A), Toy(network, B)
    a.send(b"x", B)
    loop.call_later(0.02, b.transport.close)
    settle(loop)
    b.transport.send(b"late", A.pack())
    settle(loop)
    assert a.got == []


def test_behaviour_when_asked_then_answers_from_its_endpoint(loop: VirtualLoop) -> None:
    network = SimNetwork(loop)
    a = Toy(network, A)
    network.act(B, lambda data, source: [(data[::-1], source)])
    a.send(b"abc", B)
    settle(loop)
    assert [(data, source) for _, data, source in a.got] == [(b"cba", B)]


def echo_storm(seed: int) -> str:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        network = SimNetwork(loop, latency=log_normal(), loss=0.1, duplicate=0.05, reorder=0.1)
        trace = network.capture()
        toys = [Toy(network, Endpoint(f"11.0.{i}.1", 6881), echo=True) for i in range(20)]
        for toy in toys:
            for _ in range(5):
                toy.send(loop.rng.randbytes(20), loop.rng.choice(toys).transport.local)
        await asyncio.sleep(5)
        assert len(trace) > 500
        return trace.digest()

    return run(main, seed=seed)


def test_trace_when_the_seed_is_the_same_then_every_packet_is() -> None:
    assert echo_storm(1) == echo_storm(1)


def test_trace_when_the_seed_differs_then_packets_do() -> None:
    assert echo_storm(1) != echo_storm(2)


def test_trace_when_read_then_holds_what_was_sent_even_if_lost(loop: VirtualLoop) -> None:
    network = SimNetwork(loop, loss=1.0)
    trace = network.capture(limit=2)
    a = Toy(network, A)
    for data in (b"1", b"2", b"3"):
        a.send(data, B)
    network.release(trace)
    a.send(b"4", B)
    assert list(trace) == [(loop.clock.now_us, A, B, b"2"), (loop.clock.now_us, A, B, b"3")]


def test_second_network_when_on_the_same_loop_then_refused(loop: VirtualLoop) -> None:
    SimNetwork(loop)
    with pytest.raises(RuntimeError, match="one network per loop"):
        SimNetwork(loop)
