"""What workers gain: the same zones crawled by one and by three Dask workers over TCP, beside each other.

    python -m bench.crawl.scale --pairs 3

The swarm answers with round-trip times of the real network (profile hard), every worker has the same fixed number of
queries in flight and no rate limit: each waits for answers nearly all the time, so that workers do not compete for two
cores. Scheduler and workers are processes of their own and stand before the clock starts; a run is timed from the
crawl's first line to its last. Prints a line per run and, last, one JSON line with the medians and their ratio.
"""
from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastdht.testing.swarm import Swarm

TARGET = 2.5


def dask(kind: str, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)


@contextmanager
def cluster(workers: int, folder: Path) -> Iterator[str]:
    """The address of a scheduler with so many workers, all up."""
    from distributed import Client

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    processes = [dask("scheduler", folder, "--host", "127.0.0.1", "--port", str(port))]
    try:
        processes += [dask("worker", folder, address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
                      for _ in range(workers)]
        with Client(address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=30)
        yield address
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(options: argparse.Namespace, seed: int, workers: int) -> dict[str, float]:
    """One crawl of a fresh swarm of this seed."""
    with (tempfile.TemporaryDirectory(prefix="fastdht-bench-") as folder, cluster(workers, Path(folder)) as address,
          Swarm(options.nodes, seed, profile=options.profile) as swarm):
        out = Path(folder, "out")
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "fastdht", "crawl", "census", "--scheduler", address, "--zones", str(options.zones),
             "--max-inflight", str(options.in_flight), "--rate", "10000000", "--per-ip", "0", "--allow-net",
             "127.0.0.0/8", "--bootstrap", ",".join(swarm.bootstrap), "--timeout", "1s", "--seed", str(seed), "--out",
             str(out), "--json"], check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - began
        result = json.loads(done.stdout.splitlines()[-1])
    if not result["complete"]:
        raise SystemExit(f"the crawl is not complete: {result['reason']}")
    return {"workers": workers, "seconds": round(seconds, 2), "found": result["found"], "sent": result["sent"],
            "messages_per_s": round(result["sent"] / seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=40_000)
    parser.add_argument("--profile", default="hard")
    parser.add_argument("--zones", type=int, default=32)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--workers", type=int, default=3)
    options = parser.parse_args()
    ratios: list[float] = []
    for pair in range(options.pairs):
        order = [1, options.workers] if pair % 2 == 0 else [options.workers, 1]
        rows = {workers: run(options, pair + 1, workers) for workers in order}
        ratios.append(rows[1]["seconds"] / rows[options.workers]["seconds"])
        for row in rows.values():
            print(json.dumps(row), flush=True)
    print(json.dumps({"bench": "scale", **vars(options), "speed_up": round(statistics.median(ratios), 3),
                      "each": [round(ratio, 3) for ratio in ratios], "target": TARGET}))


if __name__ == "__main__":
    main()
