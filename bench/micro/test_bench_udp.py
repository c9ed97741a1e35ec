"""One batch of 64 datagrams of 300 bytes through the kernel and back: what a wake costs without any logic.

Method: both sockets in this process on loopback, so the figure holds the sender's and the receiver's share of the
kernel, about 3.3 µs a datagram; our own part of it is about 165 instructions. Compare ratios of one run only.
"""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastdht._ext.packets import Inbox, Outbox
from fastdht._ext.udp import HAS_BATCHES, UdpSocket
from fastdht.types import Endpoint

pytestmark = pytest.mark.skipif(not HAS_BATCHES, reason="batched sockets are Linux's")
DATAGRAMS = 64
ROUNDS = 2000


@pytest.fixture
def pair() -> Iterator[tuple[UdpSocket, UdpSocket]]:
    sockets = UdpSocket("127.0.0.1", 0), UdpSocket("127.0.0.1", 0)
    yield sockets
    for sock in sockets:
        sock.close()


def test_bench_batch_sent_and_received(benchmark, pair) -> None:
    sender, receiver = pair
    inbox, outbox = Inbox(DATAGRAMS), Outbox(DATAGRAMS)
    target = Endpoint(*receiver.address()).pack()

    def fill() -> None:
        for _ in range(DATAGRAMS):
            outbox.put(b"x" * 300, target)

    def carry() -> int:
        sender.write(outbox)
        return receiver.read(inbox)

    assert benchmark.pedantic(carry, setup=fill, rounds=ROUNDS) == DATAGRAMS
    assert receiver.counters()["kernel_drops"] == 0


def test_bench_wake_for_nothing(benchmark, pair) -> None:
    inbox, outbox = Inbox(DATAGRAMS), Outbox(DATAGRAMS)
    sock = pair[0]
    assert benchmark(lambda: (sock.read(inbox), sock.read_errors(inbox), sock.write(outbox))) == (0, 0, 0)
