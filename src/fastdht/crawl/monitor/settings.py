"""The settings of a monitor, and how a round is laid out in time. Rate class: command.

Each node has its place in every round, so that it is visited every `every_s` seconds to the tick, and a round costs
the same at any moment. The nodes of one address have places apart from each other.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Literal, NamedTuple, Self

from fastdht.blocklist import Range
from fastdht.config import SECOND_US
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

TRIES = 2                   # of a visit: silence is asked once more, in the same round
LEAST_TIMEOUTS = 4          # of a round: both tries of the last visit, and as much time for the others
SLACK = 20                  # a twentieth of a round is left free, for who is late
LOOKUP_QUERIES = 60         # of one look-up, at most
DEFAULT_NODES = 1000
MAX_NODES = 1_000_000
MAX_FOLLOW = 1000
ANY_ADDRESS = Endpoint("0.0.0.0", 0)


class Member(NamedTuple):
    """One node of a cohort: its id and its compact endpoint when it was chosen."""

    id: bytes
    endpoint: bytes


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """Whom to visit how often. Raises ConfigError."""

    bootstrap: tuple[str, ...]              # host:port; for a random sample, and for targets
    bind: Endpoint = ANY_ADDRESS
    allow_net: tuple[str, ...] = ()         # CIDR ranges that count as public
    nodes: int = DEFAULT_NODES              # of the cohort, at most
    every_s: float = 60.0                   # from a node's visit to its next
    duration_s: float = 3600.0              # 0: until it is stopped
    rate: float = 2000.0                    # packets/s at most; 0: no limit
    per_ip_rate: float = 1.0                # packets/s to one address; 0: no limit
    timeout_s: float = 3.0                  # of one try
    targets: tuple[bytes, ...] = ()         # 20 bytes each, looked up once a round
    follow: int = 16                        # ids of nodes that have gone, looked up each round: are they elsewhere?
    checkpoint_s: float = 60.0              # what was seen is safe on disk after so long
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.follow <= MAX_FOLLOW:
            raise ConfigError(f"follow is {self.follow}; 0 to {MAX_FOLLOW}")
        if not 1 <= self.nodes <= MAX_NODES:
            raise ConfigError(f"{self.nodes} nodes; 1 to {MAX_NODES:,}")
        if min(self.rate, self.per_ip_rate, self.duration_s) < 0 or min(self.timeout_s, self.checkpoint_s) <= 0:
            raise ConfigError("a rate and a duration cannot be negative, nor a timeout or a checkpoint zero")
        if self.every_s < LEAST_TIMEOUTS * self.timeout_s:
            raise ConfigError(f"a visit every {self.every_s:g} s with a timeout of {self.timeout_s:g} s; "
                              f"at least {LEAST_TIMEOUTS} timeouts")
        if any(len(target) != 20 for target in self.targets):
            raise ConfigError("a target is 20 bytes")

    @property
    def family(self) -> Literal[4, 6]:
        return 6 if self.bind.is_ipv6 else 4

    @property
    def every_us(self) -> int:
        return int(self.every_s * SECOND_US)

    @property
    def window_us(self) -> int:
        """The part of a round in which visits begin."""
        return int((self.every_s * (1 - 1 / SLACK) - TRIES * self.timeout_s) * SECOND_US)

    @property
    def rounds(self) -> int | None:
        """How many there will be; None: until it is stopped."""
        return max(1, round(self.duration_s / self.every_s)) if self.duration_s else None

    @property
    def nodes_per_address(self) -> int:
        """How many nodes of one address can be visited within its rate, both tries of each; 0: no limit."""
        return max(1, int(self.per_ip_rate * self.window_us / SECOND_US / TRIES)) if self.per_ip_rate else 0

    def check_rate(self, nodes: int) -> None:
        """Raise ConfigError when the rate is too low for a cohort of so many."""
        needed = self._packets(nodes) * SECOND_US / self.window_us
        if self.rate and needed > self.rate:
            raise ConfigError(f"{nodes:,} nodes and {len(self.targets)} targets every {self.every_s:g} s take up to "
                              f"{math.ceil(needed):,} packets/s; the rate is {self.rate:,.0f}")

    def followed(self, nodes: int) -> int:
        """How many of those that have gone can be looked up in a round with what the rate leaves."""
        if not self.rate:
            return self.follow
        return min(self.follow, int((self.rate * self.window_us / SECOND_US - self._packets(nodes)) / LOOKUP_QUERIES))

    def _packets(self, nodes: int) -> int:
        """Of a round, at most."""
        return TRIES * nodes + LOOKUP_QUERIES * len(self.targets)

    def as_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "bind": str(self.bind), "targets": [target.hex() for target in self.targets]}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """From what `as_plain` gave. Raises ConfigError."""
        try:
            given = dict(values)
            host, _, port = given["bind"].rpartition(":")
            given.update(bind=Endpoint(host.strip("[]"), int(port)), bootstrap=tuple(given["bootstrap"]),
                         allow_net=tuple(given["allow_net"]), targets=tuple(map(bytes.fromhex, given["targets"])))
            return cls(**given)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"crawl.json does not say how to go on: {error!r}") from None


def choose_members(candidates: Iterable[Member], config: MonitorConfig, exclude: Sequence[Range] = ()
                   ) -> tuple[list[Member], int]:
    """At most `config.nodes` of them, drawn at random, and how many were left out as their address has too many.

    An endpoint counts once; those of the other family, or on the opt-out list, not at all.
    """
    size = 6 if config.family == 4 else 18
    by_endpoint = {each.endpoint: each for each in candidates
                   if len(each.endpoint) == size and not is_excluded(each.endpoint, exclude)}
    drawn = [by_endpoint[endpoint] for endpoint in sorted(by_endpoint)]
    Random(config.seed).shuffle(drawn)
    limit, at_address = config.nodes_per_address, Counter[bytes]()
    chosen: list[Member] = []
    crowded = 0
    for member in drawn:
        if len(chosen) == config.nodes:
            break
        if limit and at_address[member.endpoint[:-2]] >= limit:
            crowded += 1
            continue
        at_address[member.endpoint[:-2]] += 1
        chosen.append(member)
    return chosen, crowded


def is_excluded(endpoint: bytes, exclude: Sequence[Range]) -> bool:
    number, family = int.from_bytes(endpoint[:-2], "big"), 4 if len(endpoint) == 6 else 6
    return any(kind == family and first <= number <= last for kind, first, last in exclude)


def lay_out(members: Sequence[Member], config: MonitorConfig) -> list[tuple[int, int]]:
    """When each node is visited: (µs after the round's beginning, its number), in order of time.

    The nodes of one address are spread evenly over the round; where the first of them comes is chance.
    """
    rng = Random(config.seed)
    at_address: dict[bytes, list[int]] = {}
    for number, member in enumerate(members):
        at_address.setdefault(member.endpoint[:-2], []).append(number)
    window_us = config.window_us
    places = []
    for numbers in at_address.values():
        first = rng.random()
        places += [(int((first + i / len(numbers)) % 1.0 * window_us), number) for i, number in enumerate(numbers)]
    return sorted(places)
