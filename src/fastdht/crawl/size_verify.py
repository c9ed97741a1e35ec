"""Compares an estimate of a network's size with the truth about it. Rate class: command."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastdht.crawl.verify import read_summary
from fastdht.errors import PersistError

MODE = "size"


@dataclass(frozen=True, slots=True)
class SizeVerdict:
    """One method's estimate beside the truth."""

    nodes: int
    low: int
    high: int
    truth: int

    @property
    def error(self) -> float:
        return self.nodes / self.truth - 1 if self.truth else 0.0

    @property
    def is_held(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.truth <= self.high

    def as_dict(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "low": self.low, "high": self.high, "truth": self.truth,
                "error": round(self.error, 6), "held": self.is_held}


def is_size(directory: Path) -> bool:
    """Whether the directory is that of an estimate of size; raises PersistError when it holds no finished crawl."""
    return read_summary(directory).get("mode") == MODE


def verify_size(directory: Path, truth: int) -> dict[str, SizeVerdict]:
    """Verdicts by method, the one whose estimate is the answer first. Raises PersistError."""
    summary = read_summary(directory)
    try:
        guesses = {name: SizeVerdict(int(each["nodes"]), int(each["low"]), int(each["high"]), truth)
                   for name, each in summary["methods"].items()}
        return dict(sorted(guesses.items(), key=lambda item: item[0] != summary["method"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PersistError(f"{directory} holds no estimate of size") from None
