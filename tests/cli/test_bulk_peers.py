"""`fastdht crawl peers`: wrong usage in one line, addresses cut unless asked otherwise, a census as its map."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastdht.cli.swarm import write_truths
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


def test_who_opted_out_is_neither_asked_nor_told_of(tmp_path: Path) -> None:
    with Swarm(1000, 24, torrents=30) as network:
        named = sorted({ip for number in range(30) for ip, _ in network.torrent_peers(network.torrent(number))})
        (tmp_path / "list").write_text("127.0.0.0/9\n" + "\n".join(named[::2]))
        hosts = [f"{row.ip}:{row.port}" for row in network.truth(0, 64) if int(row.ip.split(".")[1]) >= 128]
        code, output, errors = run("peers", "-", "--rate", "max", *ALLOW, "--bootstrap", ",".join(hosts), "--per-ip", "0",
                                   "--exclude", str(tmp_path / "list"), "--anonymize", "none", text=listed(network))
        told = {peer.rpartition(":")[0] for line in output.splitlines() for peer in json.loads(line)["peers"]}
        asked = [row.ip for row, count in zip(network.truth(), network.asked(), strict=True) if count]
        assert code == 0, errors
        assert run("census", "--rate", "max", *ALLOW, "--bootstrap", hosts[0], "--per-ip", "0", "--out",
                   str(tmp_path / "census"))[0] == 0
        before = network.asked()
        code, output, errors = run("peers", "-", "--rate", "max", *ALLOW, "--from-census", str(tmp_path / "census"),
                                   "--per-ip", "0", "--exclude", str(tmp_path / "list"), "--json", text=listed(network))
        later = [row.ip for row, then, now in zip(network.truth(), before, network.asked(), strict=True) if now > then]
    assert code == 0, errors
    assert json.loads(output.splitlines()[-1])["msgs_per_hash"] == 8        # the next closest were asked instead
    assert later and all(int(ip.split(".")[1]) >= 128 for ip in later)
    assert told and told <= set(named[1::2])
    assert asked and all(int(ip.split(".")[1]) >= 128 for ip in asked)


def test_file_without_an_infohash_is_refused() -> None:
    code, output, errors = run("peers", "-", text="# nothing\n\n")
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert "no infohash" in errors


def test_directory_without_a_census_is_refused(tmp_path: Path) -> None:
    code, output, errors = run("peers", "-", "--from-census", str(tmp_path), text=HASH)
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    assert "holds no nodes" in errors


def write_truth_of(network: Swarm, folder: Path) -> Path:
    write_truths(network, folder / "truth.bin")
    return folder / "truth.bin"


def verify(directory: Path, truth: Path) -> dict[str, Any]:
    code, output, errors = run("verify", str(directory), "--truth", str(truth), "--json")
    assert code == 0, errors
    verdict: dict[str, Any] = json.loads(output)
    return verdict


@pytest.mark.parametrize(("kind", "precision"), [("none", 1.0), ("truncate", None)])
@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_verify_tells_what_of_the_announced_was_found(network: Swarm, tmp_path: Path, kind: str,
                                                      precision: float | None, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    truth, out = write_truth_of(network, tmp_path), tmp_path / "peers"
    asked = "\n".join([*listed(network).splitlines()[:20], HASH])
    code, _, errors = run("peers", "-", "--rate", "max", *ALLOW, "--bootstrap", ",".join(network.bootstrap), "--per-ip",
                          "0", "--out", str(out), "--format", format_, "--purpose", "a test", "--anonymize", kind,
                          text=asked)
    assert code == 0, errors
    verdict = verify(out, truth)
    assert (verdict["recall"], verdict["precision"], verdict["infohashes"], verdict["unknown"]) == (1, precision, 20, 1)
    assert (verdict["announced"], verdict["found"], verdict["complete"]) == (200, 200, True)


def test_verify_counts_what_is_missing_and_what_is_invented(network: Swarm, tmp_path: Path) -> None:
    truth, out = write_truth_of(network, tmp_path), tmp_path / "peers"
    info_hash = network.torrent(0)
    real = [f"{ip}:{port}" for ip, port in network.torrent_peers(info_hash)]
    rows = [{"info_hash": info_hash.hex(), "peer": peer} for peer in [*real[:6], real[0], "192.0.2.1:7", "192.0.2.2:7"]]
    (out / "parts" / "peers").mkdir(parents=True)
    (out / "parts" / "swarms").mkdir()
    (out / "parts" / "peers" / "part-0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (out / "parts" / "swarms" / "part-0.jsonl").write_text(json.dumps({"info_hash": info_hash.hex(), "peers": 8}))
    (out / "summary.json").write_text(json.dumps({"mode": "peers", "anonymize": "none", "sent": 9, "complete": True,
                                                  "msgs_per_hash": 9.0, "hashes_per_s": 1.0}))
    verdict = verify(out, truth)
    assert (verdict["recall"], verdict["precision"], verdict["false_peers"], verdict["doubled_rows"]) == (0.6, 0.75, 2, 1)


def test_scrape_counts_swarms_and_names_nobody(tmp_path: Path) -> None:
    with Swarm(1000, 29, torrents=40, largest_swarm=1000) as swarm:
        truth, out = write_truth_of(swarm, tmp_path), tmp_path / "scrape"
        text = "\n".join(swarm.torrent(number).hex() for number in range(40))
        common = ("peers", "-", "--scrape", "--rate", "max", *ALLOW, "--bootstrap", ",".join(swarm.bootstrap), "--per-ip",
                  "0")
        code, _, errors = run(*common, "--out", str(out), "--format", "jsonl", "--purpose", "a test", text=text)
        assert code == 0, errors
        code, output, errors = run(*common, text=text)
        assert code == 0, errors
    assert not (out / "parts" / "peers").exists() and not (out / "parts" / "swarms").exists()
    rows = [json.loads(line) for line in output.splitlines()]
    assert len(rows) == 40
    assert all(row["seeds_low"] <= row["seeds"] <= row["seeds_high"] for row in rows)
    verdict = verify(out, truth)
    assert (verdict["infohashes"], verdict["saturated"], verdict["complete"]) == (40, 0, True)
    assert verdict["seeds_held"] + verdict["downloaders_held"] >= 1.7     # of 80, 76 are expected, and 68 demanded
    assert verdict["msgs_per_hash"] <= 40


def test_verify_of_a_scrape_needs_to_know_the_sizes(network: Swarm, tmp_path: Path) -> None:
    truth = write_truth_of(network, tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps({"mode": "scrape", "sent": 1}))
    code, output, errors = run("verify", str(tmp_path), "--truth", str(truth))
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    assert "--largest-swarm" in errors


def test_hashed_peers_can_be_told_apart_but_not_guessed() -> None:
    hashed, other = anonymizer("hmac", bytes(32)), anonymizer("hmac", b"\x01" * 32)
    one, two = Endpoint("192.0.2.7", 1), Endpoint("192.0.2.7", 2)
    assert hashed(one) == hashed(Endpoint("192.0.2.7", 1)) != hashed(two)
    assert other(one) != hashed(one)


def test_networks_of_both_families() -> None:
    cut = anonymizer("truncate", b"")
    assert cut(Endpoint("192.0.2.7", 1)) == "192.0.2.0/24"
    assert cut(Endpoint("2001:db8:1:2::3", 1)) == "2001:db8:1::/48"
