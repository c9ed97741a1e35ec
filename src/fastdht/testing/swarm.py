"""A virtual network on real UDP: millions of nodes behind one socket, each at its own 127.x.y.z. Rate class: command.

The nodes' tables are generated from the seed, so a swarm of a given shape always answers the same. It says who is
there (`truth`) and counts every datagram that each of them received (`counters`, `asked`).
"""
from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from fastdht._ext.swarm import Responder
from fastdht._ext.swarm_catalog import Catalog
from fastdht._ext.swarm_crowds import Crowds
from fastdht._ext.swarm_delay import DelayLine
from fastdht._ext.swarm_loop import SwarmLoop
from fastdht._ext.swarm_population import ROLE_NAMES, Population
from fastdht._ext.swarm_sessions import Sessions as Cycles
from fastdht.errors import ConfigError
from fastdht.testing.sessions import Sessions
from fastdht.testing.truth import RECORD, ROWS_AT_ONCE, TruthRow, unpack_rows

BOOTSTRAP_SIZE = 8
LIARS = ROLE_NAMES[2:]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a network is like. Shares are of 1."""

    dead_per_alive: float = 0.0     # contacts that never answer, for each node that does
    loss: float = 0.0               # each way
    sigma: float = 0.0              # of the logarithm of a contact's popularity; 0: all equal
    secure: float = 1.0             # ids that BEP 42 accepts
    wide: float = 0.0               # nodes that answer 16 to 20 contacts
    narrow: float = 0.0             # nodes that answer 1 to 3
    stale: float = 0.0              # listed contacts that carry an old id of an honest node


PROFILES: Mapping[str, Profile] = {
    "clean": Profile(),
    "easy": Profile(dead_per_alive=0.5, loss=0.005, sigma=1.0, secure=0.7, wide=0.05, narrow=0.05),
    "hard": Profile(dead_per_alive=1.0, loss=0.01, sigma=2.0, secure=0.7, wide=0.05, narrow=0.05),
}


class Swarm:
    """A network of `nodes` alive nodes; a context manager that serves in a thread of its own.

    `port` 0 lets the system pick one at `start`. `adversaries` maps names of LIARS to their number, or is a share of
    `nodes` for all kinds mixed evenly; they come on top of `nodes`, and so do the profile's dead contacts.
    `rtt="real"` delays answers (median 120 ms). `net` is the range to live in. `torrents` synthetic infohashes have
    peers at the 8 nodes closest to each; with `values_everywhere` any infohash has. About `infohashes` more live in the
    same way, and the share `support` of the nodes gives samples of theirs (BEP 51), anew every `interval_s` seconds.
    With `largest_swarm` both kinds have 1 to so many peers, seeds among them, and nodes answer scrapes (BEP 33), the
    share `full_filters` of them with every bit set. The share `churn` of the nodes come and go, half of their sessions
    within `session_s` seconds. `node_limit`: how many questions of one address an honest node answers in 10 s; 0: all.
    Raises ConfigError.
    """

    def __init__(
        self,
        nodes: int,
        seed: int = 1,
        port: int = 0,
        *,
        profile: str | Profile = "clean",
        rtt: str = "none",
        adversaries: float | Mapping[str, int] = 0,
        loss: float | None = None,
        torrents: int = 0,
        values_everywhere: bool = False,
        infohashes: int = 0,
        support: float = 0.6,
        interval_s: int = 21_600,
        largest_swarm: int = 0,
        full_filters: float = 0.0,
        net: str = "127.0.0.0/8",
        ids_per_ip: int = 200,
        churn: float = 0.0,
        session_s: float = 12_000.0,
        node_limit: int = 0,
    ) -> None:
        shape = find_profile(profile) if loss is None else replace(find_profile(profile), loss=loss)
        check_limits(nodes, port, shape, rtt, torrents)
        check_samples(infohashes, support, interval_s)
        check_crowds(largest_swarm, full_filters)
        check_habits(churn, session_s, node_limit)
        base, bits = parse_net(net)
        self.nodes = nodes
        self.seed = seed
        self.profile = shape
        self._loop: SwarmLoop | None = None
        self._thread: threading.Thread | None = None
        self._liars = count_liars(nodes, adversaries)
        self._delays = DelayLine(seed) if rtt == "real" else None
        try:
            self._people = Population(
                [nodes, round(nodes * shape.dead_per_alive), *self._liars], seed, port,
                net_base=base, net_bits=bits, secure_share=shape.secure, sigma=shape.sigma,
                stale=round(nodes * shape.stale), ids_per_ip=ids_per_ip,
                sessions=Cycles(seed, churn, session_s) if churn else None)
            catalog = Catalog(self._people, seed, infohashes, support=support, interval_s=interval_s
                              ) if infohashes else None
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self._responder = Responder(
            self._people, seed, loss=shape.loss, wide=shape.wide, narrow=shape.narrow, torrents=torrents,
            values_everywhere=values_everywhere, catalog=catalog, node_limit=node_limit,
            crowds=Crowds(seed, largest_swarm, full=full_filters) if largest_swarm else None)

    def start(self) -> Self:
        """Open the sockets (OSError when a port is taken) and serve until `stop`."""
        self.open()
        self._thread = threading.Thread(target=self._serve, name="fastdht-swarm", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and close the sockets; the counters stay. Without effect when not started."""
        if self._loop is None:
            return
        self._loop.stop()
        if self._thread is not None:
            self._thread.join()
        self._drops = self._loop.kernel_drops()
        self._loop.close()
        self._loop = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    _drops = 0

    def open(self) -> None:
        """Open the sockets only; datagrams wait in their buffers until `serve` or `start`."""
        if self._loop is None:
            self._loop = SwarmLoop(self._responder, self._delays)

    def _serve(self) -> None:
        assert self._loop is not None
        self._loop.serve()

    @property
    def port(self) -> int:
        """The first UDP port; 0 before `start` when the system is to pick it."""
        return self._people.base_port

    @property
    def bootstrap(self) -> list[str]:
        """Endpoints of a few honest nodes."""
        return [f"{row.ip}:{row.port}" for row in self.truth(0, BOOTSTRAP_SIZE) if row.reachable]

    @property
    def contacts(self) -> int:
        """How many (ip, port) the truth has: alive, dead and lying."""
        return self._people.total

    def truth(self, start: int = 0, count: int | None = None) -> Iterator[TruthRow]:
        """Rows of the truth, honest nodes first, then the dead, then the liars by kind."""
        end = self.contacts if count is None else min(start + count, self.contacts)
        for first in range(start, end, ROWS_AT_ONCE):
            yield from unpack_rows(self.truth_records(first, min(ROWS_AT_ONCE, end - first)))

    def truth_records(self, start: int, count: int) -> bytes:
        """The same, packed: RECORD.size bytes a row."""
        return self._people.truth_records(start, count)

    def answer(self, ip: str, target: bytes, port: int | None = None) -> list[tuple[bytes, str, int]]:
        """The contacts (id, ip, port) that the honest node at `ip` tells for a target; no sockets, loss or lies."""
        host = int(ipaddress.IPv4Address(ip)) & 0xFFFFFF
        serial = self._people.serial_at(host, self.port if port is None else port)
        if serial < 0:
            raise LookupError(f"no node at {ip}:{self.port if port is None else port}")
        packed = self._responder.answer(serial, target)
        return [unpack_contact(packed[i : i + 26]) for i in range(0, len(packed), 26)]

    def handle(self, data: bytes, source: tuple[str, int], destination: tuple[str, int],
               now_us: int = 0) -> list[tuple[bool, bytes]]:
        """What a datagram gets back, without sockets: (sent from another port?, bytes) for each reply."""
        return self._responder.handle(data, host_order(source), host_order(destination), now_us)

    @property
    def catalog(self) -> Catalog | None:
        """The infohashes that samples tell of; None without `infohashes`."""
        return self._responder.catalog

    @property
    def crowds(self) -> Crowds | None:
        """How many peers torrents have; None without `largest_swarm`."""
        return self._responder.crowds

    @property
    def torrents(self) -> int:
        """How many synthetic torrents there are."""
        return self._responder.torrents

    def torrent_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Each synthetic torrent's infohash and its compact peers (6 bytes each)."""
        for number in range(self._responder.torrents):
            info_hash = self._responder.torrent(number)
            yield info_hash, self._responder.torrent_peers(info_hash)

    def torrent(self, number: int) -> bytes:
        """The infohash of synthetic torrent `number`."""
        return self._responder.torrent(number)

    def torrent_peers(self, info_hash: bytes) -> list[tuple[str, int]]:
        """The peers that the nodes closest to a synthetic torrent tell."""
        packed = self._responder.torrent_peers(info_hash)
        return [unpack_peer(packed[i : i + 6]) for i in range(0, len(packed), 6)]

    def counters(self) -> dict[str, int]:
        """Totals since the start, `kernel_drops` among them; exact after `stop`."""
        drops = self._loop.kernel_drops() if self._loop is not None else self._drops
        return {**self._responder.counters(), "kernel_drops": drops}

    def asked(self, start: int = 0, count: int | None = None) -> memoryview:
        """Datagrams received by each contact, in the order of `truth`; exact after `stop`."""
        return memoryview(self._responder.asked(start, self.contacts if count is None else count)).cast("I")

    def max_packets_per_ip(self) -> int:
        """The most datagrams that one address received, over all its ports."""
        return self._responder.max_packets_per_ip()

    def asked_by_kind(self) -> dict[str, int]:
        """Datagrams received by the contacts of each kind that the network has."""
        asked, first, counts = self.asked(), 0, {}
        for kind, count in zip(ROLE_NAMES, [self.nodes, self.contacts - self.nodes - sum(self._liars), *self._liars],
                               strict=True):
            counts[kind] = sum(asked[first : first + count])
            first += count
        return {kind: count for kind, count in counts.items() if count}

    def sessions(self) -> Sessions | None:
        """Who comes and goes, and the span in which datagrams came so far (exact after `stop`); None without churn."""
        cycles = self._people.sessions
        if cycles is None:
            return None
        records = [cycles.records(first, min(ROWS_AT_ONCE, self.nodes - first))
                   for first in range(0, self.nodes, ROWS_AT_ONCE)]
        return Sessions(*self._responder.span_us(), b"".join(records))

    @property
    def buffer_bytes(self) -> int:
        """The receive buffer as the kernel granted it (it doubles what was asked); 0 before `start`."""
        return self._loop.buffer_bytes if self._loop is not None else 0

    def describe(self) -> dict[str, object]:
        """The parameters that made this swarm."""
        known = {"infohashes": self.catalog.total()} if self.catalog is not None else {}
        return {"nodes": self.nodes, "seed": self.seed, "port": self.port, "contacts": self.contacts,
                **asdict(self.profile), **known}


def find_profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise ConfigError(f"profile {profile!r}; one of {', '.join(PROFILES)}")
    return PROFILES[profile]


def check_limits(nodes: int, port: int, shape: Profile, rtt: str, torrents: int) -> None:
    if not 1 <= nodes <= 100_000_000:
        raise ConfigError(f"{nodes} nodes; 1 to 100,000,000")
    if not 0 <= port <= 65535:
        raise ConfigError(f"port {port}; 0 to 65535")
    if rtt not in ("none", "real"):
        raise ConfigError(f"rtt {rtt!r}; none or real")
    if not 0 <= torrents < 1 << 32:
        raise ConfigError(f"{torrents} torrents; 0 to 4294967295")
    for name in ("loss", "secure", "wide", "narrow", "stale"):
        share = getattr(shape, name)
        if not 0 <= share <= 1:
            raise ConfigError(f"{name} {share}; a share of 0 to 1")
    if shape.loss == 1:
        raise ConfigError("loss 1; below 1")


def check_samples(infohashes: int, support: float, interval_s: int) -> None:
    if not 0 <= infohashes <= 1 << 40:
        raise ConfigError(f"{infohashes} infohashes; 0 to {1 << 40}")
    if not 0 <= support <= 1:
        raise ConfigError(f"support {support}; a share of 0 to 1")
    if not 0 <= interval_s <= 21_600:
        raise ConfigError(f"an interval of {interval_s} s; BEP 51 allows 0 to 21600")


def check_habits(churn: float, session_s: float, node_limit: int) -> None:
    if not 0 <= churn <= 1:
        raise ConfigError(f"churn {churn}; a share of 0 to 1")
    if not 1 <= session_s <= 86_400 * 30:
        raise ConfigError(f"sessions of {session_s} s; 1 to {86_400 * 30}")
    if not 0 <= node_limit <= 1_000_000:
        raise ConfigError(f"a limit of {node_limit} answers in 10 s; 0 to 1,000,000")


def check_crowds(largest: int, full: float) -> None:
    if not 0 <= largest <= 1_000_000:
        raise ConfigError(f"a largest swarm of {largest} peers; 0 to 1,000,000")
    if not 0 <= full <= 1:
        raise ConfigError(f"full_filters {full}; a share of 0 to 1")


def count_liars(nodes: int, adversaries: float | Mapping[str, int]) -> list[int]:
    """The number of each kind of liar, in the order of LIARS."""
    if isinstance(adversaries, Mapping):
        unknown = set(adversaries) - set(LIARS)
        if unknown:
            raise ConfigError(f"adversary {min(unknown)!r}; one of {', '.join(LIARS)}")
        return [adversaries.get(name, 0) for name in LIARS]
    if not 0 <= adversaries <= 10:
        raise ConfigError(f"adversaries {adversaries}; a share of 0 to 10 of the nodes")
    total = round(nodes * adversaries)
    return [total * (i + 1) // len(LIARS) - total * i // len(LIARS) for i in range(len(LIARS))]


def parse_net(net: str) -> tuple[int, int]:
    """The low 24 bits of a range under 127.0.0.0/8, and its host bits."""
    try:
        network = ipaddress.IPv4Network(net)
    except ValueError as error:
        raise ConfigError(f"net {net!r}: {error}") from None
    if not network.subnet_of(ipaddress.IPv4Network("127.0.0.0/8")):
        raise ConfigError(f"net {net} is not under 127.0.0.0/8")
    return int(network.network_address) & 0xFFFFFF, 32 - network.prefixlen


def host_order(endpoint: tuple[str, int]) -> tuple[int, int]:
    return int(ipaddress.IPv4Address(endpoint[0])), endpoint[1]


def unpack_peer(packed: bytes) -> tuple[str, int]:
    return "{}.{}.{}.{}".format(*packed[:4]), int.from_bytes(packed[4:6], "big")


def unpack_contact(packed: bytes) -> tuple[bytes, str, int]:
    return packed[:20], *unpack_peer(packed[20:])


__all__ = ["LIARS", "PROFILES", "RECORD", "Profile", "Swarm"]
