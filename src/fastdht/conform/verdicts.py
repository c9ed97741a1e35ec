"""What a check finds, and the report of all of them. Rate class: command."""
from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastdht.types import Endpoint

BASE = 5        # the BEP without which it is no node: there, silence is a deviation


class Verdict(enum.StrEnum):
    """Conforms; deviates from the BEP; lacks an optional BEP; says nothing; or was not asked, for a reason."""

    CONFORMS = "conforms"
    DEVIATES = "deviates"
    UNSUPPORTED = "unsupported"
    SILENT = "silent"
    SKIPPED = "skipped"


class Outcome(NamedTuple):
    """A verdict and why."""

    verdict: Verdict
    reason: str = ""


CONFORMS = Outcome(Verdict.CONFORMS)
SILENT = Outcome(Verdict.SILENT, "no answer")


def deviates(reason: str) -> Outcome:
    return Outcome(Verdict.DEVIATES, reason)


def unsupported(reason: str) -> Outcome:
    return Outcome(Verdict.UNSUPPORTED, reason)


def skipped(reason: str) -> Outcome:
    return Outcome(Verdict.SKIPPED, reason)


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one node. bep: its number, 0 where no BEP speaks but abuse does; rule: what must hold."""

    bep: int
    name: str
    rule: str
    verdict: Verdict
    reason: str = ""

    @property
    def is_deviation(self) -> bool:
        return self.verdict is Verdict.DEVIATES or (self.verdict is Verdict.SILENT and self.bep == BASE)


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one node. node_id: None if it never told a proper one; version: its `v`, BEP 20."""

    endpoint: Endpoint
    node_id: bytes | None
    version: bytes | None
    writes: bool
    queries: int
    results: list[Result] = field(default_factory=list)

    @property
    def deviations(self) -> list[Result]:
        return [result for result in self.results if result.is_deviation]

    def count(self, verdict: Verdict) -> int:
        return sum(result.verdict is verdict for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; keys are stable."""
        return {
            "endpoint": str(self.endpoint),
            "id": self.node_id.hex() if self.node_id is not None else None,
            "version": self.version.hex() if self.version is not None else None,
            "writes": self.writes,
            "queries": self.queries,
            "deviations": len(self.deviations),
            **{verdict.value: self.count(verdict) for verdict in Verdict},
            "checks": [{"bep": each.bep, "name": each.name, "rule": each.rule, "verdict": each.verdict.value,
                        "reason": each.reason, "is_deviation": each.is_deviation} for each in self.results],
        }
