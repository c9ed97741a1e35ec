from typing import Self

LEAST_MS: int
MOST_MS: int
SHAPE: float

class Sessions:
    def __new__(cls, seed: int, share: float, median_s: float) -> Self: ...
    def records(self, start: int, count: int) -> bytes: ...
