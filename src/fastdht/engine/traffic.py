"""A transport that shows every datagram to somebody before it passes on. Rate class: batch.

For logs of what goes over the wire: a node without one has a bare transport, and pays nothing. Nothing is changed,
reordered or lost on the way; a batch with a datagram that was cut short passes unseen.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastdht._ext.packets import Inbox, Outbox
from fastdht.engine.transport import Transport, open_transport
from fastdht.types import Endpoint

SENT, RECEIVED = True, False

Watcher = Callable[[bool, bytes, bytes], None]      # SENT or RECEIVED, the datagram, the compact remote endpoint


class WatchedTransport:
    """`inner`, and `told` of each datagram; `told` must not raise."""

    def __init__(self, inner: Transport, told: Watcher) -> None:
        self._inner = inner
        self._told = told
        self._seen = 0              # datagrams at the head of the outbox that were shown and had to wait

    @property
    def local(self) -> Endpoint:
        return self._inner.local

    def start(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        self._inner.start(loop, on_readable)

    def receive(self, inbox: Inbox) -> int:
        count = self._inner.receive(inbox)
        if count and not inbox.truncated:
            for data, source in inbox.take():
                self._told(RECEIVED, data, source)
                inbox.put(data, source)
        return count

    def receive_errors(self, inbox: Inbox) -> int:
        return self._inner.receive_errors(inbox)

    def flush(self, outbox: Outbox) -> int:
        if len(outbox) > self._seen:
            for number, (data, target) in enumerate(outbox.take()):
                if number >= self._seen:
                    self._told(SENT, data, target)
                outbox.put(data, target)
        sent = self._inner.flush(outbox)
        self._seen = len(outbox)
        return sent

    def counters(self) -> dict[str, int]:
        return self._inner.counters()

    def close(self) -> None:
        self._inner.close()


def watched(told: Watcher) -> Callable[[Endpoint], Transport]:
    """What Node takes as `transport`."""
    return lambda bind: WatchedTransport(open_transport(bind), told)
