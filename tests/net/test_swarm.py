"""The swarm over real UDP: each node answers from its own address, and every datagram is counted."""
from __future__ import annotations

import errno
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from fastdht._ext.swarm_delay import DelayLine
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import TruthRow
from tests.oracle import wire


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def receive(client: socket.socket, count: int) -> list[tuple[bytes, tuple[str, int]]]:
    return [client.recvfrom(65_536) for _ in range(count)]


def row_of(swarm: Swarm, kind: str) -> TruthRow:
    return next(row for row in swarm.truth() if row.kind == kind)


def test_swarm_when_nodes_are_asked_then_each_answers_from_its_own_address(client: socket.socket) -> None:
    with Swarm(100_000, 1) as swarm:
        rows = random.Random(1).sample(list(swarm.truth()), 600)
        for first in range(0, len(rows), 100):      # a hundred in flight fit any receive buffer
            for number, row in enumerate(rows[first : first + 100]):
                client.sendto(wire.query(b"ping", tid=b"%02d" % number), (row.ip, row.port))
            for data, source in receive(client, 100):
                reply = wire.decode(data)
                row = rows[first + int(reply[b"t"])]
                assert source == (row.ip, row.port)
                assert reply[b"r"][b"id"] == row.id


def test_swarm_when_stopped_then_its_counters_are_exact(client: socket.socket) -> None:
    swarm = Swarm(1_000, 2, profile="hard", loss=0.0)
    with swarm:
        rows = list(swarm.truth())
        asked = [random.Random(2).randrange(1_000) for _ in range(300)]
        for serial in asked:
            client.sendto(wire.query(b"find_node", target=rows[serial].id), (rows[serial].ip, rows[serial].port))
            receive(client, 1)
        client.sendto(b"to the dead", (rows[1_500].ip, rows[1_500].port))
        client.sendto(wire.query(b"ping"), (rows[0].ip, rows[0].port))
        receive(client, 1)                          # so the one before it has been counted
    totals = swarm.counters()
    assert (totals["received"], totals["replies"], totals["to_dead"]) == (302, 301, 1)
    assert (totals["kernel_drops"], totals["send_failed"]) == (0, 0)
    assert sum(swarm.asked()) == 302
    assert swarm.asked()[1_500] == 1


def test_swarm_when_started_then_its_bootstrap_answers_and_its_buffer_is_large(client: socket.socket) -> None:
    with Swarm(50, 3) as swarm:
        assert swarm.port > 0
        assert swarm.buffer_bytes >= 212_992
        assert len(swarm.bootstrap) == 8
        for endpoint in swarm.bootstrap:
            ip, _, port = endpoint.partition(":")
            client.sendto(wire.query(b"ping"), (ip, int(port)))
            assert receive(client, 1)[0][1] == (ip, int(port))


def test_swarm_when_many_ids_share_an_address_then_each_port_is_another_node(client: socket.socket) -> None:
    with Swarm(20, 4, adversaries={"many-ids": 6}, ids_per_ip=3) as swarm:
        crowd = [row for row in swarm.truth() if row.kind == "many-ids"]
        for row in crowd:
            client.sendto(wire.query(b"ping"), (row.ip, row.port))
            data, source = receive(client, 1)[0]
            assert source == (row.ip, row.port)
            assert wire.decode(data)[b"r"][b"id"] == row.id


def test_swarm_when_a_liar_answers_from_elsewhere_then_only_the_port_differs(client: socket.socket) -> None:
    with Swarm(20, 5, adversaries={"other-port": 2}) as swarm:
        row = row_of(swarm, "other-port")
        client.sendto(wire.query(b"ping"), (row.ip, row.port))
        _, source = receive(client, 1)[0]
        assert source[0] == row.ip
        assert source[1] != row.port


def test_swarm_when_replies_are_large_or_double_then_all_arrive(client: socket.socket) -> None:
    with Swarm(500, 6, adversaries={"big-reply": 1, "many-nodes": 1, "two-replies": 1}) as swarm:
        for kind, count, least in (("big-reply", 1, 7_900), ("many-nodes", 1, 7_800), ("two-replies", 2, 200)):
            row = row_of(swarm, kind)
            client.sendto(wire.query(b"find_node", target=bytes(20)), (row.ip, row.port))
            assert [len(data) >= least for data, _ in receive(client, count)] == [True] * count


def test_swarm_when_junk_comes_then_goes_on_answering(client: socket.socket) -> None:
    with Swarm(10, 7) as swarm:
        row = row_of(swarm, "honest")
        rng = random.Random(7)
        for size in (0, 1, 50, 1_472, 2_048, 2_049, 9_000, 60_000):
            client.sendto(rng.randbytes(size), (row.ip, row.port))
        client.sendto(wire.query(b"ping"), (row.ip, row.port))
        assert wire.decode(receive(client, 1)[0][0])[b"r"][b"id"] == row.id
    assert swarm.counters()["ignored"] == 8


def test_swarm_when_port_is_taken_then_start_raises_and_leaves_nothing_open() -> None:
    with Swarm(10, 8) as first:
        second = Swarm(10, 8, first.port)
        with pytest.raises(OSError, match=f"UDP port {first.port}") as caught:
            second.start()
        assert caught.value.errno == errno.EADDRINUSE
    with second:
        assert second.port == first.port


def test_swarm_when_it_needs_many_ports_then_finds_a_free_row_of_them() -> None:
    with Swarm(10, 8, adversaries={"many-ids": 200}) as first, Swarm(10, 8, adversaries={"many-ids": 200}) as second:
        assert abs(first.port - second.port) > 200


def test_swarm_when_started_again_then_counts_on(client: socket.socket) -> None:
    swarm = Swarm(10, 9)
    for _ in range(2):
        with swarm:
            row = row_of(swarm, "honest")
            client.sendto(wire.query(b"ping"), (row.ip, row.port))
            receive(client, 1)
    assert swarm.counters()["received"] == 2


def test_swarm_when_stopped_then_its_thread_is_gone_and_stop_again_does_nothing() -> None:
    before = threading.active_count()
    swarm = Swarm(10, 10).start()
    assert threading.active_count() == before + 1
    swarm.stop()
    swarm.stop()
    assert threading.active_count() == before


def test_delay_when_rtt_is_real_then_nearer_nodes_answer_first(client: socket.socket) -> None:
    swarm = Swarm(200, 11, rtt="real")
    line = DelayLine(11)
    swarm.open()                                    # the queries wait in its buffer, and are all read at once
    rows = sorted(((line.delay(serial), row) for serial, row in enumerate(swarm.truth())), key=lambda pair: pair[0])
    chosen, least = [], 0
    for delay, row in rows:
        if delay >= least and delay < 700_000:
            chosen.append(row)
            least = delay + 5_000                   # the wheel ticks each millisecond
    for row in reversed(chosen):
        client.sendto(wire.query(b"ping"), (row.ip, row.port))
    with swarm:
        order = [source[0] for _, source in receive(client, len(chosen))]
    assert order == [row.ip for row in chosen]
    assert len(order) > 20


def test_delays_when_drawn_then_have_the_quantiles_of_the_profile() -> None:
    line = DelayLine(12)
    delays = sorted(line.delay(serial) / 1_000 for serial in range(50_000))
    assert delays[25_000] == pytest.approx(120, rel=0.05)
    assert delays[45_000] == pytest.approx(400, rel=0.08)
    assert sum(delay >= 2_000 for delay in delays) / 50_000 == pytest.approx(0.02, abs=0.004)
    assert delays[-1] < 6_000
