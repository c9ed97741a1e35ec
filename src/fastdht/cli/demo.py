"""`fastdht demo`: a swarm, a crawl of it, and what the crawl found of the truth. Rate class: command.

Swarm, crawl and verification are the commands anyone can type, run as child processes: nothing is faked, and each is
printed before it runs. All traffic stays on 127.0.0.0/8. Children and files are gone at the end, however it comes.
"""
from __future__ import annotations

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from fastdht.cli.params import RATE
from fastdht.cli.render import Row, count, emit_remark, percent, print_summary, seconds

LOOPBACK = "127.0.0.0/8"
READY_SECONDS = 60.0        # ten million nodes are ready in less
ENTRY_POINTS = 3            # any one would do; on a lossy network the first question may be lost
STOP_SECONDS = 10.0         # the swarm writes its packet counters before it ends


@click.command()
@click.option("--nodes", type=click.IntRange(100, 1_000_000), default=50_000, show_default=True, help="Virtual nodes.")
@click.option("--rate", type=RATE, default=20_000, show_default=True, help="Queries per second of the crawl.")
@click.option("--profile", type=click.Choice(["clean", "easy", "hard"]), default="easy", show_default=True,
              help="How many contacts are dead and how much is lost.")
@click.option("--depth", type=click.Choice(["fast", "standard", "exhaustive"]), default="standard", show_default=True,
              help="How often the crawl asks each node.")
@click.option("--seed", type=int, default=1, show_default=True, help="Repeats a run.")
def demo(nodes: int, rate: float, profile: str, depth: str, seed: int) -> None:
    """Crawl a swarm of virtual nodes on this machine and show how much was found.

    Real UDP packets between two processes; nothing leaves 127.0.0.0/8.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)   # as Ctrl-C: it ends the children too
    with tempfile.TemporaryDirectory(prefix="fastdht-demo-") as folder:
        truth, out = Path(folder, "truth"), Path(folder, "crawl")
        swarm = ["swarm", "--nodes", str(nodes), "--seed", str(seed), "--port", str(free_port()),
                 "--profile", profile, "--truth", str(truth)]
        with running_swarm(swarm, Path(folder, "swarm.log")) as bootstrap:
            crawl = run_for_json(["crawl", "census", "--depth", depth, "--rate", f"{rate:g}", "--allow-net", LOOPBACK,
                                  "--bootstrap", ",".join(bootstrap), "--out", str(out), "--seed", str(seed), "--json"])
        verdict = run_for_json(["crawl", "verify", str(out), "--truth", str(truth), "--json"])
    print_summary(f"A census of {nodes:,} virtual nodes, profile {profile}", summarise(crawl, verdict))


def summarise(crawl: dict[str, Any], verdict: dict[str, Any]) -> list[Row]:
    """The rows of the closing table, from the JSON lines of `crawl census` and `crawl verify`."""
    return [
        Row("found", count(crawl["found"]), f"of {count(crawl['contacts'])} contacts heard of"),
        Row("recall", percent(verdict["recall"]), "of the nodes that can be reached"),
        Row("precision", percent(verdict["precision"]), "of what was found is true"),
        Row("messages per found node", f"{crawl['msgs_per_found']:.2f}", f"{count(crawl['sent'])} queries sent"),
        Row("rate", f"{count(crawl['rpc_per_s'])}/s", f"{count(crawl['found_per_s'])} nodes found per second"),
        Row("lost in the kernel", count(crawl["kernel_drops"]), "datagrams dropped by full buffers"),
        Row("time", seconds(crawl["elapsed_s"])),
    ]


@contextlib.contextmanager
def running_swarm(arguments: Sequence[str], log: Path) -> Iterator[list[str]]:
    """A swarm in a child process, from its ready line on; yields its entry points."""
    announce(arguments)
    with log.open("wb") as errors:
        process = subprocess.Popen(command_line(arguments), stdout=subprocess.PIPE, stderr=errors)
    try:
        yield await_ready(process, log)
    finally:
        stop(process)


def await_ready(process: subprocess.Popen[bytes], log: Path) -> list[str]:
    assert process.stdout is not None
    timer = threading.Timer(READY_SECONDS, process.kill)    # ends the blocking read below
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    if not line:
        code = process.wait()
        words = last_line(log.read_text())
        raise click.ClickException(f"the swarm ended with exit code {code} before it was ready: {words}")
    ready = parse_json("swarm", line)
    return [str(endpoint) for endpoint in ready["bootstrap"][:ENTRY_POINTS]]


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def run_for_json(arguments: Sequence[str]) -> dict[str, Any]:
    """Run a command to its end, its progress shown; returns the JSON object on its last line of stdout."""
    announce(arguments)
    process = subprocess.Popen(command_line(arguments), stdout=subprocess.PIPE)
    try:
        output, _ = process.communicate()
    finally:
        stop(process)
    if process.returncode:
        name = " ".join(arguments[:2])
        raise click.ClickException(f"`fastdht {name}` failed with exit code {process.returncode}; its message is above")
    return parse_json(" ".join(arguments[:2]), last_line(output.decode()).encode())


def parse_json(name: str, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise click.ClickException(f"`fastdht {name}` printed {line[:80]!r} where one JSON object was due")
    return value


def command_line(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "fastdht", *arguments]


def announce(arguments: Sequence[str]) -> None:
    emit_remark(f"$ fastdht {shlex.join(arguments)}")


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def free_port() -> int:
    """A UDP port that nothing on this machine is bound to right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
