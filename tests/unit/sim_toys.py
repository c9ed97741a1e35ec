"""A toy node for tests of the simulated network, with boxes of plain Python."""
from __future__ import annotations

import asyncio
from collections import deque

from fastdht.testing import SimNetwork, SimTransport, VirtualLoop
from fastdht.types import Endpoint


class Toy:
    """A node that keeps what it gets; its inbox takes `width` datagrams at a time."""

    def __init__(self, network: SimNetwork, place: Endpoint | str, *, width: int = 64, echo: bool = False,
                 **options: object) -> None:
        self.transport: SimTransport = network.open(place, **options)
        self.got: list[tuple[int, bytes, Endpoint]] = []
        self.refused: list[tuple[bytes, Endpoint]] = []
        self._width = width
        self._echo = echo
        self._loop = network.loop
        self.batches: list[int] = []
        self.transport.start(network.loop, self.on_readable)

    def on_readable(self) -> None:
        inbox = Box(self._width)
        self.transport.receive_errors(inbox)
        self.refused += [(data, Endpoint.unpack(source)) for data, source in inbox.items]
        inbox = Box(self._width)
        if self.transport.receive(inbox):
            self.batches.append(len(inbox.items))
        for data, source in inbox.items:
            self.got.append((self._loop.clock.now_us, data, Endpoint.unpack(source)))
            if self._echo:
                self.transport.send(data, source)

    def send(self, data: bytes, target: Endpoint) -> None:
        outbox = Box(1)
        outbox.put(data, target.pack())
        self.transport.flush(outbox)


class Box:
    """An inbox and an outbox without compiled parts."""

    def __init__(self, room: int) -> None:
        self.items: deque[tuple[bytes, bytes]] = deque()
        self._room = room

    def put(self, data: bytes, source: bytes) -> bool:
        if len(self.items) == self._room:
            return False
        self.items.append((data, source))
        return True

    def clear(self) -> None:
        self.items.clear()

    def take(self) -> list[tuple[bytes, bytes]]:
        taken = list(self.items)
        self.items.clear()
        return taken


def settle(loop: VirtualLoop, seconds: float = 10.0) -> None:
    loop.run_until_complete(asyncio.sleep(seconds))
