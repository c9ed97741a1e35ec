"""Raw KRPC for tools that look at nodes from outside: whole messages out, whole messages in. Rate class: command.

It knows nothing of the protocol but how an answer finds its question, so that whatever a node sends is seen as it is.
"""
from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from fastdht import bencode
from fastdht.engine.transport import open_socket
from fastdht.errors import ConfigError, DecodeError
from fastdht.types import Endpoint

Message = dict[bytes, Any]
BUFFER_BYTES = 1 << 18      # of the socket: answers of some hundred nodes
MAX_STRAYS = 64             # datagrams kept that answer nothing; the oldest goes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the datagram, what it says, and after how many seconds it came."""

    raw: bytes
    message: Message
    rtt: float

    @property
    def results(self) -> Message:
        """`r`, empty where there is none."""
        found = self.message.get(b"r")
        return found if isinstance(found, dict) else {}

    @property
    def error(self) -> int | None:
        """The code of an error, None for an answer that is none."""
        found = self.message.get(b"e")
        return found[0] if isinstance(found, list) and found and isinstance(found[0], int) else None


class Probe(asyncio.DatagramProtocol):
    """Asks one node at a time or many; `node_id` is what we say we are."""

    def __init__(self, patience: float) -> None:
        self.node_id = os.urandom(20)
        self.patience = patience     # seconds
        self.strays: deque[tuple[bytes, Endpoint]] = deque(maxlen=MAX_STRAYS)
        self._waiting: dict[tuple[bytes, Endpoint], asyncio.Future[Reply]] = {}
        self._sent: dict[tuple[bytes, Endpoint], float] = {}
        self._number = 0
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls, bind: Endpoint, patience: float) -> Probe:
        """Raises ConfigError when the address cannot be bound."""
        try:
            bound = open_socket(bind, BUFFER_BYTES)
        except OSError as error:
            raise ConfigError(f"cannot listen on {bind}: {(error.strerror or str(error)).lower()}") from error
        _, probe = await asyncio.get_running_loop().create_datagram_endpoint(lambda: cls(patience), sock=bound)
        return probe

    @property
    def local(self) -> Endpoint:
        assert self._transport is not None
        return Endpoint(*self._transport.get_extra_info("sockname")[:2])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def ask(self, remote: Endpoint, method: bytes, arguments: Message | None = None, *,
                  tid: bytes | None = None, extra: Message | None = None) -> Reply | None:
        """One query with our id among its arguments; None when nothing comes back in time."""
        tid = tid or self.new_tid()
        message = {b"t": tid, b"y": b"q", b"q": method,
                   b"a": {b"id": self.node_id} | (arguments or {})} | (extra or {})
        return await self.send(remote, bencode.encode(message), tid)

    async def send(self, remote: Endpoint, data: bytes, tid: bytes) -> Reply | None:
        """Any datagram, and what comes back with that transaction id."""
        key = (tid, remote)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[key], self._sent[key] = future, time.monotonic()
        assert self._transport is not None
        self._transport.sendto(data, (remote.ip, remote.port))
        try:
            async with asyncio.timeout(self.patience):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._waiting[key], self._sent[key]

    def throw(self, remote: Endpoint, data: bytes) -> None:
        """Any datagram; what comes back is a stray."""
        assert self._transport is not None
        self._transport.sendto(data, (remote.ip, remote.port))

    def new_tid(self) -> bytes:
        self._number += 1
        return b"%04x" % (self._number & 0xFFFF)

    # Called by asyncio

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        source = Endpoint(*addr[:2])
        try:
            message = bencode.decode(data, strict=False)
        except DecodeError:
            message = None
        tid = message.get(b"t") if isinstance(message, dict) else None
        key = (tid, source) if isinstance(tid, bytes) else (b"", source)
        future = self._waiting.get(key)
        if future is None or future.done() or not isinstance(message, dict) or message.get(b"y") == b"q":
            self.strays.append((data, source))
            return
        future.set_result(Reply(data, message, time.monotonic() - self._sent[key]))

    def error_received(self, exc: Exception) -> None:
        """The network refused a datagram: its question runs into its timeout."""
