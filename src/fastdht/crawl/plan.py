"""What a crawl is to do, as values that can be written down, compared and sent to a worker. Rate class: command."""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastdht.blocklist import Blocklist, Range
from fastdht.crawl.settings import CrawlConfig, as_plain
from fastdht.crawl.zones import Zone
from fastdht.engine.clock import wall_s
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

CHECKPOINT_S = 30.0
# How fast, how long and from where: a crawl that goes on with other values of these is still the same crawl.
MANNER = ("rate", "max_in_flight", "bind", "bind6", "time_s", "max_nodes", "max_disk", "per_ip_rate", "per_ip_burst")


@dataclass(frozen=True, slots=True)
class Plan:
    """One crawl: `config` (with the zone that all zones are parts of, and no block list), cut into `zones`."""

    config: CrawlConfig
    format_: str
    zones: int = 1
    exclude: tuple[Range, ...] = ()         # addresses never asked, as ranges: a worker makes its own list of them
    checkpoint_s: float = CHECKPOINT_S

    def split(self) -> tuple[Zone, ...]:
        return self.config.zone.split(self.zones)

    def config_of(self, zone: Zone) -> CrawlConfig:
        """The configuration that one zone is crawled with."""
        return replace(self.config, zone=zone, blocklist=Blocklist(self.exclude) if self.exclude else None)

    def share(self, workers: int) -> Plan:
        """The plan of one of `workers` that crawl at a time: rates are for all of them together."""
        config = self.config
        return replace(self, config=replace(
            config, rate=config.rate / workers, per_ip_rate=config.per_ip_rate / workers,
            per_ip_burst=max(1, config.per_ip_burst // workers)))

    def going_on(self, rate: float | None, **limits: float) -> Plan:
        """The same crawl at another rate (None: as before) and with other limits."""
        return replace(self, config=replace(
            self.config, rate=self.config.rate if rate is None else rate, **limits))    # type: ignore[arg-type]

    @property
    def config_hash(self) -> str:
        """Equal for crawls whose zones may stand in one manifest."""
        values = {name: value for name, value in as_plain(self.config).items() if name not in MANNER}
        text = json.dumps([values, self.config.families, self.zones, self.format_, sorted(self.exclude)],
                          sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def from_note(note: Mapping[str, Any], exclude: tuple[Range, ...]) -> Plan:
    """The plan that crawl.json describes. Raises ConfigError."""
    try:
        given = dict(note["config"])
        second = given.get("bind6")
        given.update(bind=read_bind(given["bind"]), bind6=read_bind(second) if second else None, blocklist=None,
                     zone=Zone.parse(given["zone"]), bootstrap=tuple(given["bootstrap"]),
                     allow_net=tuple(given["allow_net"]))
        plan = Plan(CrawlConfig(**given), note["format"], note["zones"], exclude, note["checkpoint_s"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"crawl.json does not say how to go on: {error!r}") from None
    if plan.config_hash != note["config_hash"]:
        raise ConfigError("crawl.json, or the opt-out list beside it, is not what this crawl began with")
    return plan


def read_bind(text: str) -> Endpoint:
    """As str(Endpoint) wrote it; unlike a remote one's, the port may be 0."""
    host, _, port = text.rpartition(":")
    return Endpoint(host.strip("[]"), int(port))


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): its time comes first, so that names sort by age."""
    milliseconds = int(wall_s() * 1000) & ((1 << 48) - 1)
    number = int.from_bytes(os.urandom(10), "big")
    low = 0b10 << 62 | number & ((1 << 62) - 1)
    digits = f"{milliseconds << 80 | 7 << 76 | (number >> 62 & 0xFFF) << 64 | low:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
