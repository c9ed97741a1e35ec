"""make bench-lookups: get_peers lookups on a clean swarm of 500 nodes, beside plain C and libtorrent.

The swarm stands on one core, the client that is measured on the other; every run is a process of its own, which joins,
warms its table with 200 lookups and then looks up random info_hashes, 16 or 256 at a time. Every info_hash has peers.
"""
from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bench.macro.crawl import run_engine
from bench.macro.native import build_reference
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
    run_to_end,
    start_swarm,
)

OURS, REFERENCE, LIBTORRENT, BARE = "fastdht", "C engine", "libtorrent", "bare loop"
NODES = 500
VALID_AT = 0.9
RPC_TARGET, RPC_FAILS_BELOW = 0.85, 0.75
LIBTORRENT_TARGET = 4.0         # lookups per second, wall-clock
MOST_MESSAGES = 12              # a lookup
ALPHA = 4


def rpcs_per_cpu_s(sample: Sample) -> float:
    return sample.extra["rpcs"] / sample.cpu_s if sample.cpu_s else 0.0


def program(name: str, argv: Sequence[str], work: str = "lookups") -> Contestant:
    """argv may hold {seconds}."""
    def run(seconds: float) -> Sample:
        report = run_to_end([part.format(seconds=seconds) for part in argv], MEASURED_CORE).report
        done, rpcs = float(report[work]), float(report["rpcs"])
        extra = {"rpcs": rpcs, "rpcs_per_cpu_s": rpcs / report["cpu_s"]}
        if "queries" in report:
            extra["messages"] = report["queries"] / done if done else 0.0
        return Sample(done, report["wall_s"], report["cpu_s"], extra)
    return Contestant(name, run)


def contestants(bootstrap: str, rows: Path, concurrency: int, seed: int, has_libtorrent: bool) -> list[Contestant]:
    arguments = [bootstrap, str(concurrency), "{seconds}", str(seed)]
    window = str(min(ALPHA * concurrency, 1024))
    chosen = [
        program(OURS, [sys.executable, "-m", "bench.macro.lookup_client", *arguments]),
        program(REFERENCE, [str(build_reference("lookup_engine")), *arguments]),
        program(BARE, [str(build_reference("bare_client")), str(rows), "get_peers", window, "{seconds}"], work="rpcs"),
    ]
    if has_libtorrent:
        listen = f"127.2.0.1:{20_000 + os.getpid() % 20_000}"
        chosen.append(program(LIBTORRENT, [sys.executable, str(PEERS / "libtorrent_lookups.py"), listen, *arguments]))
    return chosen


def judge(results: Results) -> dict[str, object]:
    validity = results.ratio(REFERENCE, BARE, rpcs_per_cpu_s)
    verdict: dict[str, object] = {
        "rpc_to_reference": results.ratio(OURS, REFERENCE, rpcs_per_cpu_s).to_json(),
        "lookups_to_reference_per_cpu_s": results.ratio(OURS, REFERENCE, per_cpu_s).to_json(),
        "reference_to_bare": validity.to_json(),
        "is_void": validity.pairwise.median < VALID_AT,
        "messages_per_lookup": significant(results.extra(OURS, "messages").median),
    }
    if LIBTORRENT in results.samples:
        verdict["lookups_to_libtorrent"] = results.ratio(OURS, LIBTORRENT, per_wall_s).to_json()
        verdict["lookups_to_libtorrent_per_cpu_s"] = results.ratio(OURS, LIBTORRENT, per_cpu_s).to_json()
    return verdict


def print_verdict(concurrency: int, verdict: Mapping[str, object]) -> None:
    def median(key: str) -> object:
        ratio = verdict.get(key)
        return ratio["median"] if isinstance(ratio, dict) else "not measured"
    console.print(f"concurrency {concurrency}: RPC per CPU-second to C {median('rpc_to_reference')} "
                  f"(aim {RPC_TARGET}, fails below {RPC_FAILS_BELOW}); lookups/s to libtorrent "
                  f"{median('lookups_to_libtorrent')} (aim {LIBTORRENT_TARGET}); "
                  f"{verdict['messages_per_lookup']} messages a lookup (at most {MOST_MESSAGES})")
    if verdict["is_void"]:
        console.print(f"VOID: the C engine reaches {median('reference_to_bare')} of the bare loop; {VALID_AT} needed",
                      style="red")


def without_libtorrent() -> bool:
    try:
        import libtorrent  # noqa: F401  only whether it is there
    except ImportError:
        console.print("libtorrent is not installed (pip install libtorrent); left out")
        return True
    return False


@click.command()
@click.option("--concurrency", type=click.IntRange(1, 4096), multiple=True, default=(16, 256), show_default=True)
@with_plan(seconds=2.0, quick_seconds=0.3)
def main(plan: Plan, concurrency: tuple[int, ...]) -> None:
    """get_peers lookups beside a C engine and libtorrent."""
    console.print(f"machine {describe_machine()}, {plan}")
    has_libtorrent = not without_libtorrent()
    summary: dict[str, object] = {"bench": "lookups", "machine": describe_machine(), **plan.to_json(), "nodes": NODES}
    with contextlib.ExitStack() as stack:
        swarm = stack.enter_context(start_swarm(NODES, plan.seed, "--values-everywhere"))
        bootstrap = swarm.read_line()["bootstrap"][0]
        rows = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastdht-bench-"))) / "nodes.rows"
        run_engine(bootstrap, "standard", NODES, plan.seed, rows)               # whom the bare loop asks
        for callers in concurrency:
            chosen = contestants(bootstrap, rows, callers, plan.seed, has_libtorrent)
            results = run_pairs(chosen, plan, f"concurrency {callers}", warm_up=False)
            console.print(results_table(f"get_peers lookups, {callers} at a time", results, "lookups", REFERENCE,
                                        ("messages", "rpcs_per_cpu_s")))
            verdict = judge(results)
            print_verdict(callers, verdict)
            summary[f"concurrency_{callers}"] = {**verdict, "contestants": results.to_json()}
    finish(summary)


if __name__ == "__main__":
    main()
