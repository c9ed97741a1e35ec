"""A datagram network in memory and virtual time. Rate class: packet (per datagram: one heap entry, a few look-ups).

Everything that may happen to a datagram is drawn from one seeded generator in the order of sending, so that the same
seed and the same program give the same datagrams at the same microseconds. Endpoints are compact inside (6 or 18
bytes) and may be given as `Endpoint`, text, bytes or a SimTransport. Nothing here raises for what a datagram holds.
"""
from __future__ import annotations

import heapq
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from random import Random

from fastdht.errors import ConfigError
from fastdht.testing.clock import VirtualLoop
from fastdht.testing.latency import Latency, constant
from fastdht.testing.nat import Nat
from fastdht.testing.trace import Trace
from fastdht.testing.transport import SimTransport
from fastdht.types import Endpoint

REORDER_US = 50_000             # a held back datagram waits up to this much longer
DUPLICATE_US = 5_000            # a copy follows within this much
DYNAMIC_PORTS = range(49_152, 65_536)   # RFC 6335

Behaviour = Callable[[bytes, bytes], Iterable[tuple[bytes, bytes]]]
"""A remote end made of one function: (datagram, compact source) → datagrams to send with their compact targets."""


class Partition:
    """A cut between two groups of endpoints; `heal()` mends it."""

    def __init__(self, network: SimNetwork, left: frozenset[bytes], right: frozenset[bytes] | None) -> None:
        self._network = network
        self._left = left
        self._right = right

    def separates(self, a: bytes, b: bytes) -> bool:
        """Whether the cut lies between two compact endpoints."""
        if self._right is None:
            return (a in self._left) != (b in self._left)
        return (a in self._left and b in self._right) or (b in self._left and a in self._right)

    def heal(self) -> None:
        """Let datagrams pass again; harmless when healed already."""
        if self in self._network.cuts:
            self._network.cuts.remove(self)


Place = Endpoint | str | bytes | SimTransport


class Actor:
    """A Behaviour at an endpoint."""

    __slots__ = ("behaviour", "network", "packed")

    def __init__(self, network: SimNetwork, packed: bytes, behaviour: Behaviour) -> None:
        self.network = network
        self.packed = packed
        self.behaviour = behaviour

    def arrive(self, data: bytes, source: bytes) -> None:
        for answer, target in self.behaviour(data, source):
            self.network.send(answer, self.packed, target)


Host = SimTransport | Actor


class SimNetwork:
    """Carries datagrams between the transports and behaviours at its endpoints.

    `latency` is milliseconds or a function of `fastdht.testing.latency`; `loss`, `duplicate` and `reorder` are
    probabilities per datagram; `icmp` tells a sender that nobody listens at its target. Raises ValueError for a
    probability outside 0 to 1.
    """

    def __init__(self, loop: VirtualLoop, seed: int | None = None, *, latency: Latency | float = 20.0,
                 loss: float = 0.0, duplicate: float = 0.0, reorder: float = 0.0, icmp: bool = False) -> None:
        for name, value in (("loss", loss), ("duplicate", duplicate), ("reorder", reorder)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}; a probability of 0 to 1 needed")
        self.loop = loop
        self.latency = latency if callable(latency) else constant(latency)
        self.loss = loss
        self.duplicate = duplicate
        self.reorder = reorder
        self.icmp = icmp
        self.is_on = True
        self.names: dict[str, list[str]] = {}       # what the loop's getaddrinfo answers
        self.cuts: list[Partition] = []
        self.dropped: Counter[str] = Counter()
        self.sent = 0
        self.delivered = 0
        self._clock = loop.clock
        self._rng = Random(loop.seed if seed is None else seed)
                # due, order, target, source, data, and whether this is an ICMP refusal that quotes `data`
        self._heap: list[tuple[int, int, bytes, bytes, bytes, bool]] = []
        self._order = 0
        self._hosts: dict[bytes, Host] = {}
        self._inside: dict[bytes, Host] = {}               # behind a NAT, by its external address and internal endpoint
        self._nats: dict[bytes, Nat] = {}                   # by external address
        self._down: set[bytes] = set()
        self._losses: dict[bytes, tuple[float, float]] = {}
        self._traces: list[Trace] = []
        loop.attach(self)
        loop.resolve = self.resolve

    def open(self, place: Place, nat: Nat | None = None) -> SimTransport:
        """A transport at an endpoint, or at an internal one behind a NAT; port 0 takes a free one.

        Raises ConfigError when the endpoint is taken. Behind another NAT the same internal endpoint is another place.
        """
        table, prefix = (self._hosts, b"") if nat is None else (self._inside, nat.external_ip)
        packed = free_endpoint(pack(place), prefix, table)
        transport = SimTransport(self, packed, nat)
        table[prefix + packed] = transport
        if nat is not None:
            self._nats[nat.external_ip] = nat
        return transport

    def move(self, nat: Nat, external_ip: bytes) -> None:
        """Give a translator another external address (4 or 16 bytes), as a provider does; its mappings are gone."""
        behind = {key: host for key, host in self._inside.items() if key.startswith(nat.external_ip)}
        for key in behind:
            del self._inside[key]
        self._inside |= {external_ip + host.packed: host for host in behind.values()}
        del self._nats[nat.external_ip]
        self._nats[external_ip] = nat
        nat.external_ip = external_ip
        nat.rebind()

    def act(self, place: Place, behaviour: Behaviour) -> None:
        """Let a function answer at an endpoint. Raises ConfigError when it is taken."""
        packed = free_endpoint(pack(place), b"", self._hosts)
        self._hosts[packed] = Actor(self, packed, behaviour)

    def remove(self, place: Place) -> None:
        """Nobody is at this endpoint from now on; harmless when nobody was."""
        if isinstance(place, SimTransport) and place.nat is not None:
            self._inside.pop(place.nat.external_ip + place.packed, None)
        else:
            self._hosts.pop(pack(place), None)

    def down(self, place: Place) -> None:
        """Cut one endpoint off, both ways; a node behind a NAT by its internal endpoint."""
        self._down.add(pack(place))

    def up(self, place: Place) -> None:
        """Undo `down`."""
        self._down.discard(pack(place))

    def off(self) -> None:
        """Take the whole network away: no datagram arrives, no name resolves."""
        self.is_on = False

    def on(self) -> None:
        """Give the network back."""
        self.is_on = True

    def partition(self, left: Iterable[Place], right: Iterable[Place] | None = None) -> Partition:
        """Cut a group off from another, or from everybody else; what is on its way across is lost too."""
        cut = Partition(self, frozenset(map(pack, left)), None if right is None else frozenset(map(pack, right)))
        self.cuts.append(cut)
        return cut

    def lose(self, place: Place, *, outbound: float = 0.0, inbound: float = 0.0) -> None:
        """Lose this share of what one endpoint sends and receives, beside the network's own `loss`."""
        self._losses[pack(place)] = (outbound, inbound)

    def capture(self, limit: int = 1_000_000) -> Trace:
        """Record every datagram sent from now on, the newest `limit` of them."""
        trace = Trace(limit)
        self._traces.append(trace)
        return trace

    def release(self, trace: Trace) -> None:
        """End a recording; what it holds stays."""
        self._traces.remove(trace)

    def resolve(self, name: str) -> list[str]:
        """The addresses of a name from `names`. Raises socket.gaierror for any other, and while off."""
        if not self.is_on:
            raise socket.gaierror(socket.EAI_AGAIN, f"{name}: the network is off")
        if name not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, f"{name}: not in the network's names")
        return self.names[name]

    def send(self, data: bytes, source: bytes, target: bytes, transport: SimTransport | None = None) -> None:
        """Put a datagram on its way between two compact endpoints, or lose it."""
        self.sent += 1
        if self._traces:
            for trace in self._traces:
                trace.record(self._clock.now_us, source, target, data)
        reason = self._loses(source, target, transport)
        if reason is not None:
            self.dropped[reason] += 1
            return
        rng = self._rng
        due_us = self._clock.now_us + self.latency(rng)
        if self.reorder and rng.random() < self.reorder:
            due_us += int(rng.random() * REORDER_US)
        self._order += 1
        heapq.heappush(self._heap, (due_us, self._order, target, source, data, False))
        if self.duplicate and rng.random() < self.duplicate:
            self._order += 1
            due_us += int(rng.random() * DUPLICATE_US)
            heapq.heappush(self._heap, (due_us, self._order, target, source, data, False))

    def next_us(self) -> int | None:
        """When the next datagram arrives; None when none is on its way."""
        return self._heap[0][0] if self._heap else None

    def deliver(self) -> None:
        """Hand over all datagrams that are due; called by the loop."""
        heap = self._heap
        now_us = self._clock.now_us
        while heap and heap[0][0] <= now_us:
            _, _, target, source, data, is_refusal = heapq.heappop(heap)
            host = self._hosts.get(target)
            if host is None and target[:-2] in self._nats:
                host = self._behind_nat(target, source)
                if host is None:
                    self.dropped["nat"] += 1
                    continue
            if self._down or self.cuts or not self.is_on:
                reason = self._is_cut(host.packed if host is not None else target, source)
                if reason is not None:
                    self.dropped[reason] += 1
                    continue
            if is_refusal:
                if isinstance(host, SimTransport):
                    host.refuse(data, source)
            elif host is not None:
                self.delivered += 1
                host.arrive(data, source)
            else:
                self._report_nobody(target, source, data)

    def _loses(self, source: bytes, target: bytes, transport: SimTransport | None) -> str | None:
        if self._down or self.cuts or not self.is_on:
            reason = self._is_cut(target, source if transport is None else transport.packed)
            if reason is not None:
                return reason
        if self.loss and self._rng.random() < self.loss:
            return "loss"
        if self._losses:
            inner = source if transport is None else transport.packed
            outbound = self._losses.get(inner, (0.0, 0.0))[0]
            inbound = self._losses.get(target, (0.0, 0.0))[1]
            if (outbound and self._rng.random() < outbound) or (inbound and self._rng.random() < inbound):
                return "loss"
        return None

    def _is_cut(self, target: bytes, source: bytes) -> str | None:
        if not self.is_on:
            return "off"
        if source in self._down or target in self._down:
            return "down"
        if any(cut.separates(source, target) for cut in self.cuts):
            return "partition"
        return None

    def _behind_nat(self, target: bytes, source: bytes) -> Host | None:
        nat = self._nats[target[:-2]]
        internal = nat.inbound(target, source, self._clock.now_us)
        return None if internal is None else self._inside.get(nat.external_ip + internal)

    def _report_nobody(self, target: bytes, source: bytes, data: bytes) -> None:
        self.dropped["nobody"] += 1
        if self.icmp:
            self._order += 1
            due_us = self._clock.now_us + self.latency(self._rng)
            heapq.heappush(self._heap, (due_us, self._order, source, target, data, True))


def pack(place: Place) -> bytes:
    """The compact form of an endpoint given as Endpoint, text, bytes or transport. Raises DecodeError."""
    if isinstance(place, SimTransport):
        return place.packed
    if isinstance(place, bytes):
        return Endpoint.unpack(place).pack()
    return (place if isinstance(place, Endpoint) else Endpoint.parse(place)).pack()


def free_endpoint(packed: bytes, prefix: bytes, table: Mapping[bytes, Host]) -> bytes:
    """The endpoint itself, or with the first free dynamic port for port 0. Raises ConfigError when it is taken."""
    if packed[-2:] == b"\0\0":
        ports = (packed[:-2] + port.to_bytes(2, "big") for port in DYNAMIC_PORTS)
        return next(candidate for candidate in ports if prefix + candidate not in table)
    if prefix + packed in table:
        raise ConfigError(f"cannot listen on {Endpoint.unpack(packed)}: address already in use")
    return packed
