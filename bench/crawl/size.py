"""How good the estimate of a network's size is: many seeds against a known truth, over loopback.

    python -m bench.crawl.size --seeds 100

Each run has a swarm of its own, profile hard, whose seed and number of nodes differ: 200,000 plus or minus 20 %, drawn
evenly, so that no setting can have been tuned to one truth. Prints a line per run, then how many estimates were within
the wanted error, how many intervals held the truth, and the messages.
"""
from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from typing import Any

from fastdht.crawl import CrawlConfig
from fastdht.crawl.size_run import SizeConfig, SizeCrawl
from fastdht.testing.swarm import Swarm

SPREAD = 0.2


def run_seed(seed: int, nodes: int, profile: str, adversaries: float) -> dict[str, Any]:
    truth = round(nodes * random.Random(seed).uniform(1 - SPREAD, 1 + SPREAD))
    with Swarm(truth, seed, profile=profile, adversaries=adversaries) as swarm:
        started = time.perf_counter()
        config = CrawlConfig(bootstrap=tuple(swarm.bootstrap), allow_net=("127.0.0.0/8",), rate=0.0, per_ip_rate=0.0,
                             timeout_s=0.3, seed=seed, max_contacts=200_000)
        result = asyncio.run(SizeCrawl(SizeConfig(config)).run()).as_dict()
        seconds = time.perf_counter() - started
        drops = swarm.counters()["kernel_drops"]
    return {"seed": seed, "truth": truth, "seconds": seconds, "drops": drops, **result}


def describe(rows: list[dict[str, Any]], method: str, target: float) -> str:
    errors, held = [], 0
    for row in rows:
        guess = row["methods"].get(method)
        if guess is None:
            continue
        errors.append(guess["nodes"] / row["truth"] - 1)
        held += guess["low"] <= row["truth"] <= guess["high"]
    within = sum(abs(error) <= target for error in errors)
    return (f"{method:10} {within} of {len(errors)} within {target:.0%}; interval holds the truth in {held}; "
            f"mean {statistics.mean(errors):+.2%}, sd {statistics.pstdev(errors):.2%}, "
            f"worst {max(errors, key=abs):+.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=200_000)
    parser.add_argument("--profile", default="hard")
    parser.add_argument("--adversaries", type=float, default=0.0)
    parser.add_argument("--rows", default="", help="file for a JSON line per run")
    options = parser.parse_args()
    rows = []
    for seed in range(options.first, options.first + options.seeds):
        row = run_seed(seed, options.nodes, options.profile, options.adversaries)
        rows.append(row)
        if options.rows:
            with open(options.rows, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        print(f"seed {seed}: truth {row['truth']}, {row['nodes']} ({row['low']} to {row['high']}), {row['sent']} "
              f"messages, {row['seconds']:.1f} s, drops {row['drops']} {row['kernel_drops']}", flush=True)
    for method in ("zone", "closest", "recapture"):
        print(describe(rows, method, 0.03))
    sent = [row["sent"] for row in rows]
    print(f"messages: median {statistics.median(sent):.0f}, most {max(sent)}; "
          f"seconds: median {statistics.median(row['seconds'] for row in rows):.1f}; "
          f"kernel drops: {sum(row['drops'] + row['kernel_drops'] for row in rows)}")


if __name__ == "__main__":
    main()
