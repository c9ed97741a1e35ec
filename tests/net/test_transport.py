"""Both transports on asyncio and on uvloop: they carry, they survive, they end."""
from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import pytest

from fastdht._ext.packets import Inbox, Outbox
from fastdht._ext.udp import HAS_BATCHES
from fastdht.engine.transport import DatagramTransport, Transport, UdpTransport, open_transport
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

DEADLINE_S = 10.0
Run = Callable[[Coroutine[object, object, None]], None]


def new_uvloop() -> asyncio.AbstractEventLoop:
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture(params=[asyncio.new_event_loop, new_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield lambda main: runner.run(asyncio.wait_for(main, DEADLINE_S))


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.skipif(not HAS_BATCHES, reason="Linux only")), True],
                ids=["batched", "portable"])
def portable(request: pytest.FixtureRequest) -> bool:
    return request.param


class Host:
    """The smallest engine: takes what its transport has, flushes what it wants to send, remembers both."""

    def __init__(self, transport: Transport, answers: bool = False) -> None:
        self.transport = transport
        self.answers = answers
        self.max_rounds = 1000
        self.inbox, self.outbox = Inbox(), Outbox(2048)
        self.received: list[tuple[bytes, bytes]] = []
        self.refused: list[tuple[bytes, bytes]] = []
        self.changed = asyncio.Event()
        transport.start(asyncio.get_running_loop(), self.on_readable)

    def on_readable(self) -> None:
        for _ in range(self.max_rounds):
            if not self.transport.receive(self.inbox):
                break
            batch = self.inbox.take()
            self.received += batch
            for data, source in batch if self.answers else ():
                self.outbox.put(b"re:" + data, source)
        self.transport.receive_errors(self.inbox)
        self.refused += self.inbox.take()
        self.transport.flush(self.outbox)
        self.changed.set()

    def send(self, data: bytes, target: bytes) -> None:
        assert self.outbox.put(data, target)

    async def until(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            self.changed.clear()
            await self.changed.wait()


@contextmanager
def hosts(portable: bool, ip: str = "127.0.0.1") -> Iterator[tuple[Host, Host]]:
    asker = Host(open_transport(Endpoint(ip, 0), portable=portable))
    server = Host(open_transport(Endpoint(ip, 0), portable=portable), answers=True)
    try:
        yield asker, server
    finally:
        asker.transport.close()
        server.transport.close()


def closed_port() -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return Endpoint(*sock.getsockname()).pack()


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_datagrams_when_sent_are_answered(run: Run, portable: bool, ip: str) -> None:
    async def main() -> None:
        with hosts(portable, ip) as (asker, server):
            asked = [b"%d" % i for i in range(300)]
            for data in asked:
                asker.send(data, server.transport.local.pack())
            asker.transport.flush(asker.outbox)
            await asker.until(lambda: len(asker.received) == 300)
            assert asker.received == [(b"re:" + data, server.transport.local.pack()) for data in asked]
            assert server.received == [(data, asker.transport.local.pack()) for data in asked]
            counters = server.transport.counters()
            assert counters["datagrams_in"] == counters["datagrams_out"] == 300
            assert counters["bytes_in"] == sum(map(len, asked))

    run(main())


def test_sends_when_1000_ports_were_closed_leave_it_answering(run: Run, portable: bool) -> None:
    async def main() -> None:
        with hosts(portable) as (asker, server):
            refusing = closed_port()
            for i in range(1000):
                asker.send(b"%d" % i, refusing)
            asker.transport.flush(asker.outbox)
            if not portable:
                await asker.until(lambda: len(asker.refused) == 1000)
                assert asker.refused == [(b"%d" % i, refusing) for i in range(1000)]
            await asker.until(lambda: len(asker.outbox) == 0)
            for i in range(3):
                asker.send(b"still there?", server.transport.local.pack())
                asker.transport.flush(asker.outbox)
                await asker.until(lambda count=i + 1: len(asker.received) == count)

    run(main())


def test_targets_when_impossible_never_end_a_transport(run: Run, portable: bool) -> None:
    async def main() -> None:
        with hosts(portable) as (asker, server):
            for ip, port in [("127.0.0.1", 0), ("240.0.0.1", 1), ("255.255.255.255", 1), ("::1", 6881)]:
                asker.send(b"nobody", Endpoint(ip, port).pack())
                asker.send(b"you", server.transport.local.pack())
                asker.transport.flush(asker.outbox)
            await asker.until(lambda: len(asker.received) == 4)
            counters = asker.transport.counters()
            assert sum(n for key, n in counters.items() if key.startswith("send_E") or key == "unreachable") >= 4

    run(main())


def test_wake_when_fewer_are_taken_than_wait_comes_again(run: Run, portable: bool) -> None:
    async def main() -> None:
        with hosts(portable) as (asker, server):
            server.inbox = Inbox(1)
            server.max_rounds = 1
            for i in range(100):
                asker.send(b"%d" % i, server.transport.local.pack())
            asker.transport.flush(asker.outbox)
            await asker.until(lambda: len(asker.received) == 100)

    run(main())


@pytest.mark.skipif(not HAS_BATCHES, reason="Linux only")
def test_flush_when_blocked_calls_back_once_there_is_room(run: Run) -> None:
    async def main() -> None:
        with hosts(portable=False) as (asker, server):
            asker.send(b"patience", server.transport.local.pack())
            asker.transport.socket.fail_next_sends(errno.EAGAIN, 1)
            assert asker.transport.flush(asker.outbox) == 0
            assert len(asker.outbox) == 1
            await asker.until(lambda: len(asker.received) == 1)
            asker.changed.clear()
            with pytest.raises(TimeoutError):           # once sent, room to send is no news any more
                await asyncio.wait_for(asker.changed.wait(), 0.05)

    run(main())


def test_address_when_taken_is_a_config_error_in_one_line(portable: bool) -> None:
    first = open_transport(Endpoint("127.0.0.1", 0), portable=portable)
    with pytest.raises(ConfigError) as caught:
        open_transport(first.local, portable=portable)
    assert str(caught.value) == f"cannot listen on {first.local}: address already in use"
    first.close()


@pytest.mark.parametrize("bind", [("127.0.0.1", 65536), ("127.0.0.1", -1), ("192.0.2.1", 6881), ("300.1.1.1", 6881)])
def test_address_when_impossible_is_a_config_error(portable: bool, bind: tuple[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {bind[0]}:{bind[1]}: [a-z]"):
        open_transport(Endpoint(*bind), portable=portable)


def test_port_when_0_is_chosen_by_the_system(portable: bool) -> None:
    transport = open_transport(Endpoint("127.0.0.1", 0), portable=portable)
    assert transport.local.ip == "127.0.0.1"
    assert 1 <= transport.local.port <= 65535
    transport.close()


def test_transport_when_not_asked_otherwise_is_the_best_there_is() -> None:
    transport = open_transport(Endpoint("127.0.0.1", 0))
    assert isinstance(transport, UdpTransport if HAS_BATCHES else DatagramTransport)
    transport.close()


def test_close_when_repeated_or_before_the_loop_ran_is_quiet(run: Run, portable: bool) -> None:
    async def main() -> None:
        for rounds in range(4):
            transport = open_transport(Endpoint("127.0.0.1", 0), portable=portable)
            transport.start(asyncio.get_running_loop(), lambda: None)
            for _ in range(rounds):
                await asyncio.sleep(0)
            transport.close()
            transport.close()
            await asyncio.sleep(0)

    run(main())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_descriptors_when_opened_and_closed_1000_times_stay_flat(run: Run, portable: bool) -> None:
    async def main() -> None:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(1000):
            transport = open_transport(Endpoint("127.0.0.1", 0), portable=portable)
            transport.start(asyncio.get_running_loop(), lambda: None)
            await asyncio.sleep(0)
            transport.close()
        for _ in range(5):          # asyncio closes its own in a later round
            await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) == before

    run(main())


def test_counters_when_closed_can_still_be_read(run: Run, portable: bool) -> None:
    async def main() -> None:
        with hosts(portable) as (asker, server):
            asker.send(b"one", server.transport.local.pack())
            asker.transport.flush(asker.outbox)
            await asker.until(lambda: len(asker.received) == 1)
        assert asker.transport.counters()["datagrams_in"] == 1
        assert asker.transport.flush(asker.outbox) == asker.transport.receive(asker.inbox) == 0

    run(main())
