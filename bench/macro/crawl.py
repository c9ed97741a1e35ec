"""make bench-crawl: a census of 1 and 2 million clean nodes, beside a crawl engine in plain C.

One swarm per size stands on one core and answers every run; a crawl is a process of its own on the other, measured
from exec to exit by the kernel's account: interpreter, start and written results are all in its CPU time and memory.
"""
from __future__ import annotations

import compileall
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import fastdht
from bench.macro.native import build_reference
from bench.macro.pairs import (
    BenchFailed,
    Contestant,
    Plan,
    Results,
    Sample,
    console,
    finish,
    per_cpu_s,
    results_table,
    run_pairs,
    with_plan,
)
from bench.macro.processes import (
    start_swarm,
    LOAD_CORE,
    MEASURED_CORE,
    Child,
    Finished,
    describe_machine,
    fastdht_command,
    run_to_end,
)

OURS, REFERENCE, BARE = "fastdht", "C engine", "bare loop"
LOOPBACK = "127.0.0.0/8"
VALID_AT = 0.9
TARGETS = {1_000_000: 0.90, 2_000_000: 0.85}
FIXED_BYTES = 200_000_000       # of the target on memory: what does not grow with the contacts
BYTES_PER_CONTACT = 64
MAX_PAUSE_MS = 20.0
MAX_DROP_SHARE = 1e-4
UNPACED = "10000000"            # packets per second: the most the command takes
WINDOW = 512
BARE_SECONDS = 2.0


def to_sample(done: Finished, found: int) -> Sample:
    report = done.report
    if report["found"] < 0.99 * found:
        raise BenchFailed(f"only {report['found']} of {found} nodes found: {dict(report)}")
    beyond = max(0, done.max_rss_bytes - FIXED_BYTES) / max(report["contacts"], 1)
    return Sample(report["answered"], done.wall_s, done.cpu_s, {
        "found": report["found"], "contacts": report["contacts"], "sent": report["sent"],
        "kernel_drops": report["kernel_drops"], "elapsed_s": report["elapsed_s"], "rss_mb": done.max_rss_bytes / 1e6,
        "bytes_per_contact": done.max_rss_bytes / max(report["contacts"], 1), "bytes_beyond_fixed": beyond,
    })


def run_engine(bootstrap: str, depth: str, nodes: int, seed: int, rows: Path) -> Finished:
    arguments = map(str, (nodes * 5 // 4, WINDOW, seed, rows))
    return run_to_end([str(build_reference("crawl_engine")), bootstrap, depth, *arguments], MEASURED_CORE)


class Field:
    """One swarm and the crawls of it."""

    def __init__(self, bootstrap: str, nodes: int, depth: str, seed: int, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.nodes = nodes
        self.depth = depth
        self.seed = seed
        self.folder = folder
        self.rows = folder / "reference.rows"

    def census(self) -> list[str]:
        out = self.folder / "census"
        shutil.rmtree(out, ignore_errors=True)
        return ["crawl", "census", "--depth", self.depth, "--rate", UNPACED, "--max-inflight", str(WINDOW),
                "--allow-net", LOOPBACK, "--bootstrap", self.bootstrap, "--out", str(out), "--seed", str(self.seed),
                "--json"]

    def run_ours(self, _seconds: float) -> Sample:
        return to_sample(run_to_end(fastdht_command(*self.census()), MEASURED_CORE), self.nodes)

    def run_reference(self, _seconds: float) -> Sample:
        return to_sample(run_engine(self.bootstrap, self.depth, self.nodes, self.seed, self.rows), self.nodes)

    def run_bare(self, _seconds: float) -> Sample:
        argv = [str(build_reference("bare_client")), str(self.rows), "find_node", str(WINDOW), str(BARE_SECONDS)]
        done = run_to_end(argv, MEASURED_CORE)
        return Sample(done.report["rpcs"], done.report["wall_s"], done.cpu_s, {"bytes": done.report["bytes"]})

    def contestants(self) -> list[Contestant]:
        runs = {OURS: self.run_ours, REFERENCE: self.run_reference, BARE: self.run_bare}
        return [Contestant(name, run) for name, run in runs.items()]

    def longest_pause(self) -> Mapping[str, Any]:
        argv = [sys.executable, "-m", "bench.macro.loop_probe", *self.census()]
        return run_to_end(argv, MEASURED_CORE).report


def judge(results: Results, nodes: int, swarm_totals: Mapping[str, Any], pause: Mapping[str, Any]) -> dict[str, object]:
    ratio = results.ratio(OURS, REFERENCE, per_cpu_s)
    validity = results.ratio(REFERENCE, BARE, per_cpu_s)
    drops, sent = results.extra(OURS, "kernel_drops"), results.extra(OURS, "sent")
    received = max(swarm_totals.get("received", 0), 1)
    return {
        "nodes": nodes,
        "rpc_to_reference": ratio.to_json(),
        "reference_to_bare": validity.to_json(),
        "is_void": validity.pairwise.median < VALID_AT,
        "target": TARGETS.get(nodes),
        "bytes_per_contact_beyond_200_mb": round(results.extra(OURS, "bytes_beyond_fixed").high, 1),
        "drop_share_ours": drops.high / max(sent.low, 1),
        "drop_share_swarm": swarm_totals.get("kernel_drops", 0) / received,
        **pause,
    }


def print_verdict(verdict: Mapping[str, Any]) -> None:
    rows = [
        ("RPC per CPU-second to C", verdict["rpc_to_reference"]["median"], f"aim {verdict['target']}"),
        ("bytes per contact beyond 200 MB", verdict["bytes_per_contact_beyond_200_mb"], f"at most {BYTES_PER_CONTACT}"),
        ("dropped by our socket", f"{verdict['drop_share_ours']:.2g}", f"at most {MAX_DROP_SHARE:g}"),
        ("dropped by the swarm's", f"{verdict['drop_share_swarm']:.2g}", f"at most {MAX_DROP_SHARE:g}"),
        ("longest pause, ms", verdict["max_pause_ms"], f"at most {MAX_PAUSE_MS:g}, on a quiet machine"),
        ("of it surely ours, ms", verdict["max_pause_cpu_ms"], f"at most {MAX_PAUSE_MS:g}"),
    ]
    for what, value, limit in rows:
        console.print(f"{verdict['nodes']:,} nodes: {what} {value} ({limit})")
    if verdict["is_void"]:
        console.print(f"VOID: the C engine reaches {verdict['reference_to_bare']['median']} of the bare loop; "
                      f"{VALID_AT} needed", style="red")


def measure(plan: Plan, nodes: int, depth: str, folder: Path) -> dict[str, object]:
    swarm = start_swarm(nodes, plan.seed)
    with swarm:
        field = Field(swarm.read_line(timeout_s=120)["bootstrap"][0], nodes, depth, plan.seed, folder)
        run_engine(field.bootstrap, "fast", nodes, plan.seed, field.rows)       # whom the bare loop asks
        results = run_pairs(field.contestants(), plan, f"{nodes:,} nodes", warm_up=False)
        pause = field.longest_pause()
        totals = final_totals(swarm)
    console.print(results_table(f"{depth} census of {nodes:,} nodes", results, "RPC", REFERENCE,
                                ("bytes_per_contact", "rss_mb", "elapsed_s")))
    verdict = judge(results, nodes, totals, pause)
    print_verdict(verdict)
    return {**verdict, "contestants": results.to_json()}


def final_totals(swarm: Child) -> Mapping[str, Any]:
    """What the swarm says when it is told to end."""
    swarm.process.terminate()
    return swarm.read_line()


@click.command()
@click.option("--nodes", type=click.IntRange(100), multiple=True, help="Sizes of the swarm; 1 and 2 million if absent.")
@click.option("--depth", type=click.Choice(["fast", "standard"]), default="standard", show_default=True)
@with_plan(seconds=1.0, quick_seconds=1.0)
def main(plan: Plan, nodes: tuple[int, ...], depth: str) -> None:
    """A census beside a C crawl engine; every run is one whole census, so --seconds has no effect."""
    console.print(f"machine {describe_machine()}, {plan}, swarm on core {LOAD_CORE}, crawl on core {MEASURED_CORE}")
    compileall.compile_dir(Path(fastdht.__file__).parent, quiet=2)      # as an installed package is
    sizes = nodes or ((50_000,) if plan.quick else tuple(TARGETS))
    with tempfile.TemporaryDirectory(prefix="fastdht-bench-") as folder:
        runs = {f"nodes_{size}": measure(plan, size, depth, Path(folder)) for size in sizes}
    finish({"bench": "crawl", "machine": describe_machine(), **plan.to_json(), "depth": depth, **runs})


if __name__ == "__main__":
    main()
