"""Crawls of a town of four other people's programs: who is there, what they store, whom they name as peers.

Sixty nodes with FASTDHT_NIGHTLY, a third of that without: the sixty take two minutes to know each other.
"""
from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastdht import Endpoint
from tests.conftest import SEED
from tests.interop import wire
from tests.interop.conftest import demand
from tests.interop.peers import KINDS
from tests.interop.peers.process import ObedientPeer, Peer, until
from tests.interop.wire import Asker

POPULATION = ({"libtorrent": 20, "bittorrent-dht": 16, "rtorrent": 8, "transmission": 16}
              if os.environ.get("FASTDHT_NIGHTLY") else
              {"libtorrent": 8, "bittorrent-dht": 5, "rtorrent": 3, "transmission": 4})
WAYS_IN = 12                # Transmission tries each once, and looks nothing up before it knows nine nodes
TORRENTS = 40
PATIENCE_S = 180.0
COMMON = ("--allow-net", "127.0.0.0/8", "--rate", "500", "--per-ip", "20", "--json")    # so few are asked often


class Town:
    """Foreign nodes that know each other, and torrents that some of them have announced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asker = Asker("127.130.200.1")
        self.rng = random.Random(SEED)
        self.peers: list[Peer] = []
        self.announced: dict[str, set[Endpoint]] = {}
        self._runs = 0

    def settle(self) -> None:
        for number, (name, count) in enumerate(POPULATION.items(), start=1):
            for index in range(count):
                peer = KINDS[name](f"127.{130 + number}.{index + 1}.1", self.folder / f"{name}-{index}")
                known = self.rng.sample(self.peers, min(WAYS_IN, len(self.peers)))
                self.peers.append(peer)
                peer.start([each.endpoint for each in known])
                if index < 2:                                   # those after them find somebody
                    peer.wait_until_up(self.asker)
        for peer in self.peers:
            peer.wait_until_up(self.asker, PATIENCE_S)

    def announce(self) -> None:
        """Each torrent has one to three peers, told to the network by libtorrent nodes and, slower, bittorrent-dht's."""
        obedient = [peer for peer in self.peers if isinstance(peer, ObedientPeer)][:POPULATION["libtorrent"] + 4]
        for number in range(TORRENTS):
            info_hash = hashlib.sha1(b"torrent %d of a town" % number).digest()
            for peer in self.rng.sample(obedient, self.rng.randint(1, 3)):
                peer.announce(info_hash, 7000 + number)
                self.announced.setdefault(info_hash.hex(), set()).add(Endpoint(peer.endpoint.ip, 7000 + number))

    def places(self) -> set[Endpoint]:
        return {peer.endpoint for peer in self.peers}

    def crawl(self, mode: str, *options: str) -> tuple[dict[str, Any], Path]:
        """The summary and the results of a run of the command."""
        self._runs += 1
        out = self.folder / f"{mode}-{self._runs}"
        bootstrap = ",".join(str(peer.endpoint) for peer in self.peers[:3])
        done = subprocess.run(
            [sys.executable, "-m", "fastdht", "crawl", mode, "--out", str(out), "--format", "jsonl", *COMMON,
             "--bootstrap", bootstrap, *options], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        return json.loads(done.stdout.splitlines()[-1]), out

    def stored(self) -> set[str]:
        """The torrents that some libtorrent node holds: only those answer sample_infohashes."""
        nodes = [peer for peer in self.peers if peer.name == "libtorrent"]
        return {each for each in self.announced if any(self.values_of(node, each) for node in nodes)}

    def values_of(self, peer: Peer, info_hash: str) -> set[Endpoint]:
        reply = self.asker.reply_of(peer.endpoint, "get_peers", {"info_hash": bytes.fromhex(info_hash)})
        return wire.endpoints(reply.get(b"values", []))

    def close(self) -> None:
        for peer in self.peers:
            if peer.process is not None:
                peer.process.terminate()
        for peer in self.peers:
            peer.stop()
        self.asker.close()


def table(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for part in sorted((out / "parts" / name).rglob("*.jsonl"))
            for line in part.read_text().splitlines()]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    demand(*POPULATION)
    town = Town(tmp_path_factory.mktemp("town"))
    try:
        town.settle()
        yield town
    finally:
        town.close()


def test_census_finds_every_node_under_its_own_id(town: Town) -> None:
    def look() -> list[dict[str, Any]] | None:
        summary, out = town.crawl("census")
        assert summary["complete"]
        found = table(out, "nodes")
        return found if {Endpoint(row["ip"], row["port"]) for row in found} >= town.places() else None

    found = until(look, "a census finds all", PATIENCE_S)
    for row in found:
        place = Endpoint(row["ip"], row["port"])
        assert place in town.places() | {town.asker.endpoint}
        assert town.asker.reply_of(place, "ping")[b"id"].hex() == row["id"]
    letters = {row["v"][:4] for row in found if row["v"]}
    assert {b"LT".hex(), b"lt".hex()} <= letters


def test_peers_are_those_that_were_announced(town: Town) -> None:
    town.announce()
    wanted = town.folder / "hashes"
    wanted.write_text("".join(f"{each}\n" for each in town.announced))

    def found(*options: str) -> dict[str, set[Endpoint]]:
        _, out = town.crawl("peers", str(wanted), "--anonymize", "none", "--purpose", "test", *options)
        peers: dict[str, set[Endpoint]] = {}
        for row in table(out, "peers"):
            peers.setdefault(row["info_hash"], set()).add(Endpoint.parse(row["peer"]))
        return peers

    def is_all_found(*options: str) -> bool:
        """All that was announced, and nothing that no node holds: some nodes hold ports that they have mangled."""
        seen = found(*options)
        held = {each: set().union(*(town.values_of(peer, each) for peer in town.peers)) for each in town.announced}
        return all(town.announced[each] <= seen.get(each, set()) <= held[each] for each in held)

    until(is_all_found, "a look-up from the way in finds what was announced", PATIENCE_S)
    _, census = town.crawl("census")
    assert is_all_found("--from-census", str(census))


def test_harvest_shows_what_libtorrent_stores(town: Town) -> None:
    assert town.announced, "runs after the announces"
    summary, out = town.crawl("harvest", "--purpose", "test", "--ledger", str(town.folder / "ledger"))
    samples = table(out, "samples")
    assert {row["info_hash"] for row in samples} == town.stored()
    assert len(town.stored()) >= TORRENTS / 2
    assert {Endpoint(row["ip"], row["port"]) for row in samples} <= {
        peer.endpoint for peer in town.peers if peer.name == "libtorrent"}
    assert summary["samplers"] == POPULATION["libtorrent"]
