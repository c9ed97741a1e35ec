from typing import Self

MEDIAN_US: int
SLOW_SHARE: float
SLOW_US: tuple[int, int]
SPREAD: float

class DelayLine:
    def __new__(cls, seed: int) -> Self: ...
    def delay(self, serial: int) -> int: ...
