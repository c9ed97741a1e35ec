"""The slow twin of Ledger: a dictionary of Unix seconds."""
from __future__ import annotations

from dataclasses import dataclass, field

LONGEST = 21600     # BEP 51
MARGIN = 15


@dataclass
class SlowLedger:
    not_before: dict[bytes, int] = field(default_factory=dict)

    def ask(self, endpoint: bytes, second: int) -> bool:
        if self.not_before.get(endpoint, 0) > second:
            return False
        self.not_before[endpoint] = second + 1 + LONGEST + MARGIN
        return True

    def answered(self, endpoint: bytes, interval: int, second: int) -> None:
        if self.not_before.get(endpoint, 0) > second:       # else it has long been forgotten
            self.not_before[endpoint] = second + 1 + min(max(interval, 0), LONGEST) + MARGIN
