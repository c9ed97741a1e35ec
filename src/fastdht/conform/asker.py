"""The one socket that asks: paced, connected to one node, patient for so long. Rate class: command.

Connected, it hears nobody else, and learns at once when nobody listens there. It answers the pings of the node under
examination: a node that lists whoever answers it, though told that we are read-only, is to be seen doing so.
"""
from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastdht import bencode
from fastdht.conform.scene import decode
from fastdht.errors import ConfigError, DHTError
from fastdht.types import Endpoint

Watcher = Callable[[str, bytes], None]      # "sent" or "received", and the datagram
MAX_WAITING = 64        # datagrams kept while nobody waits; a node that sends more is not listened to


class Asker(asyncio.DatagramProtocol):
    """Sends at most `rate` questions a second and waits `timeout_s` for each answer."""

    def __init__(self, rate: float, timeout_s: float, watcher: Watcher | None = None) -> None:
        self.local = Endpoint("0.0.0.0", 1)
        self.on_ping: Callable[[], bytes] = lambda: b""     # gives our id
        self._interval_s = 1 / rate
        self._timeout_s = timeout_s
        self._watcher = watcher
        self._free_at = 0.0
        self._stale: set[bytes] = set()     # tids of questions that are over: one each question
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self._transport: asyncio.DatagramTransport | None = None

    async def exchange(self, datagram: bytes, tid: bytes) -> bytes | None:
        """Send; the first datagram that is no query, and no late answer to another question, or None."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._free_at - loop.time())
        self._free_at = loop.time() + self._interval_s
        while not self._arrived.empty():        # whatever it is, it answers something else
            self._arrived.get_nowait()
        self._send(datagram)
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    data = await self._arrived.get()
                    echoed = read_tid(data)
                    if echoed == tid or echoed not in self._stale:
                        return data
        except TimeoutError:
            return None
        finally:
            self._stale.add(tid)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.local = Endpoint(*transport.get_extra_info("sockname")[:2])

    def datagram_received(self, data: bytes, source: object) -> None:
        if self._watcher is not None:
            self._watcher("received", data)
        if read_kind(data) == b"q":
            self._answer(data)
        elif not self._arrived.full():
            self._arrived.put_nowait(data)

    def error_received(self, error: Exception) -> None:
        """An ICMP message: the timeout speaks for it, as for any loss."""

    def _answer(self, data: bytes) -> None:
        message = decode(data)
        if message.get(b"q") == b"ping" and isinstance(message.get(b"t"), bytes):
            self._send(bencode.encode({"r": {"id": self.on_ping()}, "t": message[b"t"], "y": "r"}))

    def _send(self, datagram: bytes) -> None:
        assert self._transport is not None
        if self._watcher is not None:
            self._watcher("sent", datagram)
        self._transport.sendto(datagram)


@contextlib.asynccontextmanager
async def open_asker(remote: Endpoint, rate: float, timeout_s: float, *, listen: Endpoint | None = None, port: int = 0,
                     watcher: Watcher | None = None) -> AsyncIterator[Asker]:
    """An asker of `remote`, from the address `listen`, or from any with this port (0: any).

    Raises ConfigError when that cannot be bound, DHTError when no road leads to the node.
    """
    if listen is None:
        listen = Endpoint("::" if remote.is_ipv6 else "0.0.0.0", port)
    bound = connect(listen, remote)
    asker = Asker(rate, timeout_s, watcher)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: asker, sock=bound)
    try:
        yield asker
    finally:
        asker.close()


def connect(listen: Endpoint, remote: Endpoint) -> socket.socket:
    if listen.is_ipv6 is not remote.is_ipv6:
        raise ConfigError(f"from {listen} no datagram gets to {remote}: one is IPv4, the other IPv6")
    bound = socket.socket(socket.AF_INET6 if remote.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        try:
            bound.bind(listen)
        except OSError as error:
            raise ConfigError(f"cannot listen on {listen}: {(error.strerror or str(error)).lower()}") from error
        try:
            bound.connect(remote)
        except OSError as error:
            raise DHTError(f"cannot send to {remote}: {(error.strerror or str(error)).lower()}") from error
    except DHTError:
        bound.close()
        raise
    return bound


def read_kind(data: bytes) -> object:
    return decode(data).get(b"y")


def read_tid(data: bytes) -> object:
    tid = decode(data).get(b"t")
    return tid if isinstance(tid, bytes) else None
