"""One measured client of bench-lookups: python -m bench.macro.lookup_client BOOTSTRAP CONCURRENCY SECONDS SEED.

CONCURRENCY callers of `fastdht.Node`, each awaiting one get_peers lookup after the other for a random info_hash, as a
program would; the clock starts once the table is warm. One JSON line.
"""
from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.macro.processes import own_cpu_s
from fastdht.cli.run import run_async
from fastdht.config import CoreConfig
from fastdht.node import Node

WARM_UP_LOOKUPS = 200
JOIN_TIMEOUT_S = 20.0
TARGETS = 1 << 15           # random info_hashes, drawn beforehand: who looks up has them at hand


@dataclass
class Tally:
    lookups: int = 0
    queries: int = 0
    found: int = 0
    values: int = 0


async def keep_looking(node: Node, targets: Iterator[bytes], tally: Tally) -> None:
    while True:
        report = await node.get_peers(next(targets))
        count = len(report.values)
        tally.lookups += 1
        tally.queries += report.queries
        tally.values += count
        tally.found += count > 0


def rooms(concurrency: int) -> CoreConfig:
    """The default profile with room for that many lookups at once."""
    config = CoreConfig()
    return replace(config, lookups=max(config.lookups, concurrency), outbox=4096,
                   transactions=max(config.transactions, 16 * concurrency))


async def measure(bootstrap: str, concurrency: int, seconds: float, seed: int) -> dict[str, float]:
    rng = random.Random(seed)
    targets = itertools.cycle([rng.randbytes(20) for _ in range(TARGETS)])
    async with Node("0.0.0.0:0", bootstrap=[bootstrap], allow_net=["127.0.0.0/8"], limits="off",
                    config=rooms(concurrency)) as node:
        await asyncio.wait_for(node.joined(), JOIN_TIMEOUT_S)
        for _ in range(WARM_UP_LOOKUPS):
            await node.get_peers(next(targets))
        tally = Tally()
        callers = [asyncio.ensure_future(keep_looking(node, targets, tally)) for _ in range(concurrency)]
        await asyncio.sleep(0)
        before, cpu, start = node.counters(), own_cpu_s(), time.monotonic()
        await asyncio.sleep(seconds)
        after, cpu, wall = node.counters(), own_cpu_s() - cpu, time.monotonic() - start
        counted = replace(tally)
        for caller in callers:
            caller.cancel()
        for caller in callers:
            with contextlib.suppress(asyncio.CancelledError):
                await caller
    return {
        "lookups": counted.lookups, "queries": counted.queries, "found": counted.found, "values": counted.values,
        "rpcs": after["responses_handled"] - before["responses_handled"],
        "timeouts": after["timeouts"] - before["timeouts"], "wall_s": wall, "cpu_s": cpu,
    }


def main() -> None:
    bootstrap, concurrency, seconds, seed = sys.argv[1:5]
    print(json.dumps(run_async(measure(bootstrap, int(concurrency), float(seconds), int(seed)))))


if __name__ == "__main__":
    main()
