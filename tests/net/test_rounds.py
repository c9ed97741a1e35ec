"""A crawl's rounds on a real socket: what they need, and what a round does when nothing comes."""
from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from fastdht._ext.addresses import AddressFilter
from fastdht._ext.core import Core
from fastdht._ext.frontier import Frontier
from fastdht._ext.packets import Inbox
from fastdht._ext.rounds import PATIENCE_US, run_rounds
from fastdht._ext.udp import HAS_BATCHES, UdpSocket
from fastdht.bencode import decode
from fastdht.config import CoreConfig

pytestmark = pytest.mark.skipif(not HAS_BATCHES, reason="batched sockets need Linux")

NETS = ("127.0.0.0/8",)
OWN_ID, SECRET = bytes(range(20)), bytes(96)


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def ours() -> Iterator[UdpSocket]:
    sock = UdpSocket("127.0.0.1", 0, patience_us=PATIENCE_US)
    yield sock
    sock.close()


def make_core(peer: socket.socket) -> Core:
    frontier = Frontier(OWN_ID, AddressFilter(NETS), depth=0, seed=1, max_contacts=100, slots=256)
    ip, port = peer.getsockname()
    frontier.offer(socket.inet_aton(ip) + port.to_bytes(2, "big"), 4)
    frontier.make_ready()
    return Core(CoreConfig.crawl(4, allowed_nets=NETS), OWN_ID, SECRET, 1, frontier)


def test_round_without_datagrams_asks_and_ends(peer: socket.socket, ours: UdpSocket) -> None:
    assert run_rounds(make_core(peer), ours, Inbox(64)) == 0
    data, source = peer.recvfrom(2048)
    assert source == ours.address()
    assert decode(data)[b"q"] == b"find_node"


def test_round_sends_what_had_no_room_before(peer: socket.socket, ours: UdpSocket) -> None:
    core, inbox = make_core(peer), Inbox(64)
    ours.fail_next_sends(errno.EAGAIN, 1)
    run_rounds(core, ours, inbox)
    assert ours.is_blocked and len(core.outbox) == 1
    run_rounds(core, ours, inbox)
    assert not ours.is_blocked and len(core.outbox) == 0
    assert decode(peer.recv(2048))[b"y"] == b"q"


def test_round_takes_in_answers_until_none_comes(peer: socket.socket, ours: UdpSocket) -> None:
    core, inbox = make_core(peer), Inbox(64)
    run_rounds(core, ours, inbox)
    question = decode(peer.recv(2048))
    node_id = bytes(19) + b"\x01"
    peer.sendto(b"d1:rd2:id20:" + node_id + b"5:nodes0:e1:t" + b"%d:" % len(question[b"t"]) + question[b"t"]
                + b"1:y1:re", ours.address())
    assert run_rounds(core, ours, inbox) == 1
    assert core.counters()["responses_handled"] == 1


def test_rounds_of_a_node_are_refused(ours: UdpSocket) -> None:
    core = Core(CoreConfig(allowed_nets=NETS), OWN_ID, SECRET, 1)
    with pytest.raises(ValueError, match="no frontier"):
        run_rounds(core, ours, Inbox(64))

