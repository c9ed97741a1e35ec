"""The end of a simulated network that an Engine uses as its socket. Rate class: batch.

A transport moves whole batches between the network and the Engine's Inbox and Outbox. Its buffers are bounded as a
kernel's are, the newest being lost, since a receiver that does not keep up must see losses in a simulation too.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from fastdht.testing.nat import Nat
from fastdht.types import Endpoint

if TYPE_CHECKING:
    from fastdht.testing.network import SimNetwork

SOCKET_BUFFER = 4096            # datagrams a receiver may leave unread; then the newest is lost
ERROR_QUEUE = 64                # refusals a sender may leave unread; then the newest is lost


class Inbox(Protocol):
    """What a transport fills."""

    def put(self, data: bytes, source: bytes) -> bool: ...


class Outbox(Protocol):
    """What a transport empties."""

    def take(self) -> list[tuple[bytes, bytes]]: ...


class SimTransport:
    """The end of a SimNetwork that an Engine uses as its socket. Made by `SimNetwork.open`."""

    def __init__(self, network: SimNetwork, packed: bytes, nat: Nat | None) -> None:
        self.local = Endpoint.unpack(packed)
        self.packed = packed
        self.nat = nat
        self.is_open = True
        self._network = network
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._errors: deque[bytes] = deque()
        self._on_readable: Callable[[], None] | None = None
        self._call_soon: Callable[..., Any] = network.loop.call_soon
        self._is_woken = False
        self._counts = {"received": 0, "sent": 0, "receive_drops": 0, "send_errors": 0}

    def start(self, loop: Any, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` on the loop whenever something waits to be received."""
        self._on_readable = on_readable
        self._call_soon = loop.call_soon
        self._wake()

    def receive(self, inbox: Inbox) -> int:
        """Move what has arrived into the inbox until it is full; returns how many."""
        queue = self._queue
        count = 0
        while queue and inbox.put(*queue[0]):
            queue.popleft()
            count += 1
        self._counts["received"] += count
        return count

    def receive_errors(self, inbox: Inbox) -> int:
        """Move the targets that refused a datagram into the inbox, as empty datagrams from them; returns how many."""
        count = 0
        while self._errors and inbox.put(b"", self._errors[0]):
            self._errors.popleft()
            count += 1
        return count

    def flush(self, outbox: Outbox) -> int:
        """Send all that is queued; returns how many left."""
        batch = outbox.take()
        for data, target in batch:
            self.send(data, target)
        return len(batch)

    def send(self, data: bytes, target: bytes) -> None:
        """Send one datagram to a compact endpoint."""
        if not self.is_open:
            return
        self._counts["sent"] += 1
        source = self.packed
        if self.nat is not None:
            source = self.nat.outbound(source, target, self._network.loop.clock.now_us)
        self._network.send(data, source, target, self)

    def counters(self) -> dict[str, int]:
        """Datagrams received, sent, lost to a full buffer, and sends that failed."""
        return dict(self._counts)

    def close(self) -> None:
        """Leave the network; what is on its way here is lost. Harmless when closed already."""
        if self.is_open:
            self.is_open = False
            self._queue.clear()
            self._network.remove(self)

    def arrive(self, data: bytes, source: bytes) -> None:
        """Called by the network."""
        if len(self._queue) >= SOCKET_BUFFER:
            self._counts["receive_drops"] += 1
            return
        self._queue.append((data, source))
        if not self._is_woken:
            self._wake()

    def refuse(self, target: bytes) -> None:
        """Called by the network: an ICMP message says that nobody listens at `target`."""
        if self.is_open and len(self._errors) < ERROR_QUEUE:
            self._errors.append(target)
            self._wake()

    def _wake(self) -> None:
        if self._on_readable is not None and not self._is_woken and (self._queue or self._errors):
            self._is_woken = True
            self._call_soon(self._run)

    def _run(self) -> None:
        self._is_woken = False
        if self.is_open and self._on_readable is not None:
            self._on_readable()
            self._wake()        # level-triggered, as a selector is: what was left unread is announced again
