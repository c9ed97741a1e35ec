"""Raw queries for tools that look at nodes from outside, and the answers as they came. Rate class: command.

It knows nothing of the protocol but how an answer finds its question; whatever else arrives is left unread.
"""
from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any

from fastdht import bencode
from fastdht.engine.transport import open_socket
from fastdht.errors import ConfigError, DecodeError
from fastdht.types import Endpoint

Message = dict[bytes, Any]
BUFFER_BYTES = 1 << 18      # of the socket: answers of some hundred nodes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and after how many seconds it came."""

    message: Message
    rtt: float

    @property
    def results(self) -> Message:
        """`r`, empty where there is none."""
        found = self.message.get(b"r")
        return found if isinstance(found, dict) else {}


class Probe(asyncio.DatagramProtocol):
    """Asks nodes, any number at a time; an answer is waited for `patience` seconds."""

    def __init__(self, patience: float) -> None:
        self.node_id = os.urandom(20)
        self._patience = patience
        self._waiting: dict[tuple[bytes, Endpoint], tuple[asyncio.Future[Reply], float]] = {}
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

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def ask(self, remote: Endpoint, method: bytes) -> Reply | None:
        """One query with our id as its only argument; None when nothing comes back in time."""
        self._number += 1
        tid = b"%04x" % (self._number & 0xFFFF)
        query = bencode.encode({b"t": tid, b"y": b"q", b"q": method, b"a": {b"id": self.node_id}})
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[tid, remote] = future, time.monotonic()
        assert self._transport is not None
        self._transport.sendto(query, (remote.ip, remote.port))
        try:
            async with asyncio.timeout(self._patience):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._waiting[tid, remote]

    # Called by asyncio

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            message = bencode.decode(data, strict=False)
        except DecodeError:
            return
        tid = message.get(b"t") if isinstance(message, dict) else None
        if not isinstance(tid, bytes) or message.get(b"y") == b"q":
            return
        future, sent = self._waiting.get((tid, Endpoint(*addr[:2])), (None, 0.0))
        if future is not None and not future.done():
            future.set_result(Reply(message, time.monotonic() - sent))

    def error_received(self, exc: Exception) -> None:
        """The network refused a datagram: its question runs into its timeout."""
