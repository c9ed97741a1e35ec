"""The compiled part of the portable path, without a loop: addresses both ways, bounds, refusals."""
from __future__ import annotations

import errno
import ipaddress
import random
from collections import deque

import pytest

from fastdht._ext.datagrams import receive_all, send_some
from fastdht._ext.packets import Inbox, Outbox
from fastdht.types import Endpoint


class Loop:
    """Remembers what it was asked to send, and refuses what a test wants refused."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.error = error

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((data, address))


def addresses(bits: int) -> list[str]:
    seed = 7
    print(f"seed {seed}")
    rng = random.Random(seed)
    make = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
    edges = [0, 1, 9 << 24 | 10 << 16 | 99 << 8 | 100, 2**bits - 1]
    return [str(make(value)) for value in edges + [rng.getrandbits(bits) for _ in range(200)]]


@pytest.mark.parametrize("bits", [32, 128])
def test_addresses_when_read_and_written_agree_with_ipaddress(bits: int) -> None:
    endpoints = [Endpoint(ip, 1 + i) for i, ip in enumerate(addresses(bits))]
    inbox, outbox, loop = Inbox(256), Outbox(256), Loop()
    arrived = deque((b"%d" % e.port, tuple(e)) for e in endpoints)
    assert receive_all(inbox, arrived) == sum(len(str(e.port)) for e in endpoints)
    batch = inbox.take()
    assert batch == [(b"%d" % e.port, e.pack()) for e in endpoints]
    for datagram in batch:
        outbox.put(*datagram)
    assert send_some(outbox, loop.sendto, bits == 128, 256)[0] == len(endpoints)
    sent = [(data, Endpoint(str(ipaddress.ip_address(host)), port)) for data, (host, port) in loop.sent]
    assert sent == [(b"%d" % e.port, e) for e in endpoints]


def test_address_when_it_has_a_zone_is_read_without_it() -> None:
    inbox = Inbox()
    receive_all(inbox, deque([(b"x", ("fe80::1%eth0", 6881, 0, 2))]))
    assert inbox.take() == [(b"x", Endpoint("fe80::1", 6881).pack())]


def test_receive_when_more_waits_than_fits_leaves_the_rest() -> None:
    inbox = Inbox(2)
    arrived = deque((bytes(8190 + i), ("127.0.0.1", 1)) for i in range(5))
    assert receive_all(inbox, arrived) == 8190 + 8191
    assert (len(inbox), inbox.truncated, len(arrived)) == (2, 0, 3)
    assert receive_all(inbox, arrived) == 8192 + 8193
    assert (len(inbox), inbox.truncated, len(arrived)) == (2, 1, 1)
    assert [len(data) for data, _ in inbox.take()] == [8192, 8192]


def test_send_when_limited_leaves_the_rest_queued() -> None:
    outbox, loop = Outbox(8), Loop()
    for i in range(5):
        outbox.put(b"%d" % i, Endpoint("127.0.0.1", 1).pack())
    assert send_some(outbox, loop.sendto, False, 3) == (3, 3, [])
    assert [data for data, _ in outbox.take()] == [b"3", b"4"]


@pytest.mark.parametrize(("data", "target"), [(b"x", ("127.0.0.1", 0)), (b"x", ("::1", 1)), (b"", ("127.0.0.1", 1))])
def test_send_when_asyncio_would_choke_never_asks_it(data: bytes, target: tuple[str, int]) -> None:
    outbox, loop = Outbox(8), Loop()
    outbox.put(data, Endpoint(*target).pack())
    sent, size, errors = send_some(outbox, loop.sendto, False, 8)
    assert (sent, size, loop.sent, len(outbox)) == (0, 0, [], 0)
    assert [error.errno for error in errors if isinstance(error, OSError)] == [errno.EINVAL]


@pytest.mark.parametrize("error", [OSError(errno.ENOBUFS, "full"), OverflowError(), ValueError(), RuntimeError()])
def test_send_when_the_loop_raises_gives_up_that_datagram_only(error: Exception) -> None:
    outbox, loop = Outbox(8), Loop(error)
    for _ in range(3):
        outbox.put(b"x", Endpoint("127.0.0.1", 1).pack())
    assert send_some(outbox, loop.sendto, False, 8) == (0, 0, [error] * 3)
    assert len(outbox) == 0
