"""Sizes of many swarms: a look-up whose answers are filters, and what they come to. Rate class: lookup.

How filters become a count, and what a liar can do to it, is the theory of `_ext/filters_votes`. Source: BEP 33.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastdht._ext import krpc
from fastdht._ext.filters import Estimate
from fastdht._ext.filters_votes import Votes
from fastdht._ext.walks import Walk
from fastdht.config import LookupConfig
from fastdht.engine.engine import Outcome
from fastdht.types import InfoHash


@dataclass(frozen=True, slots=True)
class SwarmSize:
    """What the nodes closest to an infohash say of its swarm; filters: how many of them sent some."""

    seeds: Estimate
    downloaders: Estimate
    filters: int

    @property
    def is_empty(self) -> bool:
        return not (self.seeds.count or self.downloaders.count)

    @property
    def is_saturated(self) -> bool:
        return self.seeds.is_saturated or self.downloaders.is_saturated

    def as_dict(self) -> dict[str, Any]:
        """Columns of the scrapes table: whole numbers, and no upper bound for what is saturated."""
        values: dict[str, Any] = {"filters": self.filters, "is_saturated": self.is_saturated}
        for name, estimate in (("seeds", self.seeds), ("downloaders", self.downloaders)):
            values[name] = round(estimate.count)
            values[f"{name}_low"] = int(estimate.low)
            values[f"{name}_high"] = None if estimate.is_saturated else int(estimate.high)
        return values


class ScrapeWalk(Walk):
    """A walk that asks for filters and keeps them: at most one pair for each query."""

    def __init__(self, target: InfoHash, config: LookupConfig, on_end: Callable[[Any], None] | None = None) -> None:
        super().__init__(target, config, on_end)
        self.votes = Votes()

    def on_outcome(self, outcome: Outcome, clock: Callable[[], int]) -> None:
        source, _, datagram, _ = outcome
        slots = krpc.parse(datagram, 4 if len(source) == 6 else 6) if datagram is not None else None
        if slots is not None and "id" in slots:
            self.votes.add(slots.get("seed_filter"), slots.get("peer_filter"), slots.get("values", ()))

    def size(self) -> SwarmSize:
        return SwarmSize(self.votes.seeds(), self.votes.peers(), self.votes.count)
