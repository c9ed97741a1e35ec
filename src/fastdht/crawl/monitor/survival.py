"""The share of sessions that last longer than t, from sessions of which some were cut off. Rate class: command.

Kaplan and Meier's product-limit estimate with Greenwood's variance; the band is pointwise, on the log(-log) scale, so
that it stays within 0 and 1. The bounds of the median are where the band crosses one half (Brookmeyer and Crowley).
Own lines, as there are thirty: the libraries that have it bring a hundred megabytes of others.
Source: Kaplan, Meier (1958); Kalbfleisch, Prentice, "The Statistical Analysis of Failure Time Data", section 1.4.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

Z_95 = 1.959963984540054
CURVE_POINTS = 100          # of a curve in a summary


class Step(NamedTuple):
    """From `time` on, to the next step, `survival` is the share of those still there."""

    time: float
    at_risk: int            # just before
    ended: int
    survival: float
    low: float
    high: float


class Survival:
    """The estimate of durations (seconds); `ends` says of each whether it ended (else it was cut off there)."""

    def __init__(self, durations: Iterable[tuple[float, bool]]) -> None:
        ordered = sorted(durations)
        self.count = len(ordered)
        self.ended = sum(has_ended for _, has_ended in ordered)
        self.steps = list(steps_of(ordered))

    @property
    def median(self) -> float | None:
        """The time that half of them reach; None when more than half outlast all that was seen."""
        return first_time(step.time for step in self.steps if step.survival <= 0.5)

    @property
    def median_band(self) -> tuple[float | None, float | None]:
        """Its 95 % interval; None where the band never crosses one half."""
        return (first_time(step.time for step in self.steps if step.low <= 0.5),
                first_time(step.time for step in self.steps if step.high <= 0.5))

    def at(self, time: float) -> float:
        """The share that lasts longer than `time` seconds."""
        share = 1.0
        for step in self.steps:
            if step.time > time:
                break
            share = step.survival
        return share

    def as_dict(self) -> dict[str, Any]:
        """For JSON: counts, median, and the curve as (seconds, share, low, high), at most 100 points of it."""
        median, band = self.median, self.median_band
        stride = max(1, math.ceil(len(self.steps) / CURVE_POINTS))
        return {"count": self.count, "ended": self.ended, "median_s": rounded(median),
                "median_low_s": rounded(band[0]), "median_high_s": rounded(band[1]),
                "curve": [[round(step.time, 1), *(round(each, 4) for each in step[3:])]
                          for step in self.steps[stride - 1::stride]]}


def steps_of(ordered: list[tuple[float, bool]]) -> Iterable[Step]:
    """Steps from durations in order; what is cut off at the time of an end was still there."""
    at_risk, survival, variance, high = len(ordered), 1.0, 0.0, 1.0
    for time, group in groupby(ordered, key=lambda each: each[0]):
        ends = [has_ended for _, has_ended in group]
        ended = sum(ends)
        if ended:
            survival *= 1 - ended / at_risk
            if ended < at_risk:
                variance += ended / (at_risk * (at_risk - ended))
                low, high = band_of(survival, variance)
            else:
                survival = low = 0.0        # nobody is left: the upper bound stays where it was
            yield Step(time, at_risk, ended, survival, low, high)
        at_risk -= len(ends)


def band_of(survival: float, variance: float) -> tuple[float, float]:
    """95 % bounds of one point; `variance` is Greenwood's sum."""
    spread = Z_95 * math.sqrt(variance) / -math.log(survival)
    return survival ** math.exp(spread), survival ** math.exp(-spread)


def first_time(times: Iterable[float]) -> float | None:
    return next(iter(times), None)


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
