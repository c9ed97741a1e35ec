"""make bench-server: replies per CPU-second of a node beside a C reply server, libtorrent and rTorrent.

Every server lives through the whole bench on the same core, each with a load of its own (reference/load.c) on the
other; only one load asks at a time. Rounds are run method by method, so the two sides of a pair stand seconds apart.
`fastdht serve --limits off` has every check on and every rate limit lifted; a lost question fails the run.
With --full our stores are filled to their bounds before (bench/macro/full_serve.py), and a block list is loaded.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from bench.macro.native import build_reference
from bench.macro.pairs import (
    BenchFailed,
    Contestant,
    Plan,
    Results,
    Sample,
    console,
    finish,
    geometric_mean,
    per_cpu_s,
    results_table,
    run_pairs,
    significant,
    with_plan,
)
from bench.macro.processes import LOAD_CORE, MEASURED_CORE, PEERS, Child, describe_machine, fastdht_command

METHODS = ("ping", "find_node", "get_peers_miss", "get_peers_hit", "get_hit")
OURS, PORTABLE, REFERENCE = "fastdht", "fastdht portable", "C reply server"
SOURCES, SWARM, WINDOW, PEERS_ANNOUNCED = 16_384, 500, 128, 50
FULL_REPLY, FILL_TIMEOUT_S = 7.9, 20.0       # nodes a reply: the table knows the swarm
VALID_AT = 0.9          # of the bare loop: a slower reference would flatter us
TARGET, FAILS_BELOW = 0.80, 0.70
PEER_METHOD_TARGET = 0.95
PORTABLE_TARGET = 0.50
NOTED = ("bytes", "lost", "errors", "malformed", "misrouted", "kernel_drops")
FALLBACK_SIZES = {"ping": 56, "find_node": 280, "get_peers_miss": 300, "get_peers_hit": 700,
                  "get_hit": 850}
STORES_ITEMS = {OURS, PORTABLE, "libtorrent"}      # BEP 44; rTorrent has none


@dataclass
class Server:
    """One running server and the load that asks it."""
    name: str
    child: Child
    load: Child
    verb: str = "run"

    def measure(self, method: str, seconds: float) -> Sample:
        report = self.load.ask(f"{self.verb} {method} {seconds}", timeout_s=seconds + 30)
        extra = {key: float(report[key]) for key in NOTED}
        return Sample(report["replies"], report["wall_s"], report["cpu_s"], extra)

    def contestant(self, method: str) -> Contestant:
        return Contestant(self.name, lambda seconds: self.measure(method, seconds))


class Arena:
    """Starts servers and loads on addresses and ports of their own, and ends them all."""

    def __init__(self, stack: contextlib.ExitStack, seed: int) -> None:
        self.stack = stack
        self.seed = seed
        self.started = 0
        folder = tempfile.TemporaryDirectory(prefix="fastdht-bench-", ignore_cleanup_errors=True)
        self.folder = stack.enter_context(folder)
        self.base_port = 20_000 + os.getpid() % 20_000

    def start(self, name: str, argv: Sequence[str], fill_s: float, verb: str = "run") -> Server:
        """argv may hold {endpoint}, {bootstrap} and {folder}; fill_s > 0 fills its table and announces peers."""
        self.started += 1
        port = self.base_port + self.started
        load = self.stack.enter_context(Child(
            [str(build_reference("load")), *map(str, (port + 200, SOURCES, SWARM, WINDOW, self.seed))],
            LOAD_CORE, takes_commands=True,
        ))
        places = {"endpoint": f"127.1.0.{self.started}:{port}", "bootstrap": load.read_line()["bootstrap"],
                  "folder": self.folder}
        child = self.stack.enter_context(Child([part.format(**places) for part in argv], MEASURED_CORE))
        child.read_line()
        load.ask(f"server {places['endpoint']} {child.pid}")
        if fill_s:
            self.prepare(name, load, fill_s)
        return Server(name, child, load, verb)

    def prepare(self, name: str, load: Child, fill_s: float) -> None:
        deadline = time.monotonic() + FILL_TIMEOUT_S
        filled: dict[str, float] = {"nodes": 0}
        asked = 0
        while filled["nodes"] < FULL_REPLY and time.monotonic() < deadline:
            filled = load.ask(f"fill {fill_s}", timeout_s=fill_s + 30)
            asked += int(filled["answered"])
        announced = load.ask(f"announce {PEERS_ANNOUNCED}")
        if name in STORES_ITEMS and load.ask("store")["stored"] != 1:
            raise BenchFailed(f"{name} does not store an item")
        console.print(f"{name}: {filled['nodes']} nodes a reply, {asked} questions of its own answered, "
                      f"{announced['announced']} peers announced")
        if not filled["replies"]:
            raise BenchFailed(f"{name} answers nothing")


def real_servers(arena: Arena, only: Sequence[str], fill_s: float, is_full: bool) -> list[Server]:
    full = [sys.executable, "-m", "bench.macro.full_serve", "{endpoint}", "{bootstrap}"]
    commands = {
        OURS: full if is_full else fastdht_command(
            "serve", "--listen", "{endpoint}", "--bootstrap", "{bootstrap}", "--allow-net", "127.0.0.0/8",
            "--limits", "off", "--bucket-size", "8"),
        PORTABLE: [sys.executable, "-m", "bench.macro.portable_serve", "{endpoint}", "{bootstrap}"],
        "libtorrent": [sys.executable, str(PEERS / "libtorrent_serve.py"), "{endpoint}", "{bootstrap}"],
        "rTorrent": [sys.executable, str(PEERS / "rtorrent_serve.py"), "{endpoint}", "{bootstrap}", "{folder}"],
    }
    if shutil.which("rtorrent") is None:
        console.print("rtorrent is not installed (Debian: apt-get install rtorrent); left out")
        del commands["rTorrent"]
    return [arena.start(name, argv, fill_s) for name, argv in commands.items() if not only or name in only]


def reply_sizes(servers: Sequence[Server], model: str) -> dict[str, int]:
    """What the references must send: the sizes of our own replies (or of another server's, or a default)."""
    chosen = next((server for server in servers if server.name == model), None)
    if chosen is None:
        return dict(FALLBACK_SIZES)
    return {method: round(chosen.measure(method, 0.2).extra["bytes"]) for method in METHODS}


def start_references(arena: Arena, sizes: Mapping[str, int]) -> tuple[Server, dict[str, Server]]:
    program = str(build_reference("reply_server"))
    reply = arena.start(REFERENCE, [program, "{endpoint}", *(str(sizes[method]) for method in METHODS)], 0)
    bare = {
        method: arena.start("bare loop", [program, "{endpoint}", "bare", str(sizes[method])], 0, verb="bare")
        for method in METHODS
    }
    return reply, bare


def judge(by_method: Mapping[str, Results]) -> dict[str, object]:
    """The ratios that the targets speak of; a reference that fails the validity rule voids its ratio."""
    validity = {method: results.ratio(REFERENCE, "bare loop", per_cpu_s) for method, results in by_method.items()}
    verdict: dict[str, object] = {
        "reference_to_bare": {method: ratio.to_json() for method, ratio in validity.items()},
        "void": [method for method, ratio in validity.items() if ratio.pairwise.median < VALID_AT],
    }
    contestants = set().union(*(results.samples for results in by_method.values()))
    if PORTABLE in contestants:
        verdict["portable_to_reference"] = compare(by_method, PORTABLE, REFERENCE)
    if OURS not in contestants:
        return verdict
    for other in sorted(contestants - {OURS, PORTABLE, "bare loop"}):
        verdict[f"to {other}"] = compare(by_method, OURS, other)
    lost = sum(sample.extra["lost"] + sample.extra["errors"] + sample.extra["malformed"] + sample.extra["misrouted"]
               for results in by_method.values() for sample in results.samples[OURS])
    verdict["ours_lost_or_wrong"] = int(lost)
    return verdict


def compare(by_method: Mapping[str, Results], name: str, other: str) -> dict[str, object]:
    """Over the methods that both answer."""
    ratios = {method: results.ratio(name, other, per_cpu_s) for method, results in by_method.items()
              if {name, other} <= results.samples.keys()}
    medians = [ratio.pairwise.median for ratio in ratios.values()]
    return {
        **{method: ratio.to_json() for method, ratio in ratios.items()},
        "geometric_mean": significant(geometric_mean(medians)),
        "lowest": significant(min(medians)),
    }


def print_verdict(verdict: Mapping[str, object]) -> None:
    for other in (key for key in verdict if key.startswith("to ")):
        ratios = verdict[other]
        assert isinstance(ratios, dict)
        is_reference = other == f"to {REFERENCE}"
        aim = f"aim {TARGET}, fails below {FAILS_BELOW}" if is_reference else f"aim > 1, each ≥ {PEER_METHOD_TARGET}"
        console.print(f"fastdht {other}: geometric mean {ratios['geometric_mean']}, lowest {ratios['lowest']} ({aim})")
    portable = verdict.get("portable_to_reference")
    if isinstance(portable, dict):
        console.print(f"portable to {REFERENCE}: geometric mean {portable['geometric_mean']} (aim {PORTABLE_TARGET})")
    if verdict["void"]:
        console.print(f"VOID: the C reply server is below {VALID_AT} of the bare loop: {verdict['void']}", style="red")
    if verdict.get("ours_lost_or_wrong"):
        console.print(f"FAILED: {verdict['ours_lost_or_wrong']} questions lost or wrongly answered", style="red")


@click.command()
@click.option("--only", multiple=True, help="Run just these: fastdht, fastdht portable, libtorrent, rTorrent.")
@click.option("--sizes-of", default=OURS, show_default=True, help="Whose reply sizes the C references send.")
@click.option("--full", is_flag=True, help="Fill our stores to their bounds, and load 300,000 ranges to block.")
@with_plan(seconds=1.0, quick_seconds=0.2)
def main(plan: Plan, only: tuple[str, ...], sizes_of: str, full: bool) -> None:
    """Replies per CPU-second, five methods, beside a C reply server and other DHT nodes."""
    console.print(f"machine {describe_machine()}, {plan}")
    by_method: dict[str, Results] = {}
    with contextlib.ExitStack() as stack:
        arena = Arena(stack, plan.seed)
        servers = real_servers(arena, only, 2.0 if plan.quick else 6.0, full)
        sizes = reply_sizes(servers, sizes_of)
        reply, bare = start_references(arena, sizes)
        for method in METHODS:
            asked = [server for server in servers if method != "get_hit" or server.name in STORES_ITEMS]
            chosen = [server.contestant(method) for server in (*asked, reply, bare[method])]
            by_method[method] = run_pairs(chosen, plan, method)
            title = f"{method}, {sizes[method]} B"
            console.print(results_table(title, by_method[method], "replies", REFERENCE, ("bytes", "lost")))
    verdict = judge(by_method)
    print_verdict(verdict)
    finish({
        "bench": "server", "full": full, "machine": describe_machine(), **plan.to_json(), "reply_bytes": sizes,
        **verdict,
        "methods": {method: results.to_json() for method, results in by_method.items()},
    })
    if verdict.get("ours_lost_or_wrong"):
        sys.exit(1)


if __name__ == "__main__":
    main()
