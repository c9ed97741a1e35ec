"""The settings of a crawl. Rate class: command."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from fastdht.blocklist import Blocklist
from fastdht.crawl.zones import Zone
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

DEPTHS = ("fast", "standard", "exhaustive", "random", "own")    # in the order of _ext/questions.pxd
ANY_ADDRESS = Endpoint("0.0.0.0", 0)


@dataclass(frozen=True, slots=True)
class CrawlConfig:
    """What to crawl and how. Raises ConfigError."""

    bootstrap: tuple[str, ...]              # host:port
    bind: Endpoint = ANY_ADDRESS            # its family is the family crawled …
    bind6: Endpoint | None = None           # … and IPv6 too with this second socket, beside an IPv4 one
    allow_net: tuple[str, ...] = ()         # CIDR ranges that count as public
    blocklist: Blocklist | None = None      # addresses that are neither asked nor heard
    depth: str = "standard"
    zone: Zone = field(default_factory=Zone)
    passes: int = 1
    rate: float = 2000.0                    # packets/s; 0: no limit
    max_in_flight: int = 0                  # 0: from the rate and the round-trip times
    per_ip_rate: float = 1.0                # packets/s to one address (IPv6: to a /64); 0: no limit
    per_ip_burst: int = 4
    crowd_wait_s: float = 10.0              # how long addresses with many contacts may keep the crawl going alone
    timeout_s: float = 0.0                  # 0: from the round-trip times, 1 to 10 s
    max_contacts: int = 16_000_000          # of a family; 37 to 60 bytes each (IPv6: 12 more), taken as they come
    retry_share: float = 0.45               # retries of silent contacts per found node (standard, one pass)
    retry_referrers: int = 3                # of contacts that so many replies named
    edges: bool = False                     # keep who names whom
    seed: int = 0
    time_s: float = 0.0                     # end after so long …
    max_nodes: int = 0                      # … or with so many nodes …
    max_disk: int = 0                       # … or when the results take so many bytes; 0: no limit

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise ConfigError(f"depth is {self.depth!r}; one of {', '.join(DEPTHS)}")
        if self.passes not in (1, 2):
            raise ConfigError(f"passes is {self.passes}; 1 or 2")
        if min(self.rate, self.per_ip_rate, self.timeout_s, self.max_in_flight, self.crowd_wait_s, self.time_s,
               self.max_nodes, self.max_disk) < 0:
            raise ConfigError("a rate, a wait, a timeout, a window and a limit cannot be negative")
        if not 1 <= self.per_ip_burst <= 1000:
            raise ConfigError(f"per_ip_burst is {self.per_ip_burst}; 1 to 1000")
        if not 1 <= self.max_contacts <= 200_000_000:
            raise ConfigError(f"max_contacts is {self.max_contacts}; 1 to 200,000,000")
        if self.bind6 is not None and (self.bind.is_ipv6 or not self.bind6.is_ipv6):
            raise ConfigError(f"bind is {self.bind}, bind6 {self.bind6}; an IPv4 and an IPv6 address needed")
        if not self.bootstrap:
            raise ConfigError("no bootstrap host; a crawl must start somewhere")

    @property
    def family(self) -> Literal[4, 6]:
        return 6 if self.bind.is_ipv6 else 4

    @property
    def families(self) -> tuple[Literal[4, 6], ...]:
        """Those crawled."""
        return (self.family,) if self.bind6 is None else (4, 6)

    @property
    def binds(self) -> tuple[Endpoint, ...]:
        """A local address for each of `families`."""
        return (self.bind,) if self.bind6 is None else (self.bind, self.bind6)


def as_plain(config: CrawlConfig) -> dict[str, Any]:
    """The settings as JSON values, for crawl.json; a block list only as the number of its ranges."""
    values: dict[str, Any] = {name: getattr(config, name) for name in CrawlConfig.__dataclass_fields__}
    values["bind"] = str(config.bind)
    values["bind6"] = str(config.bind6) if config.bind6 is not None else None
    values["zone"] = str(config.zone) if config.zone.bits else None
    values["blocklist"] = len(config.blocklist) if config.blocklist else 0
    return values
