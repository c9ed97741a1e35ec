"""The public codec beside bencode2, the fastest on PyPI when this was written.

Four shapes, decode (strict) and encode: a find_node query, a get_peers reply with 50 peers, a torrent of 2,000 files,
and 2 MB of integers. Both codecs must agree on every shape before anything is timed. A ratio is ours to bencode2's
values per CPU-second: above 1.0 we are faster.
"""
from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import bencode2
import click

from bench.macro.pairs import (
    Contestant, Plan, Results, Sample, console, finish, per_cpu_s, results_table, run_pairs, with_plan)
from bench.macro.processes import MEASURED_CORE, describe_machine, pin
from fastdht import bencode

AIM = 1.0
SLICE_S = 0.002         # work between two looks at the clock


def find_node_query(rng: random.Random) -> dict[bytes, Any]:
    return {b"a": {b"id": rng.randbytes(20), b"target": rng.randbytes(20)},
            b"q": b"find_node", b"t": rng.randbytes(4), b"v": b"FD\x00\x01", b"y": b"q"}


def get_peers_reply(rng: random.Random) -> dict[bytes, Any]:
    answer = {b"id": rng.randbytes(20), b"nodes": rng.randbytes(208), b"token": rng.randbytes(8),
              b"values": [rng.randbytes(6) for _ in range(50)]}
    return {b"ip": rng.randbytes(6), b"r": answer, b"t": rng.randbytes(4), b"v": b"FD\x00\x01", b"y": b"r"}


def torrent(rng: random.Random) -> dict[bytes, Any]:
    files = [{b"length": rng.randrange(1 << 30), b"path": [b"season %d" % (i % 20), b"episode %04d of many.mkv" % i]}
             for i in range(2000)]
    info = {b"files": files, b"name": b"a torrent of many files", b"piece length": 1 << 20,
            b"pieces": rng.randbytes(20 * 17500), b"private": 0}
    return {b"announce": b"udp://tracker.example:6969/announce", b"created by": b"bench", b"creation date": 1700000000,
            b"info": info}


def integers(rng: random.Random) -> list[int]:
    return [rng.randrange(-(10**6), 10**6) for _ in range(250_000)]


SHAPES: dict[str, Callable[[random.Random], Any]] = {
    "find_node query": find_node_query, "get_peers reply": get_peers_reply, "torrent": torrent, "integers": integers}


def contestant(name: str, work: Callable[[Any], object], argument: Any) -> Contestant:
    def run(seconds: float) -> Sample:
        wall, cpu, done = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - wall < seconds:
            for _ in range(batch):
                work(argument)
            done += batch
        return Sample(done, time.perf_counter() - wall, time.process_time() - cpu)

    started = time.perf_counter()
    work(argument)
    batch = max(1, int(SLICE_S / (time.perf_counter() - started)))
    return Contestant(name, run)


def check_agreement(name: str, value: Any, data: bytes) -> None:
    if bencode.encode(value) != data or bencode.decode(data) != value or bencode2.bdecode(data) != value:
        raise click.ClickException(f"{name}: the two codecs disagree")


def result_of(results: Results, size: int) -> dict[str, object]:
    return {"bytes": size, "ratio": results.ratio("fastdht", "bencode2", per_cpu_s).to_json(), **results.to_json()}


@click.command()
@with_plan(seconds=0.3, quick_seconds=0.05)
def main(plan: Plan) -> None:
    """The public codec beside bencode2: four shapes, both directions, strict."""
    pin(MEASURED_CORE)
    console.print(f"machine {describe_machine()}, {plan}")
    rng = random.Random(plan.seed)
    shapes: dict[str, dict[str, object]] = {}
    ratios: dict[str, float] = {}
    for name, build in SHAPES.items():
        value = build(rng)
        data = bencode2.bencode(value)
        check_agreement(name, value, data)
        for direction, ours, theirs, argument in (
                ("decode", bencode.decode, bencode2.bdecode, data),
                ("encode", bencode.encode, bencode2.bencode, value)):
            label = f"{name}, {direction}"
            results = run_pairs([contestant("fastdht", ours, argument), contestant("bencode2", theirs, argument)],
                                plan, label)
            console.print(results_table(f"{label} ({len(data):,} bytes)", results, "values", "bencode2"))
            shapes[label] = result_of(results, len(data))
            ratios[label] = results.ratio("fastdht", "bencode2", per_cpu_s).pairwise.median
    worst = min(ratios, key=lambda label: ratios[label])
    console.print(f"lowest ratio {ratios[worst]:.2f}, {worst} (aim {AIM})")
    finish({"bench": "bencode", "peer": "bencode2", "machine": describe_machine(), **plan.to_json(), "aim": AIM,
            "lowest_ratio": round(ratios[worst], 3), "shapes": shapes})


if __name__ == "__main__":
    main()
