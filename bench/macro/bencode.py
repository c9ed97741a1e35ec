"""The public codec beside bencode2, the fastest on PyPI when this was written.

Four shapes, decode (strict) and encode; in each of the pairs both run once, in random order, for about the same time.
The ratio of a pair is bencode2's time over ours: above 1.0 we are faster. The last line is one JSON object.
Usage: python bench/macro/bencode.py [--pairs N] [--seed N] [--slice-ms N]
"""
from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import bencode2

from fastdht import bencode

ROUNDS_FLOOR = 9     # fewer pairs cannot tell 1.0 from 0.9 on a shared machine


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
            b"pieces": rng.randbytes(20 * 16500), b"private": 0}
    return {b"announce": b"udp://tracker.example:6969/announce", b"created by": b"bench", b"creation date": 1700000000,
            b"info": info}


def integers(rng: random.Random) -> list[int]:
    return [rng.randrange(-(10**6), 10**6) for _ in range(245000)]


SHAPES: dict[str, Callable[[random.Random], Any]] = {
    "find_node query": find_node_query, "get_peers reply": get_peers_reply, "torrent": torrent, "integers": integers}


def seconds_of(work: Callable[[Any], object], argument: Any, rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        work(argument)
    return (time.perf_counter() - started) / rounds


def measure(ours: Callable[[Any], object], theirs: Callable[[Any], object], argument: Any, pairs: int,
            slice_s: float, rng: random.Random) -> dict[str, Any]:
    rounds = max(1, int(slice_s / seconds_of(theirs, argument, 1 + int(slice_s / 10 / seconds_of(theirs, argument, 3)))))
    times: dict[Callable[[Any], object], list[float]] = {ours: [], theirs: []}
    for _ in range(pairs):
        for work in rng.sample((ours, theirs), 2):
            times[work].append(seconds_of(work, argument, rounds))
    ratios = [b / a for a, b in zip(times[ours], times[theirs], strict=True)]
    return {"ours_ns": statistics.median(times[ours]) * 1e9, "bencode2_ns": statistics.median(times[theirs]) * 1e9,
            "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description="fastdht.bencode beside bencode2")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slice-ms", type=float, default=40.0)
    options = parser.parse_args()
    if options.pairs < ROUNDS_FLOOR:
        parser.error(f"--pairs is {options.pairs}; at least {ROUNDS_FLOOR}")
    rng = random.Random(options.seed)
    results = {}
    print(f"{'shape':16} {'bytes':>8}  {'direction':9} {'ours':>12} {'bencode2':>12}  ratio (min–max)")
    for name, build in SHAPES.items():
        value = build(rng)
        data = bencode2.bencode(value)
        if bencode.encode(value) != data or bencode.decode(data) != value:
            raise SystemExit(f"{name}: the two codecs disagree")
        for direction, ours, theirs, argument in (
                ("decode", bencode.decode, bencode2.bdecode, data), ("encode", bencode.encode, bencode2.bencode, value)):
            result = measure(ours, theirs, argument, options.pairs, options.slice_ms / 1e3, rng)
            results[f"{name} {direction}"] = result | {"bytes": len(data)}
            print(f"{name:16} {len(data):8}  {direction:9} {result['ours_ns']:9.0f} ns {result['bencode2_ns']:9.0f} ns"
                  f"  {result['ratio']:.2f} ({result['ratio_min']:.2f}–{result['ratio_max']:.2f})")
    print(json.dumps({"bench": "bencode", "peer": "bencode2", "pairs": options.pairs, "seed": options.seed,
                      "worst_ratio": min(r["ratio"] for r in results.values()), "results": results}))


if __name__ == "__main__":
    main()
