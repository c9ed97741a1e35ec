"""make bench-peers: the peers of 5,000 infohashes on a clean swarm of 5,000 nodes, beside libtorrent.

The swarm stands on one core, the program that is measured on the other; every run is a process of its own with all of
its limits off and 256 look-ups at a time. Ours runs twice: with the nodes of a census, and cold, with no more than an
address to begin with. libtorrent has joined and filled its table before its clock runs.
"""
from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from bench.macro.lookups import without_libtorrent
from bench.macro.pairs import (
    Contestant,
    Plan,
    Results,
    Sample,
    console,
    finish,
    per_cpu_s,
    per_wall_s,
    results_table,
    run_pairs,
    significant,
    with_plan,
)
from bench.macro.processes import (
    MEASURED_CORE,
    PEERS,
    describe_machine,
    fastdht_command,
    run_to_end,
    start_swarm,
)
from fastdht.testing.catalog import read_peers

MAPPED, COLD, LIBTORRENT = "fastdht, census", "fastdht, cold", "libtorrent"
NODES, HASHES, QUICK_HASHES = 5_000, 5_000, 500
CONCURRENCY = 256
PEERS_EACH = 10
LIBTORRENT_TARGET = 5.0         # infohashes per second, wall-clock
MOST_MESSAGES = {MAPPED: 12, COLD: 40}


def program(name: str, argv: list[str], announced: int) -> Contestant:
    def run(_: float) -> Sample:
        report = run_to_end(argv, MEASURED_CORE).report
        done = float(report["lookups"])
        extra = {"messages": report["queries"] / done if done else 0.0, "recall": report["peers"] / announced}
        return Sample(done, report["wall_s"], report["cpu_s"], extra)
    return Contestant(name, run)


def contestants(bootstrap: str, hashes: Path, census: Path, announced: int, has_libtorrent: bool) -> list[Contestant]:
    ours = [sys.executable, "-m", "bench.macro.bulk_client", str(hashes), bootstrap]
    chosen = [program(MAPPED, [*ours, str(census)], announced), program(COLD, ours, announced)]
    if has_libtorrent:
        listen = f"127.2.0.1:{20_000 + os.getpid() % 20_000}"
        argv = [sys.executable, str(PEERS / "libtorrent_bulk.py"), listen, bootstrap, str(CONCURRENCY), str(hashes)]
        chosen.append(program(LIBTORRENT, argv, announced))
    return chosen


def judge(results: Results) -> dict[str, object]:
    verdict: dict[str, object] = {}
    for name, key in ((MAPPED, "census"), (COLD, "cold")):
        verdict[f"{key}_messages"] = significant(results.extra(name, "messages").median)
        verdict[f"{key}_recall"] = significant(results.extra(name, "recall").median)
        if LIBTORRENT in results.samples:
            verdict[f"{key}_to_libtorrent"] = results.ratio(name, LIBTORRENT, per_wall_s).to_json()
            verdict[f"{key}_to_libtorrent_per_cpu_s"] = results.ratio(name, LIBTORRENT, per_cpu_s).to_json()
    return verdict


def print_verdict(verdict: Mapping[str, object]) -> None:
    for name, key in ((MAPPED, "census"), (COLD, "cold")):
        ratio = verdict.get(f"{key}_to_libtorrent")
        times = ratio["median"] if isinstance(ratio, dict) else "not measured"
        console.print(f"{name}: {times} times libtorrent (aim {LIBTORRENT_TARGET}); {verdict[f'{key}_messages']} "
                      f"messages an infohash (at most {MOST_MESSAGES[name]}); recall {verdict[f'{key}_recall']}")


def take_census(bootstrap: str, seed: int, folder: Path) -> None:
    argv = fastdht_command("crawl", "census", "--rate", "max", "--per-ip", "0", "--allow-net", "127.0.0.0/8",
                           "--bootstrap", bootstrap, "--seed", str(seed), "--out", str(folder), "--json")
    run_to_end(argv, MEASURED_CORE)


@click.command()
@with_plan(seconds=1.0, quick_seconds=1.0)
def main(plan: Plan) -> None:
    """Peers of many infohashes beside libtorrent. A run takes as long as the list does: --seconds has no effect."""
    console.print(f"machine {describe_machine()}, {plan}")
    count = QUICK_HASHES if plan.quick else HASHES
    has_libtorrent = not without_libtorrent()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastdht-bench-")))
        truth, hashes, census = folder / "truth.bin", folder / "hashes.txt", folder / "census"
        swarm = stack.enter_context(start_swarm(NODES, plan.seed, "--torrents", str(count), "--truth", str(truth)))
        bootstrap = swarm.read_line()["bootstrap"][0]
        hashes.write_text("\n".join(each.hex() for each in read_peers(truth)))
        take_census(bootstrap, plan.seed, census)
        chosen = contestants(bootstrap, hashes, census, count * PEERS_EACH, has_libtorrent)
        results = run_pairs(chosen, plan, "peers", warm_up=False)
    console.print(results_table(f"peers of {count} infohashes", results, "infohashes",
                                LIBTORRENT if has_libtorrent else COLD, ("messages", "recall")))
    verdict = judge(results)
    print_verdict(verdict)
    finish({"bench": "peers", "machine": describe_machine(), **plan.to_json(), "nodes": NODES, "infohashes": count,
            **verdict, "contestants": results.to_json()})


if __name__ == "__main__":
    main()
