"""A network of real libtorrent nodes: our census finds them all, and peers are found in both directions."""
from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from fastdht import Endpoint, Node
from fastdht._ext import ids, krpc
from fastdht.testing import builders
from tests.conftest import SEED
from tests.interop.conftest import demand
from tests.interop.peers.process import free_port

ROOT = Path(__file__).resolve().parents[2]
NODES = 60
TORRENTS = 200
NET = "127.0.0.0/8"


class Sessions:
    """The child process that runs the libtorrent nodes."""

    def __init__(self) -> None:
        port = free_port()
        self.endpoints = [f"127.77.{index}.1:{port}" for index in range(1, NODES + 1)]
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
    demand("libtorrent")
    running = Sessions()
    try:
        until_connected(running)
        yield running
    finally:
        running.close()


def until_connected(running: Sessions) -> None:
    """Wait until each node is named by some other: they were told of two others each, and join by themselves."""
    deadline = time.monotonic() + 90
    missing = set(running.endpoints)
    rng = Random(SEED)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind(("127.78.9.1", 0))
        asker.settimeout(0.2)
        while missing:
            assert time.monotonic() < deadline, f"named by no libtorrent node in 90 s: {sorted(missing)}"
            for endpoint in running.endpoints:
                missing -= named_by(asker, Endpoint.parse(endpoint), ids.random_id(rng.getrandbits(64)))


def named_by(asker: socket.socket, endpoint: Endpoint, target: bytes) -> set[str]:
    """The nodes that one node names for a target, asked without anything of ours but the codec."""
    asker.sendto(krpc.build_query("find_node", id=b"a" * 20, tid=7, target=target, read_only=True), endpoint)
    try:
        answer = krpc.parse(asker.recv(8192)) or {}
    except OSError:                                             # not up yet
        return set()
    return {str(named.endpoint) for named in builders.unpack_nodes(answer.get("nodes", b""))}


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
    peers = sessions.ask(f"lookup 30 {','.join(info_hash.hex() for info_hash in hashes)}")
    found = sum(f"127.78.2.1:{20000 + turn}" in peers[info_hash.hex()] for turn, info_hash in enumerate(hashes))
    assert found >= 0.99 * TORRENTS
