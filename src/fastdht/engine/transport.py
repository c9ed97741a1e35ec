"""Sockets behind one face: batched where Linux is, asyncio's elsewhere. Rate class: batch.

Theory of operation: a transport is bound when it is made, silent until `start`, and deaf and dumb after `close`.
`on_readable` means "look": there may be datagrams to receive, reports of refused ones, or room to send again. Whoever
is called takes `receive` until it returns 0 (or enough), then `receive_errors`, then `flush`; a wake that leaves some
of it undone comes again. No target, errno or report of the network ends a transport.
"""
from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol, cast

from fastdht._ext.datagrams import receive_all, send_some
from fastdht._ext.core import Core
from fastdht._ext.packets import Inbox, Outbox
from fastdht._ext.rounds import PATIENCE_US, run_rounds
from fastdht._ext.udp import DEFAULT_BUFFER_BYTES as DEFAULT_BUFFER_BYTES
from fastdht._ext.udp import HAS_BATCHES, UdpSocket
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

QUEUE_LIMIT = 4096      # datagrams asyncio has read and nobody took: the newest is dropped, as the kernel would
SEND_BATCH = 64         # datagrams handed to asyncio between two looks at whether it wants more


class Transport(Protocol):
    """What an engine asks of a socket."""

    @property
    def local(self) -> Endpoint:
        """Where it is bound: the real port, also when 0 was asked for."""

    def start(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        """Have `on_readable` called from the loop whenever there is something to do."""

    def receive(self, inbox: Inbox) -> int:
        """Clear the inbox and fill it with what has arrived; how many datagrams."""

    def receive_errors(self, inbox: Inbox) -> int:
        """Clear the inbox and fill it with datagrams of ours that were refused, their target as the source.

        A quotation may be cut short, even to nothing. How many, at most 64; 0 where the system does not tell.
        """

    def flush(self, outbox: Outbox) -> int:
        """Send what can be sent, leave the rest queued and call `on_readable` when there is room; how many went."""

    def counters(self) -> dict[str, int]:
        """Totals since it was opened, by name."""

    def close(self) -> None:
        """Stop watching and release the socket. May be called again."""


def open_transport(bind: Endpoint, *, portable: bool = False, buffer_bytes: int = DEFAULT_BUFFER_BYTES,
                   for_crawl: bool = False) -> Transport:
    """Bind a socket: port 0 lets the system choose, `portable` asks for asyncio's even where batches are possible.

    A socket for a crawl waits for answers in `run_rounds`.

    Raises ConfigError when the system refuses the address.
    """
    try:
        if portable or not HAS_BATCHES:
            return DatagramTransport(bind, buffer_bytes=buffer_bytes)
        return UdpTransport(bind, buffer_bytes=buffer_bytes, for_crawl=for_crawl)
    except (OSError, OverflowError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "a port is 0 to 65535"
        raise ConfigError(f"cannot listen on {bind}: {reason[0].lower()}{reason[1:]}") from error


class UdpTransport:
    """Batches straight between the kernel and the boxes (Linux). `socket`: for compiled code that does more at once."""

    def __init__(self, bind: Endpoint, *, buffer_bytes: int = DEFAULT_BUFFER_BYTES, for_crawl: bool = False) -> None:
        self.socket = UdpSocket(bind.ip, bind.port, buffer_bytes=buffer_bytes,
                                patience_us=PATIENCE_US if for_crawl else 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.local = Endpoint(*self.socket.address())

    def start(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        self._loop = loop
        loop.add_reader(self.socket.fileno(), on_readable)

    def receive(self, inbox: Inbox) -> int:
        return self.socket.read(inbox)

    def run_rounds(self, core: Core, inbox: Inbox) -> int:
        """Do all that is to be done for a crawl's core as long as datagrams come quickly; how many batches."""
        rounds = run_rounds(core, self.socket, inbox)
        self.watch_room()
        return rounds

    def receive_errors(self, inbox: Inbox) -> int:
        return self.socket.read_errors(inbox)

    def flush(self, outbox: Outbox) -> int:
        sent = self.socket.write(outbox)
        self.watch_room()
        return sent

    def watch_room(self) -> None:
        """Have the event loop tell when there is room to send again, for as long as there is none."""
        self.socket.watch_writable(self.socket.is_blocked)

    @property
    def send_share(self) -> float:
        """Share of the full rate that pacing should keep to, 1.0 unless the system ran out of room for packets."""
        return self.socket.send_share

    def regain_share(self) -> float:
        """Raise the send share by a twentieth of the full rate; for the timer that runs once a second."""
        return self.socket.regain_share()

    def counters(self) -> dict[str, int]:
        return self.socket.counters()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self.socket.fileno())
            self._loop = None
        self.socket.close()


class DatagramTransport(asyncio.DatagramProtocol):
    """The same over asyncio's datagram endpoint, for systems without batches (macOS, Windows)."""

    def __init__(self, bind: Endpoint, *, buffer_bytes: int = DEFAULT_BUFFER_BYTES) -> None:
        self._is_ipv6 = bind.is_ipv6
        self._socket = open_socket(bind, buffer_bytes)
        self._transport: asyncio.DatagramTransport | None = None
        self._opening: asyncio.Task[object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_readable: Callable[[], None] = ignore
        self._arrived: deque[tuple[bytes, tuple[str, int]]] = deque()
        self._is_announced = False
        self._is_closed = False
        self._is_paused = True          # until asyncio has taken the socket over
        self._counters: Counter[str] = Counter(
            receive_buffer_bytes=self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
            send_buffer_bytes=self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
        )
        self.local = Endpoint(*self._socket.getsockname()[:2])

    def start(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        self._loop = loop
        self._on_readable = on_readable
        self._opening = loop.create_task(loop.create_datagram_endpoint(lambda: self, sock=self._socket))

    def receive(self, inbox: Inbox) -> int:
        self._counters["bytes_in"] += receive_all(inbox, self._arrived)
        self._counters["datagrams_in"] += len(inbox)
        self._counters["batches_in"] += 1 if len(inbox) else 0
        if self._arrived:
            self._announce()
        return len(inbox)

    def receive_errors(self, inbox: Inbox) -> int:
        inbox.clear()
        return 0

    def flush(self, outbox: Outbox) -> int:
        total = 0
        while len(outbox) and not self._is_paused and self._transport is not None:
            sent, size, errors = send_some(outbox, self._transport.sendto, self._is_ipv6, SEND_BATCH)
            total += sent
            self._counters["bytes_out"] += size
            for error in errors:
                self.error_received(error)
        self._counters["datagrams_out"] += total
        self._counters["blocked"] += 1 if len(outbox) else 0
        return total

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def close(self) -> None:
        self._is_closed = True
        self._is_paused = True
        self._on_readable = ignore
        self._arrived.clear()
        if self._transport is not None:
            self._transport.abort()
        elif self._opening is None:     # else it ends in connection_made: cancelled, uvloop would keep the descriptor
            self._socket.close()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        if self._is_closed:
            self._transport.abort()
        else:
            self.resume_writing()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(self._arrived) >= QUEUE_LIMIT:
            self._counters["kernel_drops"] += 1
            return
        self._arrived.append((data, addr))
        if not self._is_announced:
            self._announce()

    def error_received(self, exc: Exception) -> None:
        number = getattr(exc, "errno", None)
        self._counters["send_" + errno.errorcode.get(number or 0, type(exc).__name__)] += 1

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = self._is_closed
        self._announce()

    # Private

    def _announce(self) -> None:
        """Call `on_readable` once for all that happens in this round of the loop."""
        if not self._is_announced and self._loop is not None:
            self._is_announced = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._is_announced = False
        self._on_readable()


def open_socket(bind: Endpoint, buffer_bytes: int) -> socket.socket:
    """A bound, non-blocking UDP socket for one family, with buffers as near to the asked size as the system grants."""
    sock = socket.socket(socket.AF_INET6 if bind.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            size_buffer(sock, option, buffer_bytes)
        if bind.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((bind.ip, bind.port))
    except BaseException:
        sock.close()
        raise
    return sock


def size_buffer(sock: socket.socket, option: int, size: int) -> None:
    """Ask for `size` bytes, then for half as long as the system refuses: macOS errs where Linux would cap."""
    while size:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
            return
        except OSError:
            size //= 2


def ignore() -> None:
    """Nobody listens any more."""
