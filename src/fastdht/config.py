"""Every setting, with its meaning, trade-off, unit and default. Rate class: command.

One frozen dataclass per part; `CoreConfig` gathers them for one socket. Two profiles: a node that serves, and a
crawl that only asks. Sizes are ceilings: memory is reserved for them, so that nothing grows under load.
"""
from __future__ import annotations

import ipaddress
import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

from fastdht.blocklist import Blocklist
from fastdht.errors import ConfigError

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US

BOOTSTRAP_VARIABLE = "FASTDHT_PUBLIC_BOOTSTRAP"
PUBLIC_BOOTSTRAP = (
    "router.bittorrent.com:6881",
    "router.utorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "dht.libtorrent.org:25401",
    "dht.aelitis.com:6881",
    "router.silotis.us:6881",
)
UNLIMITED = 1_000_000_000       # a rate that no machine reaches: the check still runs, and never refuses


def public_bootstrap() -> tuple[str, ...]:
    """The well-known hosts, or those that FASTDHT_PUBLIC_BOOTSTRAP names (comma-separated host:port)."""
    named = os.environ.get(BOOTSTRAP_VARIABLE)
    if named is None:
        return PUBLIC_BOOTSTRAP
    return tuple(host.strip() for host in named.split(",") if host.strip())


@dataclass(frozen=True, slots=True)
class Arguments:
    """A part whose fields are the keyword arguments of its compiled class."""

    def arguments(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TableConfig(Arguments):
    """The routing table of one family."""

    k: int = 8                          # contacts per bucket (BEP 5); more costs upkeep, gains resilience
    replacements: int = 8               # candidates kept per bucket
    max_buckets: int = 40               # splits stop here: ids that share more bits with ours are made, not met
    one_per_ip: bool = True             # a second node of an IP is a Sybil more often than a neighbour
    only_secure: bool = False           # keep nobody whose id does not fit his address (BEP 42)
    bucket_subnet_limit: int | None = None  # contacts of one /24 or /56 per bucket; None: 1 or 2; 0: no limit
    table_subnet_limit: int = 8         # and per table
    network_limit: int = 5              # contacts of one /16 or /32 per table: at most a tenth of a small one; 0: none
    questionable_us: int = 15 * MINUTE_US   # silence after which a contact is pinged (BEP 5)
    candidate_wait_us: int = 90 * SECOND_US  # before a stranger is pinged: a router's mapping must have lapsed
    max_failures: int = 3               # unanswered queries in a row that make a contact bad


@dataclass(frozen=True, slots=True)
class ThrottleConfig(Arguments):
    """Limits on what we take and give, per source and in total."""

    per_ip_rate: float = 8              # queries a second of one address …
    per_ip_burst: int = 40              # … and at once
    per_subnet_rate: float = 40         # of one /24 or /56
    per_subnet_burst: int = 120
    mute_factor: float = 3              # so many times the rate for ten seconds mutes an address …
    mute_s: int = 300                   # … for so long
    reply_bytes_per_s: int = 64_000     # of all replies; shared fairly among sources
    subnet_reply_bytes_per_s: int = 20_000
    amplification: int = 6              # bytes a source not yet proved may get per byte it sent
    outbound_per_ip: int = 10           # queries to one address per window: libtorrent bans at 50 in ten seconds
    outbound_per_subnet: int = 40       # to one /24 or /64
    outbound_window_s: int = 10
    sources: int = 65_536               # addresses remembered; the stalest makes room, as do those below
    subnets: int = 16_384
    proved: int = 16_384
    destinations: int = 16_384

    @classmethod
    def off(cls) -> Self:
        """Every check runs, none refuses: for trusted networks and benchmarks."""
        rates = ("per_ip_rate", "per_ip_burst", "per_subnet_rate", "per_subnet_burst", "mute_factor",
                 "reply_bytes_per_s", "subnet_reply_bytes_per_s", "amplification", "outbound_per_ip",
                 "outbound_per_subnet")
        return cls(**dict.fromkeys(rates, UNLIMITED))

    @classmethod
    def small(cls) -> Self:
        """For one of thousands of nodes in one process."""
        return cls(sources=256, subnets=256, proved=256, destinations=256)


@dataclass(frozen=True, slots=True)
class PeersConfig(Arguments):
    """The store of announced peers of one family."""

    max_info_hashes: int = 4096
    max_peers: int = 200_000
    peers_per_info_hash: int = 500
    ports_per_ip: int = 2               # more ports of one address are one announcer who wants to be many
    peers_per_subnet: int = 16
    info_hashes_per_ip: int = 64
    info_hashes_per_subnet: int = 256
    ttl_us: int = 45 * MINUTE_US        # announcers return every 15 to 30 minutes


@dataclass(frozen=True, slots=True)
class ItemsConfig(Arguments):
    """The store of BEP 44 items of one family. A source is an IPv4 address or an IPv6 /64, a subnet a /24 or a /56."""

    max_items: int = 1024               # about 1.2 KB each
    items_per_ip: int = 16              # one more replaces the oldest of the same source
    items_per_subnet: int = 64          # likewise; several of an office or a village write, not all of them
    ttl_us: int = 120 * MINUTE_US       # since the last put; writers return every hour (BEP 44)


@dataclass(frozen=True, slots=True)
class PutsConfig(Arguments):
    """Mutable puts that wait for the verification of their signature, the dearest thing that a datagram can cause."""

    max_parked: int = 64                # about 1.3 KB each; more that come at once are dropped
    parked_per_ip: int = 8
    parked_per_subnet: int = 16
    verifications_per_s: float = 200    # at 40 µs each, under 1 % of a processor


@dataclass(frozen=True, slots=True)
class LookupConfig:
    """How a lookup walks."""

    alpha: int = 4                      # queries in flight; more is faster and costs more of them
    width: int = 8                      # closest nodes that must have answered …
    wide_width: int = 18                # … once two of them have failed; 16 found 98.8 % with 30 % dead, 18 over 99 %
    subnet_limit: int = 1               # candidates of one /24 or /64; 0: no limit
    max_queries: int = 100
    deadline_us: int = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class CoreConfig:
    """One participant: one socket, one family, one id."""

    family: Literal[4, 6] = 4
    allowed_nets: tuple[str, ...] = ()  # CIDR ranges that count as public besides those that are
    blocklist: Blocklist | None = None  # addresses we neither hear nor ask
    read_only: bool = False             # ask, never serve (BEP 43)
    values_per_reply: int = 50          # peers in one get_peers reply; 50 IPv4 peers and 8 nodes are 698 bytes
    sample_interval_s: int = 21_600     # how long the info-hashes we show stay the same (BEP 51: at most 6 hours)
    outbox: int = 256                   # datagrams waiting for the socket; a power of two
    inbox: int = 64                     # datagrams per receive call
    transactions: int = 2048
    lookups: int = 64
    values_per_lookup: int = 2000       # peers kept of one lookup
    events: int = 64                    # answers to direct queries waiting for Python
    stall_us: int = SECOND_US           # after this long another node is asked; the answer still counts
    timeout_us: int = 10 * SECOND_US    # the hard limit of a query
    table: TableConfig = field(default_factory=TableConfig)
    throttle: ThrottleConfig = field(default_factory=ThrottleConfig)
    peers: PeersConfig = field(default_factory=PeersConfig)
    items: ItemsConfig = field(default_factory=ItemsConfig)
    puts: PutsConfig = field(default_factory=PutsConfig)

    def __post_init__(self) -> None:
        if self.family not in (4, 6):
            raise ConfigError(f"family is {self.family}; 4 or 6")
        if not 0 < self.stall_us <= self.timeout_us:
            raise ConfigError(f"stall_us is {self.stall_us}; 1 to timeout_us ({self.timeout_us})")
        if not 0 <= self.sample_interval_s <= 21_600:
            raise ConfigError(f"sample_interval_s is {self.sample_interval_s}; 0 to 21600 (BEP 51)")
        for net in self.allowed_nets:
            try:
                ipaddress.ip_network(net, strict=False)
            except ValueError as error:
                raise ConfigError(f"allowed net {net!r}: {error}") from None

    @classmethod
    def crawl(cls, family: Literal[4, 6] = 4, **changes: Any) -> Self:
        """The crawl profile: asks at high rate, keeps no table, serves nobody."""
        return cls(family=family, read_only=True, transactions=131_072, lookups=1, values_per_lookup=1, events=64,
                   stall_us=2 * SECOND_US, timeout_us=10 * SECOND_US, throttle=ThrottleConfig.off(), **changes)

    def limits_off(self) -> Self:
        """The same with every rate limit lifted; the bounds of containers stay."""
        return replace(
            self,
            throttle=ThrottleConfig.off(),
            table=replace(self.table, network_limit=0),
            peers=replace(self.peers, peers_per_subnet=self.peers.peers_per_info_hash,
                          info_hashes_per_ip=self.peers.max_info_hashes,
                          info_hashes_per_subnet=self.peers.max_info_hashes,
                          ports_per_ip=self.peers.peers_per_info_hash),
            items=replace(self.items, items_per_ip=self.items.max_items, items_per_subnet=self.items.max_items),
            puts=replace(self.puts, parked_per_ip=self.puts.max_parked, parked_per_subnet=self.puts.max_parked,
                         verifications_per_s=UNLIMITED),
        )
