"""Order-randomised pairs: the only way this project compares speeds.

Every round runs each contestant once; the order is drawn from a printed seed, and every second round reverses the one
before it, so that a machine that slows down does so for everybody (A B, B A, …). A ratio is formed inside each round;
what is reported is the median of those, beside the ratio of the medians. If the two differ by more than a few per
cent, the machine was not quiet and the run should be repeated. A contestant measures itself and returns a Sample.
"""
from __future__ import annotations

import functools
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.table import Table

MIN_PAIRS = 9           # fewer cannot tell 0.75 from 0.85 on a shared machine
QUICK_PAIRS = 3
console = Console(stderr=True, width=None if sys.stderr.isatty() else 132, highlight=False)


class BenchFailed(click.ClickException):
    """A run whose figures would mean nothing: one line, exit code 1."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: `work` units done in `wall_s` seconds, `cpu_s` (user + system) of the contestant's own process."""
    work: float
    wall_s: float
    cpu_s: float
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_wall_s(self) -> float:
        return self.work / self.wall_s if self.wall_s else 0.0

    @property
    def per_cpu_s(self) -> float:
        return self.work / self.cpu_s if self.cpu_s else 0.0


Metric = Callable[[Sample], float]


def per_wall_s(sample: Sample) -> float:
    return sample.per_wall_s


def per_cpu_s(sample: Sample) -> float:
    return sample.per_cpu_s


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something to measure: `run(seconds)` does one run of about that long."""
    name: str
    run: Callable[[float], Sample]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest of the runs."""
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def to_json(self) -> dict[str, float]:
        return {"median": significant(self.median), "min": significant(self.low), "max": significant(self.high)}


@dataclass(frozen=True, slots=True)
class Ratio:
    """One contestant over another: median of the rounds' ratios, their extremes, and the ratio of the medians."""
    pairwise: Spread
    of_medians: float

    def to_json(self) -> dict[str, float]:
        return {**self.pairwise.to_json(), "of_medians": significant(self.of_medians)}


@dataclass(frozen=True, slots=True)
class Results:
    """The samples of all rounds, by contestant, in order of rounds."""
    samples: Mapping[str, Sequence[Sample]]

    def spread(self, name: str, metric: Metric) -> Spread:
        return Spread.of([metric(sample) for sample in self.samples[name]])

    def extra(self, name: str, key: str) -> Spread:
        return Spread.of([sample.extra.get(key, 0.0) for sample in self.samples[name]])

    def ratio(self, name: str, reference: str, metric: Metric) -> Ratio:
        pairs = list(zip(self.samples[name], self.samples[reference], strict=True))
        ratios = [metric(ours) / metric(theirs) for ours, theirs in pairs if metric(theirs)]
        if not ratios:
            return Ratio(Spread(0.0, 0.0, 0.0), 0.0)
        below = self.spread(reference, metric).median
        return Ratio(Spread.of(ratios), self.spread(name, metric).median / below if below else 0.0)

    def to_json(self) -> dict[str, dict[str, object]]:
        return {
            name: {
                "per_wall_s": self.spread(name, per_wall_s).to_json(),
                "per_cpu_s": self.spread(name, per_cpu_s).to_json(),
                **{key: self.extra(name, key).to_json() for key in runs[0].extra},
            }
            for name, runs in self.samples.items()
        }


def significant(value: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{value:.4g}")


def geometric_mean(values: Sequence[float]) -> float:
    return statistics.geometric_mean(values) if values and min(values) > 0 else 0.0


def rounds(names: Sequence[str], count: int, seed: int) -> Iterator[list[str]]:
    """The order of each round: random, then the same reversed."""
    rng = random.Random(seed)
    order: list[str] = []
    for number in range(count):
        if number % 2 == 0:
            order = rng.sample(list(names), len(names))
        else:
            order = order[::-1]
        yield order


def run_pairs(contestants: Sequence[Contestant], plan: Plan, label: str = "", warm_up: bool = True) -> Results:
    """Run every contestant once a round; first, if `warm_up`, one short run of each that is thrown away."""
    by_name = {contestant.name: contestant for contestant in contestants}
    samples: dict[str, list[Sample]] = {name: [] for name in by_name}
    if warm_up:
        for contestant in contestants:
            contestant.run(min(plan.seconds, 0.2))
    for number, order in enumerate(rounds(list(by_name), plan.pairs, plan.seed), 1):
        for name in order:
            samples[name].append(by_name[name].run(plan.seconds))
        if console.is_terminal:
            console.print(f"{label} round {number} of {plan.pairs}", style="dim")
    return Results(samples)


def results_table(title: str, results: Results, unit: str, reference: str, extras: Sequence[str] = ()) -> Table:
    """One row per contestant; the last columns compare with `reference`."""
    table = Table(title=title, title_justify="left")
    table.add_column("contestant")
    headings = (f"{unit}/s", f"{unit}/CPU-s", "min–max", *extras, f"to {reference}", "of medians")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name in results.samples:
        cpu = results.spread(name, per_cpu_s)
        ratio = results.ratio(name, reference, per_cpu_s)
        table.add_row(
            name,
            f"{results.spread(name, per_wall_s).median:,.0f}",
            f"{cpu.median:,.0f}",
            f"{cpu.low:,.0f}–{cpu.high:,.0f}",
            *(f"{results.extra(name, key).median:,.4g}" for key in extras),
            f"{ratio.pairwise.median:.3f}",
            f"{ratio.of_medians:.3f}",
        )
    return table


def finish(summary: Mapping[str, object]) -> None:
    """The last line of every driver: one JSON object on stdout."""
    sys.stdout.write(json.dumps(summary) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, as asked on the command line."""
    pairs: int
    seconds: float
    seed: int
    quick: bool

    def to_json(self) -> dict[str, object]:
        return {"pairs": self.pairs, "seconds": self.seconds, "seed": self.seed, "quick": self.quick}


def with_plan(seconds: float, quick_seconds: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a click command --pairs, --seconds, --seed and --quick; its function receives them as `plan`."""
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def planned(pairs: int | None, seconds: float | None, seed: int | None, quick: bool, **rest: object) -> None:
            function(plan=Plan(
                pairs or (QUICK_PAIRS if quick else MIN_PAIRS),
                seconds or (quick_seconds if quick else full_seconds),
                random.SystemRandom().randrange(1 << 32) if seed is None else seed,
                quick,
            ), **rest)
        for option in PLAN_OPTIONS:
            option(planned)
        return planned
    full_seconds = seconds
    return decorate


PLAN_OPTIONS = [
    click.option("--pairs", type=click.IntRange(1), help=f"Rounds; below {MIN_PAIRS} nothing is settled."),
    click.option("--seconds", type=click.FloatRange(0.05), help="Length of one run."),
    click.option("--seed", type=int, help="Seed of order and traffic; drawn and printed when absent."),
    click.option("--quick", is_flag=True, help="Three short rounds: a check that it runs, not a measurement."),
]
