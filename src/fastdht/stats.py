"""Reports of what was done and found. Rate class: lookup and command.

Mixed outcomes are data: a report tells what each contact did, an error is raised only when nobody did anything.
"""
from __future__ import annotations

from dataclasses import dataclass

from fastdht.types import Contact, Endpoint, NodeId


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping: who, after how many seconds, and the client's version string (BEP 5 `v`)."""

    id: NodeId
    endpoint: Endpoint
    rtt: float
    version: bytes | None


@dataclass(frozen=True, slots=True)
class ClosestContact:
    """A node of a lookup's closest set: its write token, round-trip time in seconds and distance in hops."""

    contact: Contact
    token: bytes | None
    rtt: float
    hops: int


@dataclass(frozen=True, slots=True)
class LookupReport:
    """What a lookup found and what it cost.

    `closest` holds the closest nodes that answered, nearest first; `values` the peers found, each once;
    `outcome` is "done", "late" (deadline), "exhausted" (budget of queries) or "cancelled"; times are seconds.
    """

    target: NodeId
    outcome: str
    closest: tuple[ClosestContact, ...]
    values: tuple[Endpoint, ...]
    queries: int
    responses: int
    failures: int
    hops: int
    elapsed: float
    first_value: float | None
    values_dropped: int


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of a write at one node: `error` is None when it was accepted."""

    contact: Contact
    error: str | None

    @property
    def accepted(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What became of a write at each node it was sent to, and the lookup that found them."""

    target: NodeId
    outcomes: tuple[WriteOutcome, ...]
    lookup: LookupReport

    @property
    def accepted(self) -> int:
        """How many nodes accepted the write."""
        return sum(outcome.accepted for outcome in self.outcomes)
