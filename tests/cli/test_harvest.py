"""`fastdht crawl harvest`: wrong usage in one line, and a directory that `crawl verify` can judge."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastdht.testing.catalog import write_hashes
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import write_truth

ALLOW = ("--allow-net", "127.0.0.0/8")
NOBODY = ("--bootstrap", "127.0.0.1:9")


def run(*arguments: str) -> tuple[int, str, str]:
    ended = subprocess.run([sys.executable, "-m", "fastdht", "crawl", *arguments], text=True, capture_output=True,
                           timeout=60, check=False)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    truth = tmp_path_factory.mktemp("truth") / "truth"
    with Swarm(1000, 22, infohashes=3000) as swarm:
        assert swarm.catalog is not None
        write_truth(truth, swarm.seed, swarm.nodes, swarm.contacts, swarm.truth_records)
        write_hashes(truth, swarm.seed, swarm.catalog)
        yield ",".join(swarm.bootstrap), truth


@pytest.mark.parametrize("arguments", [
    ("--rate", "0"), ("--rate", "fast"), ("--rate", "max", *NOBODY), ("--out", "somewhere", *NOBODY), ("--depth", "fast"),
    ("--passes", "2"), ("--zone", "zz/4"), ("--bootstrap", "none"), ("--ledger", "/"), ("--format", "csv"),
])
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    code, output, errors = run("harvest", *arguments)
    assert (code, output, len(errors.splitlines())) == (2, "", 1), errors


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_harvest_writes_a_directory_that_verifies(network: tuple[str, Path], tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    common = ("harvest", "--rate", "max", *ALLOW, "--bootstrap", network[0], "--per-ip", "0", "--ledger",
              str(tmp_path / "ledger"), "--json")
    code, output, errors = run(*common, "--out", str(out), "--format", format_, "--purpose", "a test", "--seed", "5")
    assert code == 0, errors
    summary = json.loads(output.splitlines()[-1])
    note = json.loads((out / "crawl.json").read_text())
    assert (note["state"], note["mode"], note["purpose"]) == ("complete", "harvest", "a test")
    assert json.loads((out / "summary.json").read_text()) == summary
    assert summary["assumptions"]
    code, output, _ = run("verify", str(out), "--truth", str(network[1]), "--json")
    verdict = json.loads(output)
    assert code == 0
    assert (verdict["false_hashes"], verdict["misplaced"], verdict["doubled_rows"]) == (0, 0, 0)
    assert verdict["infohashes"] == summary["infohashes"] > 0
    assert verdict["share"] > 0.97
    code, output, _ = run(*common)                  # the ledger knows them all
    assert json.loads(output.splitlines()[-1])["sample_queries"] == 0


def test_samples_go_to_stdout_as_lines(network: tuple[str, Path], tmp_path: Path) -> None:
    code, output, errors = run("harvest", "--rate", "max", *ALLOW, "--bootstrap", network[0], "--per-ip", "0",
                               "--ledger", str(tmp_path / "ledger"), "--out", "-")
    assert code == 0, errors
    rows = [json.loads(line) for line in output.splitlines()]
    assert len({row["info_hash"] for row in rows}) > 1000
    assert {tuple(row) for row in rows} == {("info_hash", "ip", "port", "num", "interval", "t")}


def test_ledger_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("something else, and long enough to be taken for one" * 4)
    code, _, errors = run("harvest", *NOBODY, *ALLOW, "--ledger", str(tmp_path / "ledger"))
    assert (code, len(errors.splitlines())) == (1, 1)
    assert "is no ledger" in errors


def test_silent_bootstrap_is_a_failure_in_one_line(tmp_path: Path) -> None:
    code, _, errors = run("harvest", *NOBODY, *ALLOW, "--timeout", "200ms", "--ledger", str(tmp_path / "ledger"))
    assert code == 1
    assert errors.splitlines()[-1].endswith("no bootstrap host answered: asked 127.0.0.1:9")


def test_opted_out_nodes_are_never_asked_for_samples(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("127.0.0.0/9  # half of the network\n")
    with Swarm(1000, 23, infohashes=3000) as network:
        hosts = [f"{row.ip}:{row.port}" for row in network.truth(0, 64) if int(row.ip.split(".")[1]) >= 128]
        code, output, errors = run("harvest", "--rate", "max", *ALLOW, "--bootstrap", ",".join(hosts), "--per-ip", "0",
                                   "--ledger", str(tmp_path / "ledger"), "--out", "-",
                                   "--exclude", str(tmp_path / "list"))
        asked = [row.ip for row, count in zip(network.truth(), network.asked(), strict=True) if count]
    assert code == 0, errors
    rows = [json.loads(line) for line in output.splitlines()]
    assert rows and all(int(ip.split(".")[1]) >= 128 for ip in [*asked, *(row["ip"] for row in rows)])


def test_harvest_that_a_limit_ends_is_gone_on_with(network: tuple[str, Path], tmp_path: Path) -> None:
    out, ledger = tmp_path / "out", str(tmp_path / "ledger")
    code, output, errors = run("harvest", "--rate", "1500", *ALLOW, "--bootstrap", network[0], "--per-ip", "0",
                               "--ledger", ledger, "--out", str(out), "--purpose", "a test", "--contact",
                               "https://example.org/why", "--max-nodes", "200", "--json")
    assert code == 0, errors
    first = json.loads(output.splitlines()[-1])
    note = json.loads((out / "crawl.json").read_text())
    assert (note["state"], note["reason"], note["contact"]) == (
        "partial", "200 nodes were found", "https://example.org/why")
    code, output, errors = run("resume", str(out), "--rate", "5000", "--json")
    assert code == 0, errors
    second = json.loads(output.splitlines()[-1])
    assert (first["complete"], second["complete"], second["mode"]) == (False, True, "harvest")
    assert 200 <= first["found"] < second["found"] == 1000
    assert first["infohashes"] < second["infohashes"]
    code, output, _ = run("verify", str(out), "--truth", str(network[1]), "--json")
    assert (code, json.loads(output)["doubled_rows"]) == (0, 0)
    Path(ledger).unlink()
    for arguments, told in (("--workers", "2"), "one ledger"), ((), "is gone"):
        code, _, errors = run("resume", str(out), *arguments)
        assert (code, len(errors.splitlines()), told in errors) == (2, 1, True), errors
