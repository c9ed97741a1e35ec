"""How good a census' estimate of its own recall is: many seeds against a known truth, over loopback.

    python -m bench.crawl.recall --seeds 20

Each run has a swarm of its own; a fast, a standard and a two-pass crawl count networks of the same seed. Prints a line
per run, then per kind of run how many estimates were within half a point, and how many intervals held the truth.
"""
from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import struct
import time
from typing import Any

from fastdht.crawl import CrawlConfig
from fastdht.crawl.crawler import Crawl
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import REACHABLE, RECORD

KINDS = {"fast": ("fast", 1), "standard": ("standard", 1), "two passes": ("standard", 2)}
TARGET = 0.005
ROW = struct.Struct("<12x4s20s8xH2x")      # ip, id and port of a found row: _ext/rows.pxd


class KeySink:
    """Keeps the keys of the found nodes, in the form of a truth's."""

    def __init__(self) -> None:
        self.keys: set[bytes] = set()

    def write(self, block: bytes, now_us: int) -> None:
        self.keys.update(ip + port.to_bytes(2, "big") + node_id for ip, node_id, port in ROW.iter_unpack(block))

    def close(self) -> None:
        return


def read_reachable(swarm: Swarm) -> set[bytes]:
    rows = RECORD.iter_unpack(swarm.truth_records(0, swarm.contacts))
    return {ip + port.to_bytes(2, "big") + node_id for ip, port, node_id, flags, _ in rows if flags & REACHABLE}


def run_kind(swarm: Swarm, kind: str, seed: int) -> dict[str, Any]:
    depth, passes = KINDS[kind]
    config = CrawlConfig(bootstrap=tuple(swarm.bootstrap), allow_net=("127.0.0.0/8",), rate=0.0, per_ip_rate=0.0,
                         timeout_s=0.3, seed=seed, depth=depth, passes=passes)
    sink, reachable = KeySink(), read_reachable(swarm)
    crawl = Crawl(config, sink)
    started = time.perf_counter()
    result = asyncio.run(crawl.run()).as_dict()
    result.pop("filtered")
    seconds = time.perf_counter() - started
    return {"kind": kind, "swarm_seed": seed, "nodes": swarm.nodes, "seconds": seconds,
            "truth": len(sink.keys & reachable) / len(reachable),
            "sightings": [each._asdict() for each in crawl.sightings], **result}


def run_seed(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for kind in KINDS:
        with Swarm(options.nodes, seed, profile=options.profile, adversaries=options.adversaries,
                   loss=options.loss) as swarm:
            rows.append(run_kind(swarm, kind, seed))
            rows[-1]["swarm_drops"] = swarm.counters()["kernel_drops"]
    return rows


def describe(rows: list[dict[str, Any]]) -> str:
    errors = [row["recall_estimate"] - row["truth"] for row in rows if row["recall_estimate"] is not None]
    if not errors:
        return "no estimate"
    held = sum(row["recall_low"] <= row["truth"] <= row["recall_high"] for row in rows if row["recall_low"] is not None)
    within = sum(abs(error) <= TARGET for error in errors)
    return (f"{within} of {len(rows)} within {TARGET:.1%}; interval holds the truth in {held}; "
            f"truth {statistics.mean(row['truth'] for row in rows):.4f}, mean error {statistics.mean(errors):+.3%}, "
            f"sd {statistics.pstdev(errors):.3%}, worst {max(errors, key=abs):+.3%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=200_000)
    parser.add_argument("--profile", default="hard")
    parser.add_argument("--adversaries", type=float, default=0.0)
    parser.add_argument("--loss", type=float, default=None)
    parser.add_argument("--rows", default="", help="file for a JSON line per run")
    options = parser.parse_args()
    rows = []
    for seed in range(options.first, options.first + options.seeds):
        for row in run_seed(seed, options):
            rows.append(row)
            if options.rows:
                with open(options.rows, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            print(f"seed {seed}, {row['kind']}: truth {row['truth']:.4f}, estimate {row['recall_estimate']} "
                  f"({row['recall_low']} to {row['recall_high']}), {row['msgs_per_found']:.3f} messages, "
                  f"{row['seconds']:.1f} s, drops {row['swarm_drops']} {row['kernel_drops']}", flush=True)
    for kind in KINDS:
        print(f"{kind}: {describe([row for row in rows if row['kind'] == kind])}")


if __name__ == "__main__":
    main()
