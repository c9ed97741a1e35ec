"""Crawls by several workers: processes of this machine, and a real Dask scheduler with workers that are killed."""
from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastdht.crawl.verify import Verdict, verify
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import ANSWERS, REACHABLE, Truth

KILLS = 20
WORKERS = 3


def judge(network: Swarm, folder: Path) -> Verdict:
    truth = Truth(network.nodes, network.seed, network.truth_records(0, network.contacts))
    return verify(folder, truth.keys(REACHABLE), truth.keys(ANSWERS))


def start(network: Swarm, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "fastdht", "crawl", *arguments, "--json", "--per-ip", "0",
                             "--allow-net", "127.0.0.0/8", "--bootstrap", ",".join(network.bootstrap), "--timeout",
                             "1s"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        output, errors = process.communicate(timeout=110)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def test_processes_share_zones_and_rate(tmp_path: Path) -> None:
    with Swarm(4000, 41) as network:
        process = start(network, "--zones", "8", "--workers", "2", "--rate", "4000", "--out", str(tmp_path / "out"))
        result = finished(process)
        verdict = judge(network, tmp_path / "out")
        assert result["sent"] == sum(network.asked())
    assert (result["complete"], result["found"]) == (True, 4000)
    assert (verdict.recall, verdict.doubled_rows) == (1.0, 0)
    assert result["sent"] / result["elapsed_s"] < 1.05 * 4000


class Cluster:
    """A Dask scheduler and its workers, each a process."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._folder = folder
        self.scheduler = self.start_scheduler()
        self.workers = [self.start_worker() for _ in range(WORKERS)]

    def run(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder)

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        return self.run("scheduler", "--host", "127.0.0.1", "--port", str(self.port))

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.run("worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1",
                        "--death-timeout", "60")

    def wait_for_workers(self) -> None:
        from distributed import Client

        with Client(self.address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(WORKERS, timeout=30)

    def kill_worker(self, number: int) -> None:
        self.workers[number].kill()
        self.workers[number].wait()
        self.workers[number] = self.start_worker()

    def restart_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()
        self.scheduler = self.start_scheduler()
        for number in range(WORKERS):       # those without a nanny may give up with their scheduler
            self.kill_worker(number)


@contextmanager
def dask_cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.wait_for_workers()
        yield cluster
    finally:
        for process in [*cluster.workers, cluster.scheduler]:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_dask_workers_may_die_and_the_scheduler_may_restart(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("distributed")
    rng = random.Random(seed)
    out = tmp_path / "out"
    with Swarm(20_000, 42, profile="easy") as network, dask_cluster(tmp_path) as cluster:
        process = start(network, "--zones", "16", "--scheduler", cluster.address, "--rate", "3000", "--checkpoint",
                        "1s", "--out", str(out))
        kills = 0
        while process.poll() is None and kills < KILLS:
            try:
                process.wait(rng.uniform(0.5, 1.5))
            except subprocess.TimeoutExpired:
                if kills == KILLS // 2:
                    cluster.restart_scheduler()
                else:
                    cluster.kill_worker(rng.randrange(WORKERS))
                kills += 1
        result = finished(process)
        verdict = judge(network, out)
    manifest = list((out / "manifest").glob("*.json"))
    print(f"kills {kills}, recall {verdict.recall:.4f}, messages {result['sent']}")
    assert kills >= KILLS // 2
    assert (result["complete"], len(manifest)) == (True, 16)
    assert (verdict.precision, verdict.doubled_rows) == (1.0, 0)
    assert verdict.recall > 0.985       # undisturbed: 0.997
