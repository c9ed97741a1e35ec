"""Children of a benchmark: each pinned to one core, measured by its own CPU clock, and always ended.

The measured program stands on SERVER_CORE or CLIENT_CORE alone; whatever loads or answers it stands on the other.
"""
from __future__ import annotations

import json
import os
import platform
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.macro.pairs import BenchFailed

START_TIMEOUT_S = 30.0
PEERS = Path(__file__).resolve().parents[1] / "peers"
CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE = CORES[0]            # load generator, or the swarm that answers a client
MEASURED_CORE = CORES[-1]       # what the figure is about


def describe_machine() -> dict[str, object]:
    """What a reader needs to place the figures: no names of hosts or people."""
    return {
        "cores": len(CORES),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "shared_core": LOAD_CORE == MEASURED_CORE,
    }


def pin(core: int) -> None:
    """Keep this process on one core."""
    os.sched_setaffinity(0, {core})


def fastdht_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fastdht", *arguments]


def start_swarm(nodes: int, seed: int, *options: str) -> Child:
    """A clean virtual network on the load's core; its first line says where to enter it."""
    return Child(fastdht_command("swarm", "--nodes", str(nodes), "--seed", str(seed), *options), LOAD_CORE)


class Child:
    """A long-running program that speaks one JSON line at a time on stdout."""

    def __init__(self, argv: Sequence[str], core: int, takes_commands: bool = False) -> None:
        self.argv = list(argv)
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE if takes_commands else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        self._unread = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def read_line(self, timeout_s: float = START_TIMEOUT_S) -> dict[str, Any]:
        """The next line that is a JSON object; other lines (banners) are skipped."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._next_line(deadline)
            if line.startswith(b"{"):
                found: dict[str, Any] = json.loads(line)
                return found

    def ask(self, command: str, timeout_s: float = START_TIMEOUT_S) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.read_line(timeout_s)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def read_to_end(self, deadline: float) -> bytes:
        """Wait for the end of its output; the last line that is a JSON object, or nothing."""
        while self._read_more(deadline):
            pass
        lines = [line for line in self._unread.splitlines() if line.startswith(b"{")]
        return lines[-1] if lines else b""

    def _next_line(self, deadline: float) -> bytes:
        while b"\n" not in self._unread:
            if not self._read_more(deadline):
                raise BenchFailed(f"{' '.join(self.argv)} ended with status {self.process.wait()}")
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _read_more(self, deadline: float) -> bool:
        """Wait for more output; False at its end."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise BenchFailed(f"too late: {' '.join(self.argv)}")
        chunk = os.read(fd, 65536)
        self._unread += chunk
        return bool(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ran to its end: its last JSON line, and what it cost from exec to exit."""
    report: Mapping[str, Any]
    wall_s: float
    cpu_s: float
    max_rss_bytes: int


def run_to_end(argv: Sequence[str], core: int, timeout_s: float = 1800.0) -> Finished:
    """Run pinned; CPU and memory are the kernel's account of the dead child (wait4), start-up included."""
    started = time.monotonic()
    with Child(argv, core) as child:
        last = child.read_to_end(started + timeout_s)
        _, status, usage = os.wait4(child.pid, 0)
        child.process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - started
    if child.process.returncode or not last:
        raise BenchFailed(f"{' '.join(argv)} ended with status {child.process.returncode} and no report")
    return Finished(json.loads(last), wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def cpu_clock(pid: int) -> float:
    """CPU seconds (user + system, all threads) of a live process: its POSIX CPU-time clock, in nanoseconds inside."""
    return time.clock_gettime((~pid << 3) | 2)


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
