"""`fastdht crawl peers`: wrong usage in one line, addresses cut unless asked otherwise, a census as its map."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastdht.crawl.anonymous import anonymizer
from fastdht.testing.swarm import Swarm
from fastdht.types import Endpoint

ALLOW = ("--allow-net", "127.0.0.0/8")
HASH = "0123456789abcdef0123456789abcdef01234567"


def run(*arguments: str, text: str = "") -> tuple[int, str, str]:
    ended = subprocess.run([sys.executable, "-m", "fastdht", "crawl", *arguments], text=True, capture_output=True,
                           timeout=60, check=False, input=text)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def network() -> Iterator[Swarm]:
    with Swarm(1000, 23, torrents=30) as swarm:
        yield swarm


def listed(network: Swarm) -> str:
    return "\n".join(network.torrent(number).hex() for number in range(30))


@pytest.mark.parametrize("arguments", [
    (), ("-", "--rate", "0"), ("-", "--rate", "max"), ("-", "--out", "somewhere"), ("-", "--anonymize", "maybe"),
    ("-", "--concurrency", "0"), ("-", "--budget-msgs", "3"), ("-", "--from-census", "/nonexistent"),
    ("/nonexistent",), ("-", "--bootstrap", "none"),
])
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    code, output, errors = run("peers", *arguments, text=HASH)
    assert (code, output, len(errors.splitlines())) == (2, "", 1), errors


def test_line_that_is_no_infohash_is_named() -> None:
    code, output, errors = run("peers", "-", text=f"{HASH}\nnonsense\n")
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert "line 2" in errors


def test_addresses_are_cut_unless_asked_otherwise(network: Swarm) -> None:
    common = ("peers", "-", "--rate", "max", *ALLOW, "--bootstrap", ",".join(network.bootstrap), "--per-ip", "0")
    code, output, errors = run(*common, text=listed(network))
    assert code == 0, errors
    rows = [json.loads(line) for line in output.splitlines()]
    assert len(rows) == 30
    assert all(peer.endswith(".0/24") for row in rows for peer in row["peers"])
    code, output, _ = run(*common, "--anonymize", "none", text=listed(network))
    for row in map(json.loads, output.splitlines()):
        assert set(row["peers"]) == {f"{ip}:{port}" for ip, port in network.torrent_peers(bytes.fromhex(row["info_hash"]))}


def test_census_is_the_map_of_a_look_up(network: Swarm, tmp_path: Path) -> None:
    entry = ("--bootstrap", ",".join(network.bootstrap))
    assert run("census", "--rate", "max", *ALLOW, *entry, "--per-ip", "0", "--out", str(tmp_path / "census"))[0] == 0
    out = tmp_path / "peers"
    code, output, errors = run("peers", "-", "--rate", "max", *ALLOW, "--from-census", str(tmp_path / "census"),
                               "--per-ip", "0", "--out", str(out), "--format", "jsonl", "--purpose", "a test", "--json",
                               text=listed(network))
    assert code == 0, errors
    summary = json.loads(output.splitlines()[-1])
    assert (summary["infohashes"], summary["peers"], summary["complete"]) == (30, 300, True)
    assert summary["msgs_per_hash"] <= 12
    assert json.loads((out / "crawl.json").read_text())["anonymize"] == "truncate"
    assert len((out / "parts" / "swarms" / "part-0.jsonl").read_text().splitlines()) == 30


def test_hashed_peers_can_be_told_apart_but_not_guessed() -> None:
    hashed, other = anonymizer("hmac", bytes(32)), anonymizer("hmac", b"\x01" * 32)
    one, two = Endpoint("192.0.2.7", 1), Endpoint("192.0.2.7", 2)
    assert hashed(one) == hashed(Endpoint("192.0.2.7", 1)) != hashed(two)
    assert other(one) != hashed(one)


def test_networks_of_both_families() -> None:
    cut = anonymizer("truncate", b"")
    assert cut(Endpoint("192.0.2.7", 1)) == "192.0.2.0/24"
    assert cut(Endpoint("2001:db8:1:2::3", 1)) == "2001:db8:1::/48"
