"""UdpSocket on loopback: what arrives, from whom, to which address, and how much the kernel dropped."""
from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from fastdht._ext.packets import Inbox, Outbox
from fastdht._ext.udp import HAS_BATCHES, UdpSocket
from fastdht.types import Endpoint

pytestmark = pytest.mark.skipif(not HAS_BATCHES, reason="batched sockets are Linux's")
DEADLINE_S = 5.0
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[UdpSocket, UdpSocket]]:
    sockets = UdpSocket(LOOPBACK[request.param], 0), UdpSocket(LOOPBACK[request.param], 0)
    yield sockets
    for sock in sockets:
        sock.close()


def packed(sock: UdpSocket) -> bytes:
    return Endpoint(*sock.address()).pack()


def read_all(sock: UdpSocket, count: int, capacity: int = 64) -> list[tuple[bytes, bytes]]:
    """Everything up to `count` datagrams, or what came within the deadline."""
    inbox, batch = Inbox(capacity), []
    while len(batch) < count and select.select([sock.fileno()], [], [], DEADLINE_S)[0]:
        sock.read(inbox)
        batch += inbox.take()
    return batch


def test_batch_when_sent_arrives_whole_with_its_source(pair: tuple[UdpSocket, UdpSocket]) -> None:
    sender, receiver = pair
    outbox = Outbox(256)
    sent = [bytes([i]) * (i * 5) for i in range(1, 201)]
    for data in sent:
        assert outbox.put(data, packed(receiver))
    assert sender.write(outbox) == 200
    assert len(outbox) == 0
    assert read_all(receiver, 200) == [(data, packed(sender)) for data in sent]
    assert receiver.counters()["bytes_in"] == sender.counters()["bytes_out"] == sum(map(len, sent))
    assert receiver.counters()["datagrams_in"] == sender.counters()["datagrams_out"] == 200
    assert sender.counters()["batches_out"] == 4        # 64 + 64 + 64 + 8


@pytest.mark.parametrize("capacity", [1, 3, 64, 65, 200])
def test_read_when_the_inbox_is_smaller_or_larger_than_a_call_fills_it(capacity: int) -> None:
    sender, receiver = UdpSocket("127.0.0.1", 0), UdpSocket("127.0.0.1", 0)
    outbox, inbox = Outbox(256), Inbox(capacity)
    for i in range(150):
        outbox.put(b"%d" % i, packed(receiver))
    sender.write(outbox)
    assert receiver.read(inbox) == len(inbox) == min(capacity, 150)
    assert [data for data, _ in inbox.take()] == [b"%d" % i for i in range(min(capacity, 150))]
    sender.close()
    receiver.close()


def test_read_when_nothing_waits_returns_0_and_clears_the_inbox() -> None:
    sock, inbox = UdpSocket("127.0.0.1", 0), Inbox()
    inbox.put(b"old", packed(sock))
    assert sock.read(inbox) == len(inbox) == 0
    sock.close()


def test_datagram_when_empty_arrives_empty(pair: tuple[UdpSocket, UdpSocket]) -> None:
    sender, receiver = pair
    outbox = Outbox()
    outbox.put(b"", packed(receiver))
    sender.write(outbox)
    assert read_all(receiver, 1) == [(b"", packed(sender))]


@pytest.mark.parametrize(("size", "is_cut"), [(8192, 0), (8193, 1), (20000, 1)])
def test_datagram_when_larger_than_a_buffer_is_cut_and_flagged(size: int, is_cut: int) -> None:
    receiver, inbox = UdpSocket("127.0.0.1", 0), Inbox()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x" * size, receiver.address())
    select.select([receiver.fileno()], [], [], DEADLINE_S)
    assert receiver.read(inbox) == 1
    assert inbox.truncated == is_cut
    assert [len(data) for data, _ in inbox.take()] == [min(size, 8192)]
    receiver.close()


def test_buffers_when_asked_are_granted_and_read_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        limit = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    sock = UdpSocket("127.0.0.1", 0)
    assert sock.counters()["receive_buffer_bytes"] >= limit
    sock.close()


def test_address_when_taken_raises_oserror_and_leaks_nothing() -> None:
    taken = UdpSocket("127.0.0.1", 0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with pytest.raises(OSError, match="in use"):
            UdpSocket(*taken.address())
    assert len(os.listdir("/proc/self/fd")) == before
    taken.close()


def test_kernel_drops_when_flooded_are_counted_exactly() -> None:
    sender, receiver = UdpSocket("127.0.0.1", 0), UdpSocket("127.0.0.1", 0, buffer_bytes=65536)
    outbox, inbox, sent, received = Outbox(1000), Inbox(), 0, 0
    for _ in range(5):
        for _ in range(1000):
            outbox.put(b"x" * 300, packed(receiver))
        sent += sender.write(outbox)
    assert sent == 5000
    while batch := receiver.read(inbox):
        received += batch
    assert received < sent
    assert receiver.counters()["kernel_drops"] == sent - received
    sender.close()
    receiver.close()


def test_kernel_drops_when_told_beside_a_datagram_are_counted_exactly() -> None:
    sender, receiver = UdpSocket("127.0.0.1", 0), UdpSocket("127.0.0.1", 0, buffer_bytes=65536)
    outbox, inbox, received = Outbox(1024), Inbox(), 0
    for _ in range(1000):
        outbox.put(b"x" * 300, packed(receiver))
    sender.write(outbox)
    while batch := receiver.read(inbox):
        received += batch
    outbox.put(b"now there is room", packed(receiver))
    sender.write(outbox)
    assert len(read_all(receiver, 1)) == 1
    receiver.close()                # so that the kernel can no longer be asked
    assert receiver.counters()["kernel_drops"] == 1000 - received > 0
    sender.close()


def test_local_address_when_seen_lets_one_socket_answer_for_2000() -> None:
    server, client = UdpSocket("0.0.0.0", 0, sees_local=True), UdpSocket("127.0.0.1", 0)
    port = server.address()[1]
    asked = [Endpoint(f"127.{1 + i // 200}.{i % 200}.{1 + i % 254}", port).pack() for i in range(2000)]
    outbox, inbox, answers = Outbox(64), Inbox(64), []
    for start in range(0, 2000, 50):
        for target in asked[start:start + 50]:
            outbox.put(target, target)
        assert client.write(outbox) == 50
        seen: list[bytes] = []
        while len(seen) < 50:
            assert select.select([server.fileno()], [], [], DEADLINE_S)[0]
            local = server.read_local(inbox)
            for (data, source), address in zip(inbox.take(), local, strict=True):
                assert address[:4] == data[:4]
                outbox.put(data, source)
                assert server.write_from(outbox, address) == 1
            seen += local
        answers += read_all(client, 50)
    assert answers == [(target, target) for target in asked]
    server.close()
    client.close()


def test_local_address_when_ipv6_is_seen_and_chosen() -> None:
    server, client = UdpSocket("::", 0, sees_local=True), UdpSocket("::1", 0)
    target = Endpoint("::1", server.address()[1]).pack()
    outbox, inbox = Outbox(), Inbox()
    outbox.put(b"who?", target)
    client.write(outbox)
    assert select.select([server.fileno()], [], [], DEADLINE_S)[0]
    local = server.read_local(inbox)
    assert local == [Endpoint("::1", 0).pack()]
    outbox.put(b"me", inbox.take()[0][1])
    assert server.write_from(outbox, local[0]) == 1
    assert read_all(client, 1) == [(b"me", target)]
    server.close()
    client.close()


def test_descriptors_when_opened_and_closed_1000_times_stay_flat() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        sock = UdpSocket("127.0.0.1", 0)
        sock.close()
        sock.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_socket_when_closed_neither_sends_nor_receives() -> None:
    sock, outbox, inbox = UdpSocket("127.0.0.1", 0), Outbox(), Inbox()
    outbox.put(b"late", packed(sock))
    sock.close()
    assert sock.write(outbox) == sock.read(inbox) == sock.read_errors(inbox) == 0
    assert len(outbox) == 1
    assert sock.fileno() == -1
