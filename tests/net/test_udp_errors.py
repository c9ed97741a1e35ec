"""UdpSocket when sending fails: nothing is fatal, each errno costs one datagram, and is counted."""
from __future__ import annotations

import errno
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from fastdht._ext.packets import Inbox, Outbox
from fastdht._ext.udp import HAS_BATCHES, UdpSocket
from fastdht.types import Endpoint

pytestmark = pytest.mark.skipif(not HAS_BATCHES, reason="batched sockets are Linux's")
DEADLINE_S = 5.0


@pytest.fixture
def pair() -> Iterator[tuple[UdpSocket, UdpSocket]]:
    sockets = UdpSocket("127.0.0.1", 0), UdpSocket("127.0.0.1", 0)
    yield sockets
    for sock in sockets:
        sock.close()


def packed(sock: UdpSocket) -> bytes:
    return Endpoint(*sock.address()).pack()


def closed_port(ip: str = "127.0.0.1") -> bytes:
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ip, 0))
        return Endpoint(*sock.getsockname()[:2]).pack()


def read_all(sock: UdpSocket, count: int) -> list[bytes]:
    inbox, batch = Inbox(), []
    while len(batch) < count and select.select([sock.fileno()], [], [], DEADLINE_S)[0]:
        sock.read(inbox)
        batch += [data for data, _ in inbox.take()]
        sock.read_errors(inbox)
    return batch


def numbered(outbox: Outbox, count: int, target: bytes) -> list[bytes]:
    batch = [b"%d" % i for i in range(count)]
    for data in batch:
        assert outbox.put(data, target)
    return batch


@pytest.mark.parametrize(
    ("target", "name"),     # without a route the last two never get as far as ip(7) says
    [(("127.0.0.1", 0), "EINVAL"), (("::1", 6881), "EAFNOSUPPORT"), (("240.0.0.1", 6881), "EINVAL"),
     (("255.255.255.255", 6881), "EACCES")],
)
def test_target_when_impossible_costs_only_its_own_datagram(
    pair: tuple[UdpSocket, UdpSocket], target: tuple[str, int], name: str
) -> None:
    sender, receiver = pair
    outbox, good = Outbox(256), []
    for i in range(200):
        if i % 3 == 0:
            outbox.put(b"bad", Endpoint(*target).pack())
        else:
            good.append(b"%d" % i)
            outbox.put(good[-1], packed(receiver))
    assert sender.write(outbox) == len(good)
    assert len(outbox) == 0
    assert read_all(receiver, len(good)) == good
    counters = sender.counters()
    assert counters.get(f"send_{name}", 0) + counters["unreachable"] == 200 - len(good)


def test_target_when_ipv4_on_an_ipv6_socket_is_no_sign_of_a_lost_network() -> None:
    sender, outbox = UdpSocket("::1", 0), Outbox()
    outbox.put(b"4", Endpoint("127.0.0.1", 6881).pack())
    assert sender.write(outbox) == len(outbox) == 0
    assert sender.counters()["skipped"] == sender.counters()["send_EAFNOSUPPORT"] == 1
    assert sender.counters()["unreachable"] == 0
    sender.close()


@pytest.mark.parametrize("name", ["EINVAL", "EMSGSIZE", "EACCES", "ECONNREFUSED", "EIO"])
def test_errno_when_about_one_datagram_skips_and_counts_it(pair: tuple[UdpSocket, UdpSocket], name: str) -> None:
    sender, receiver = pair
    outbox = Outbox()
    sent = numbered(outbox, 10, packed(receiver))
    calls_per_datagram = 1 if name == "EINVAL" else 2       # another could be the report of an older datagram
    sender.fail_next_sends(getattr(errno, name), 3 * calls_per_datagram)
    assert sender.write(outbox) == 7
    assert read_all(receiver, 7) == sent[3:]
    assert sender.counters()["skipped"] == sender.counters()[f"send_{name}"] == 3


@pytest.mark.parametrize("name", ["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"])
def test_errno_when_the_network_is_away_counts_unreachable(pair: tuple[UdpSocket, UdpSocket], name: str) -> None:
    sender, receiver = pair
    outbox = Outbox()
    numbered(outbox, 10, packed(receiver))
    sender.fail_next_sends(getattr(errno, name), 1000)
    assert sender.write(outbox) == 0
    assert len(outbox) == 0
    assert sender.counters()["unreachable"] == 10
    sender.fail_next_sends(errno.EIO, 0)
    outbox.put(b"back", packed(receiver))
    assert sender.write(outbox) == 1
    assert read_all(receiver, 1) == [b"back"]


def test_errno_when_it_could_be_an_old_report_loses_nothing(pair: tuple[UdpSocket, UdpSocket]) -> None:
    sender, receiver = pair
    outbox = Outbox()
    sent = numbered(outbox, 10, packed(receiver))
    sender.fail_next_sends(errno.ECONNREFUSED, 1)
    assert sender.write(outbox) == 10
    assert read_all(receiver, 10) == sent
    assert sender.counters()["skipped"] == 0


@pytest.mark.parametrize("name", ["ENOBUFS", "ENOMEM", "EPERM"])
def test_errno_when_congested_drops_and_halves_the_share_once_a_flush(
    pair: tuple[UdpSocket, UdpSocket], name: str
) -> None:
    sender, receiver = pair
    outbox = Outbox()
    for flush in range(1, 3):
        numbered(outbox, 10, packed(receiver))
        sender.fail_next_sends(getattr(errno, name), 4)
        assert sender.write(outbox) == 6
        assert sender.counters()["congested"] == 4 * flush
        assert sender.send_share == 0.5**flush
    assert sender.regain_share() == pytest.approx(0.30)
    for _ in range(20):
        sender.regain_share()
    assert sender.send_share == 1.0


def test_share_when_congested_for_long_never_reaches_0(pair: tuple[UdpSocket, UdpSocket]) -> None:
    sender, receiver = pair
    outbox = Outbox()
    for _ in range(100):
        numbered(outbox, 1, packed(receiver))
        sender.fail_next_sends(errno.ENOBUFS, 1)
        sender.write(outbox)
    assert sender.send_share == 1 / 1024


def test_blocked_when_the_kernel_has_no_room_keeps_the_rest_queued(pair: tuple[UdpSocket, UdpSocket]) -> None:
    sender, receiver = pair
    outbox = Outbox()
    sent = numbered(outbox, 10, packed(receiver))
    sender.fail_next_sends(errno.EAGAIN, 1)
    assert sender.write(outbox) == 0
    assert sender.is_blocked and len(outbox) == 10
    sender.watch_writable(True)
    assert select.select([sender.fileno()], [], [], DEADLINE_S)[0]
    assert sender.write(outbox) == 10
    assert not sender.is_blocked
    sender.watch_writable(False)
    assert not select.select([sender.fileno()], [], [], 0)[0]
    assert read_all(receiver, 10) == sent
    assert sender.counters()["blocked"] == 1


@pytest.mark.parametrize("error", [0, -1, 256, 100000])
def test_injection_when_the_errno_is_absurd_raises(pair: tuple[UdpSocket, UdpSocket], error: int) -> None:
    with pytest.raises(ValueError, match=f"errno is {error}"):
        pair[0].fail_next_sends(error, 1)


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_refusal_when_reported_brings_back_the_datagram_and_its_target(ip: str) -> None:
    sender, outbox, inbox = UdpSocket(ip, 0), Outbox(), Inbox()
    sent = [(b"d1:t4:%04d1:y1:qe" % i, closed_port(ip)) for i in range(100)]
    for data, target in sent:
        outbox.put(data, target)
    assert sender.write(outbox) == 100
    refused: list[tuple[bytes, bytes]] = []
    while len(refused) < 100 and select.select([sender.fileno()], [], [], DEADLINE_S)[0]:
        assert sender.read(inbox) == 0
        assert sender.read_errors(inbox) <= 64
        refused += inbox.take()
    assert refused == sent
    assert sender.counters()["icmp_ECONNREFUSED"] == 100
    assert not select.select([sender.fileno()], [], [], 0)[0]      # nothing left to wake for
    sender.close()


def test_refusals_when_mixed_with_good_targets_lose_no_good_datagram(pair: tuple[UdpSocket, UdpSocket]) -> None:
    sender, receiver = pair
    outbox, refused = Outbox(2048), closed_port()
    good = []
    for i in range(1100):
        if i % 11:
            outbox.put(b"closed", refused)
        else:
            good.append(b"%d" % i)
            outbox.put(good[-1], packed(receiver))
    assert sender.write(outbox) == 1100
    assert read_all(receiver, len(good)) == good


def test_error_queue_when_nothing_was_refused_is_empty(pair: tuple[UdpSocket, UdpSocket]) -> None:
    inbox = Inbox()
    pair[0].read(inbox)
    inbox.put(b"old", packed(pair[0]))
    assert pair[0].read_errors(inbox) == len(inbox) == 0


NARROW = """
from fastdht._ext.packets import Inbox, Outbox
from fastdht._ext.udp import UdpSocket
from fastdht.types import Endpoint
sender, receiver, outbox, inbox = UdpSocket("127.0.0.1", 0), UdpSocket("127.0.0.1", 0), Outbox(), Inbox()
for size in (1400, 100, 1401):
    outbox.put(b"x" * size, Endpoint(*receiver.address()).pack())
sent = sender.write(outbox)
receiver.read(inbox)
print(sent, *(len(data) for data, _ in inbox.take()), sender.counters()["skipped"])
"""


def test_datagram_when_the_path_is_narrower_is_sent_in_fragments() -> None:
    enter = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("ip") is None or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs ip, and the right to make a network namespace")
    inside = [*enter, "sh", "-c", 'ip link set lo up mtu 1000 && exec "$@"', "sh", sys.executable, "-c", NARROW]
    done = subprocess.run(inside, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["3", "1400", "100", "1401", "0"]
