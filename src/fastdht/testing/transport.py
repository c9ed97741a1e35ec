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
COUNTERS = ("datagrams_in", "bytes_in", "batches_in", "errors_in", "kernel_drops", "datagrams_out", "bytes_out",
            "send_ENETUNREACH")


class Inbox(Protocol):
    """What a transport fills."""

    def put(self, data: bytes, source: bytes) -> bool: ...

    def clear(self) -> None: ...


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
        self._errors: deque[tuple[bytes, bytes]] = deque()
        self._on_readable: Callable[[], None] | None = None
        self._call_soon: Callable[..., Any] = network.loop.call_soon
        self._is_woken = False
        self._counts = dict.fromkeys(COUNTERS, 0)

    def start(self, loop: Any, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` on the loop whenever something waits to be received."""
        self._on_readable = on_readable
        self._call_soon = loop.call_soon
        self._wake()

    def receive(self, inbox: Inbox) -> int:
        """Clear the inbox and move what has arrived into it until it is full; returns how many."""
        inbox.clear()
        queue = self._queue
        count = 0
        size = 0
        while queue and inbox.put(*queue[0]):
            size += len(queue.popleft()[0])
            count += 1
        if count:
            self._counts["batches_in"] += 1
            self._counts["datagrams_in"] += count
            self._counts["bytes_in"] += size
        return count

    def receive_errors(self, inbox: Inbox) -> int:
        """Clear the inbox and fill it with datagrams of ours that were refused, their target as the source."""
        inbox.clear()
        count = 0
        while self._errors and inbox.put(*self._errors[0]):
            self._errors.popleft()
            count += 1
        self._counts["errors_in"] += count
        return count

    def flush(self, outbox: Outbox) -> int:
        """Send all that is queued; returns how many left. All of it fails while the network is off."""
        batch = outbox.take()
        if not self._network.is_on:
            self._counts["send_ENETUNREACH"] += len(batch)
            return 0
        for data, target in batch:
            self.send(data, target)
        return len(batch)

    def send(self, data: bytes, target: bytes) -> None:
        """Send one datagram to a compact endpoint."""
        if not self.is_open:
            return
        self._counts["datagrams_out"] += 1
        self._counts["bytes_out"] += len(data)
        source = self.packed
        if self.nat is not None:
            source = self.nat.outbound(source, target, self._network.loop.clock.now_us)
        self._network.send(data, source, target, self)

    def counters(self) -> dict[str, int]:
        """Totals since it was opened, under the names of a real transport."""
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
            self._counts["kernel_drops"] += 1
            return
        self._queue.append((data, source))
        if not self._is_woken:
            self._wake()

    def refuse(self, data: bytes, target: bytes) -> None:
        """Called by the network: an ICMP message quotes a datagram that nobody took at `target`."""
        if self.is_open and len(self._errors) < ERROR_QUEUE:
            self._errors.append((data, target))
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
