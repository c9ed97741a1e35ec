"""A network of real libtorrent nodes: our census finds them all, and peers are found in both directions."""
from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from fastdht import DHTError, Endpoint, Node
from tests.conftest import SEED

pytest.importorskip("libtorrent", reason="libtorrent is not installed: pip install libtorrent")

ROOT = Path(__file__).resolve().parents[2]
NODES = 60
TORRENTS = 200
NET = "127.0.0.0/8"


class Sessions:
    """The child process that runs the libtorrent nodes."""

    def __init__(self) -> None:
        self.endpoints = [f"127.77.{index}.1:7{index:03}" for index in range(1, NODES + 1)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.interop.libtorrent_node", ",".join(self.endpoints)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.read()["sessions"] == NODES

    def read(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def ask(self, command: str) -> dict:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def sessions():
    running = Sessions()
    try:
        asyncio.run(until_connected(running))
        yield running
    finally:
        running.close()


async def until_connected(running: Sessions) -> None:
    """Wait until each node is found by a lookup of its id: they were told of two others each and join by themselves."""
    deadline = time.monotonic() + 60
    missing = set(running.endpoints)
    async with open_node(running) as node:
        while missing:
            assert time.monotonic() < deadline, f"libtorrent nodes not found after a minute: {sorted(missing)}"
            for endpoint in sorted(missing):
                try:
                    report = await node.find_node((await node.ping(endpoint)).id)
                except DHTError:                    # not up yet
                    break
                if report.closest[0].contact.endpoint == Endpoint.parse(endpoint):
                    missing.discard(endpoint)


def open_node(running: Sessions, bind: str = "127.78.1.1:0") -> Node:
    return Node(bind, bootstrap=running.endpoints[:3], allow_net=[NET], limits="off")


def test_census_when_run_on_60_libtorrent_nodes_then_finds_60(sessions, tmp_path):
    command = [sys.executable, "-m", "fastdht", "crawl", "census", "--rate", "2000", "--allow-net", NET, "--bootstrap",
               ",".join(sessions.endpoints[:3]), "--out", str(tmp_path / "census"), "--format", "jsonl", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    summary = json.loads(done.stdout.splitlines()[-1])
    rows = [json.loads(line) for part in (tmp_path / "census").rglob("part-*.jsonl") for line in part.open()]
    assert {f"{row['ip']}:{row['port']}" for row in rows} == set(sessions.endpoints)
    assert summary["found"] == NODES
    assert summary["complete"]


def test_peers_when_announced_by_libtorrent_then_found_by_us(sessions):
    rng = Random(SEED)
    announced = {}
    for turn in range(TORRENTS):
        info_hash = rng.randbytes(20)
        by = sessions.ask(f"announce {info_hash.hex()} {10000 + turn}")["by"]
        announced[info_hash] = Endpoint(sessions.endpoints[by].split(":")[0], 10000 + turn)

    async def find() -> int:
        async with open_node(sessions) as node:
            await asyncio.wait_for(node.joined(), 10)
            deadline = time.monotonic() + 60
            missing = dict(announced)
            while missing and time.monotonic() < deadline:      # the announces are under way
                reports = [(await node.get_peers(info_hash)) for info_hash in missing]
                for report in reports:
                    if missing[bytes(report.target)] in report.values:
                        del missing[bytes(report.target)]
            return len(announced) - len(missing)

    assert asyncio.run(find()) >= 0.99 * TORRENTS


def test_peers_when_announced_by_us_then_found_by_libtorrent(sessions):
    rng = Random(SEED + 1)
    hashes = [rng.randbytes(20) for _ in range(TORRENTS)]

    async def announce() -> None:
        async with open_node(sessions, "127.78.2.1:0") as node:
            await asyncio.wait_for(node.joined(), 10)
            for turn, info_hash in enumerate(hashes):
                report = await node.announce_peer(info_hash, 20000 + turn)
                assert report.accepted

    asyncio.run(announce())
    found = sum(f"127.78.2.1:{20000 + turn}" in sessions.ask(f"lookup {info_hash.hex()} 5")["peers"]
                for turn, info_hash in enumerate(hashes))
    assert found >= 0.99 * TORRENTS
