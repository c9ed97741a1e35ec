"""Our side of an interop network: a few nodes on a loop of their own thread, and a record of all they are asked."""
from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastdht import Endpoint, Node
from fastdht._ext.packets import Inbox, Outbox
from fastdht.engine.transport import Transport, open_transport
from tests.interop import wire
from tests.interop.peers.process import free_port, until

NET = "127.0.0.0/8"
CALL_TIMEOUT_S = 60.0
HEARD_LIMIT = 100_000       # queries recorded; a run of the whole ring makes a few thousand

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heard:
    """A query that one of our nodes got."""

    source: Endpoint
    node: Endpoint
    message: wire.Message

    @property
    def method(self) -> str:
        return self.message[b"q"].decode()

    @property
    def arguments(self) -> wire.Message:
        return self.message[b"a"]


class Tap:
    """A transport that writes down the queries it takes in."""

    def __init__(self, inner: Transport, hear: Callable[[Heard], None]) -> None:
        self._inner = inner
        self._hear = hear

    @property
    def local(self) -> Endpoint:
        return self._inner.local

    def start(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        self._inner.start(loop, on_readable)

    def receive(self, inbox: Inbox) -> int:
        count = self._inner.receive(inbox)
        for data, source in inbox.take():
            inbox.put(data, source)
            message = wire.read(data)
            if message.get(b"y") == b"q" and b"q" in message and b"a" in message:
                self._hear(Heard(Endpoint.unpack(source), self.local, message))
        return count

    def receive_errors(self, inbox: Inbox) -> int:
        return self._inner.receive_errors(inbox)

    def flush(self, outbox: Outbox) -> int:
        return self._inner.flush(outbox)

    def counters(self) -> dict[str, int]:
        return self._inner.counters()

    def close(self) -> None:
        self._inner.close()


class OurNodes:
    """Nodes at the given addresses, all on one port; the first is the others' way in, and is the one that asks."""

    def __init__(self, ips: Sequence[str], **options: Any) -> None:
        self.heard: list[Heard] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="our nodes", daemon=True)
        self._thread.start()
        port = free_port()
        first = f"{ips[0]}:{port}"
        self.nodes = [
            Node(f"{ip}:{port}", bootstrap=[first] if turn else [], allow_net=[NET], limits="off", query_timeout=3.0,
                 transport=lambda bind: Tap(open_transport(bind), self._hear), **options)
            for turn, ip in enumerate(ips)]
        self.endpoints = [Endpoint(ip, port) for ip in ips]
        for node in self.nodes:
            self.run(node.start())
        if len(ips) > 1:
            until(lambda: all(node.contacts() for node in self.nodes), "our nodes know each other")

    @property
    def first(self) -> Node:
        return self.nodes[0]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the nodes' loop and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)

    def do(self, work: Callable[[Node], Any]) -> Any:
        """Await what `work` makes of the first node: a coroutine or a lookup."""
        async def awaited() -> Any:
            return await work(self.first)

        return self.run(awaited())

    def heard_from(self, source: Endpoint, method: str) -> list[Heard]:
        return [heard for heard in list(self.heard) if heard.source == source and heard.method == method]

    def close(self) -> None:
        for node in self.nodes:
            self.run(node.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _hear(self, heard: Heard) -> None:
        if len(self.heard) < HEARD_LIMIT:
            self.heard.append(heard)
