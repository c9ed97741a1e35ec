"""A node's wake on a real socket: what is taken in and answered without Python, and what waits for it."""
from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Iterator

import pytest

from fastdht._ext.core import Core
from fastdht._ext.packets import Inbox
from fastdht._ext.turns import exchange
from fastdht._ext.udp import HAS_BATCHES, UdpSocket
from fastdht._ext.walks import LEFT_FIRST, LEFT_REFUSED, LookupSlots
from fastdht.bencode import decode
from fastdht.config import CoreConfig
from fastdht.stats import LookupReport
from fastdht.testing import builders
from fastdht.types import Endpoint

pytestmark = pytest.mark.skipif(not HAS_BATCHES, reason="batched sockets need Linux")

OWN_ID, SECRET, NOW = bytes(range(20)), bytes(96), 1_000_000_000
DEADLINE_S = 5.0
ENOUGH = 8          # batches


class Wake:
    """One node's socket and core, and a stranger's socket that talks to it."""

    def __init__(self, capacity: int) -> None:
        self.sock = UdpSocket("127.0.0.1", 0)
        self.core = Core(CoreConfig(lookups=4, allowed_nets=("127.0.0.0/8",)), OWN_ID, SECRET, 1)
        self.slots = LookupSlots(
            self.core, None, lambda: NOW, 4, new_future=asyncio.Future, report_class=LookupReport,
            make_failure=lambda _: OSError(), make_endpoint=Endpoint.unpack, outcomes=())
        self.capacity = capacity
        self.inbox = Inbox(capacity)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.settimeout(DEADLINE_S)

    def send(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.peer.sendto(data, self.sock.address())

    def run(self, last_batch: int = ENOUGH, is_crowded: bool = False) -> int:
        """What is left, but for a look at the error queue, which is worth one whenever a read gives nothing."""
        return exchange(self.slots, self.sock, self.inbox, NOW, last_batch, is_crowded) & ~LEFT_REFUSED

    def has_datagrams(self) -> bool:
        return bool(select.select([self.sock.fileno()], [], [], 0)[0])

    def close(self) -> None:
        self.sock.close()
        self.peer.close()


@pytest.fixture(params=[1, 64])
def wake(request: pytest.FixtureRequest) -> Iterator[Wake]:
    made = Wake(request.param)
    yield made
    made.close()


def ping(tid: bytes) -> bytes:
    return builders.query("ping", bytes(19) + b"\x01", tid=int.from_bytes(tid, "big"))


def test_wake_answers_queries_and_leaves_nothing(wake: Wake) -> None:
    wake.send(ping(b"aaaa"), ping(b"bbbb"))
    assert wake.run() == 0
    assert [decode(wake.peer.recv(2048))[b"t"] for _ in range(2)] == [b"aaaa", b"bbbb"]
    assert not wake.has_datagrams()


def test_wake_takes_no_more_than_the_last_batch(wake: Wake) -> None:
    capacity = wake.capacity
    wake.send(*[b"x"] * (2 * capacity + 1))
    wake.slots.batches = 5
    assert wake.run(last_batch=7) == 0
    assert wake.slots.batches == 7
    assert wake.core.counters()["received"] == 2 * capacity
    assert wake.has_datagrams()


def test_wake_without_datagrams_sends_what_had_no_room_before(wake: Wake) -> None:
    wake.send(ping(b"aaaa"))
    wake.sock.fail_next_sends(errno.EAGAIN, 1)
    wake.run(last_batch=1)
    assert wake.sock.is_blocked and len(wake.core.outbox) == 1
    wake.run()
    assert not wake.sock.is_blocked and len(wake.core.outbox) == 0
    assert decode(wake.peer.recv(2048))[b"t"] == b"aaaa"


def test_answer_to_a_caller_is_left_to_be_handed_over_first(wake: Wake) -> None:
    peer = Endpoint(*wake.peer.getsockname())
    assert wake.core.query(0, peer.pack(), 9, NOW)      # a ping, for caller 9
    wake.sock.write(wake.core.outbox)
    question = decode(wake.peer.recv(2048))
    wake.send(builders.reply(bytes(19) + b"\x02", question[b"t"]), ping(b"aaaa"))
    assert wake.run() == LEFT_FIRST
    assert [(caller, is_refused) for caller, _, _, _, is_refused in wake.core.take_events()] == [(9, False)]
    assert wake.run() == 0
    wake.slots.turn(NOW, False)
    wake.sock.write(wake.core.outbox)
    assert decode(wake.peer.recv(2048))[b"t"] == b"aaaa"


def test_callers_that_wait_for_a_place_come_first(wake: Wake) -> None:
    wake.send(ping(b"aaaa"))
    assert wake.run(is_crowded=True) == LEFT_FIRST
    assert wake.slots.batches == 1
    assert len(wake.core.outbox) == 1
