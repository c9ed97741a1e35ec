"""KRPC by hand: a plain socket and the bencode codec, nothing of the node that is under test.

What a BEP says a datagram looks like is written here as that datagram, so that a peer and we are compared with the
text and not with each other. Sources: BEP 5, 32, 33, 42, 43, 44, 51.
"""
from __future__ import annotations

import hashlib
import queue
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from fastdht import Endpoint, bencode

TIMEOUT_S = 2.0
TRIES = 3                   # datagrams get lost on a busy machine, too
SILENCE_S = 1.0             # the time in which an answer would have come: loopback takes a millisecond

Message = dict[bytes, Any]


class Asker:
    """A node made by hand: it asks one question at a time, and answers what it is asked, so that it counts as alive.

    A silent one would be pinged, waited for and thought dead: it would slow down every lookup of the peers that know it.
    """

    def __init__(self, ip: str) -> None:
        self.id = hashlib.sha1(ip.encode()).digest()
        self.asked: list[tuple[Endpoint, Message]] = []         # queries that others sent here
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ip, 0))
        self._answers: queue.SimpleQueue[tuple[Endpoint, Message]] = queue.SimpleQueue()
        self._next_tid = 0
        self._is_closed = False
        self.endpoint = Endpoint(*self._socket.getsockname())
        self._thread = threading.Thread(target=self._listen, name=f"asker {self.endpoint}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_closed = True
        self._socket.sendto(b"", self.endpoint)                 # wakes the thread
        self._thread.join()
        self._socket.close()

    def ask(self, remote: Endpoint, method: str, arguments: Mapping[str, Any] | None = None, *,
            timeout_s: float = TIMEOUT_S, tries: int = TRIES, **top: Any) -> Message | None:
        """The whole answer to a query, or None for silence.

        What is None is left out, also `id`; `top` adds keys beside `a`, or replaces them. With ro=1 (BEP 43), who heeds
        it does not list us: dozens of askers who know nothing would stand between a peer and our nodes.
        """
        body = {key: value for key, value in {"id": self.id, **(arguments or {})}.items() if value is not None}
        for _ in range(tries):
            self._next_tid += 1
            keys = {"a": body, "q": method, "ro": 1, "t": b"%04d" % self._next_tid, "y": "q", **top}
            message = {key: value for key, value in keys.items() if value is not None}
            answer = self.exchange(remote, bencode.encode(message), message["t"], timeout_s)
            if answer is not None:
                return answer
        return None

    def reply_of(self, remote: Endpoint, method: str, arguments: Mapping[str, Any] | None = None, **top: Any) -> Message:
        """The `r` of an answer; fails on silence and on errors."""
        answer = self.ask(remote, method, arguments, **top)
        assert answer is not None, f"{remote} does not answer {method}"
        assert answer[b"y"] == b"r", f"{remote} answers {method} with {answer.get(b'e')}"
        return answer[b"r"]

    def error_of(self, remote: Endpoint, method: str, arguments: Mapping[str, Any] | None = None, **top: Any) -> int | None:
        """The code of the error it answers with, 0 when it answers properly, None when it is silent."""
        answer = self.ask(remote, method, arguments, timeout_s=SILENCE_S, tries=2, **top)
        if answer is None:
            return None
        return answer[b"e"][0] if answer[b"y"] == b"e" else 0

    def exchange(self, remote: Endpoint, datagram: bytes, tid: bytes, timeout_s: float) -> Message | None:
        """Send one datagram and wait for the answer with its tid; any other is let go."""
        self._socket.sendto(datagram, remote)
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                source, answer = self._answers.get(timeout=left)
            except queue.Empty:
                return None
            if source == remote and answer.get(b"t") == tid:
                return answer
        return None

    def _listen(self) -> None:
        while not self._is_closed:
            try:
                data, address = self._socket.recvfrom(65536)
            except OSError:                                     # nobody is bound yet where we asked
                continue
            source, message = Endpoint(*address), read(data)
            if message.get(b"y") in (b"r", b"e"):
                self._answers.put((source, message))
            elif message.get(b"y") == b"q":
                self.asked.append((source, message))
                self._socket.sendto(self._reply(message), source)

    def _reply(self, query: Message) -> bytes:
        """It knows nobody, and takes nothing."""
        head = {"t": query.get(b"t", b""), "y": "r"}
        if query.get(b"q") == b"ping":
            return bencode.encode({**head, "r": {"id": self.id}})
        if query.get(b"q") in (b"find_node", b"get_peers"):
            return bencode.encode({**head, "r": {"id": self.id, "nodes": b""}})
        return bencode.encode({**head, "y": "e", "e": [204, "Method Unknown"]})


def read(data: bytes) -> Message:
    """A message, or an empty one for what is none."""
    try:
        message = bencode.decode(data, strict=False)
    except bencode.DecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def endpoints(values: list[bytes]) -> set[Endpoint]:
    """The peers that a get_peers reply names."""
    return {Endpoint.unpack(value) for value in values}


def named(nodes: bytes) -> set[Endpoint]:
    """The nodes that a reply names (BEP 5: 26 bytes each)."""
    assert len(nodes) % 26 == 0, f"nodes of {len(nodes)} bytes; a multiple of 26 needed"
    return {Endpoint.unpack(nodes[at + 20:at + 26]) for at in range(0, len(nodes), 26)}
