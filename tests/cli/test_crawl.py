"""`fastdht crawl`: wrong usage in one line, results where they belong, Ctrl-C with what was found."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import write_truth

ALLOW = ("--allow-net", "127.0.0.0/8")
NOBODY = ("--bootstrap", "127.0.0.1:9")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "fastdht", "crawl", *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def run(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Where a swarm of 1,000 nodes can be entered, and its truth."""
    truth = tmp_path_factory.mktemp("truth") / "truth"
    with Swarm(1000, 21) as swarm:
        write_truth(truth, swarm.seed, swarm.nodes, swarm.contacts, swarm.truth_records)
        yield ",".join(swarm.bootstrap), truth


@pytest.mark.parametrize("arguments", [
    ("--rate", "0"), ("--rate", "fast"), ("--zone", "zz/4"), ("--passes", "3"), ("--depth", "deep"), ("censu",),
    ("--bootstrap", "nowhere"), ("--allow-net", "127.0.0.0/33"), ("--rate", "max", *NOBODY), ("--bootstrap", "none"),
    ("--format", "csv"), ("--bind", "example.org:1"), ("--nonsense",), ("verify",),
    ("verify", "/nonexistent", "--truth", "x"), ("--zones", "3"), ("--zones", "0"), ("--exclude", "/nonexistent"),
    ("--max-disk", "much"), ("--max-nodes", "0"), ("--time", "soon"), ("--workers", "2"), ("--workers", "0"),
    ("--scheduler", "tcp://127.0.0.1:9"), ("--new-endpoints-per-minute", "0"), ("resume", "/nonexistent"), ("merge",),
    ("--edges", *NOBODY), ("--seeds", "/nonexistent"), ("--progress", "much"),
    ("-4", "--bind", "[::1]:0", *NOBODY), ("-6", "--bind", "127.0.0.1", *NOBODY), ("-6", *NOBODY),
    ("--bind", "127.0.0.1", "--bind", "127.0.0.2", *NOBODY), ("merge", "/tmp"), ("resume", "/"), ("merge", "/", "--out", "x.sqlite"),
])
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    code, output, errors = run(*arguments)
    assert (code, output, len(errors.splitlines())) == (2, "", 1), errors


def test_seeds_of_a_file_are_asked_as_well(network: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "seeds").write_text("# of yesterday\n" + network[0].replace(",", "  # one\n") + "\n")
    code, output, errors = run(*NOBODY, *ALLOW, "--rate", "max", "--per-ip", "0", "--seeds", str(tmp_path / "seeds"),
                               "--json", "--progress", "none")
    assert (code, json.loads(output)["found"], errors) == (0, 1000, "")


@pytest.mark.parametrize(("text", "told"), [("1.2.3.4:5\nnowhere\n", "line 2"), ("1.2.3.4:5\n" * 1001, "1001 hosts")])
def test_seeds_that_are_none_are_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "seeds").write_text(text)
    code, output, errors = run(*NOBODY, *ALLOW, "--seeds", str(tmp_path / "seeds"))
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert told in errors


def test_progress_is_an_object_a_line_where_wanted(network: tuple[str, Path]) -> None:
    code, _, errors = run("--bootstrap", network[0], *ALLOW, "--rate", "900", "--progress", "json")
    assert code == 0
    steps = [json.loads(line) for line in errors.splitlines()]
    assert len(steps) > 2 and steps[0]["found"] < steps[-1]["found"] <= 1000


def test_census_of_both_families_keeps_who_names_whom(network: tuple[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, output, _ = run("-46", "--edges", "--rate", "max", *ALLOW, "--bootstrap", network[0], "--json", "--per-ip", "0",
                          "--out", str(out), "--format", "jsonl", "--bind", "127.0.0.1:0", "--bind", "[::1]:0")
    summary = json.loads(output.splitlines()[-1])
    assert code == 0
    assert summary["families"] == {
        "ipv4": {"found": 1000, "contacts": 1000, "sent": summary["sent"], "answered": summary["answered"]},
        "ipv6": {"found": 0, "contacts": 0, "sent": 0, "answered": 0}}
    lines = [line for path in out.glob("parts/edges/zone=all/*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == summary["edges"] > 8 * 1000
    assert summary["edges_dropped"] == 0
    config = json.loads((out / "crawl.json").read_text())["config"]
    assert (config["bind"], config["bind6"], config["edges"]) == ("127.0.0.1:0", "[::1]:0", True)


def test_census_is_the_default_mode(network: tuple[str, Path]) -> None:
    code, output, _ = run("--rate", "max", *ALLOW, "--bootstrap", network[0], "--json")
    assert code == 0
    assert json.loads(output.splitlines()[-1])["found"] == 1000


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_census_writes_a_directory_that_verifies(network: tuple[str, Path], tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / "new" / "crawl"
    code, output, _ = run("census", "--rate", "max", *ALLOW, "--bootstrap", network[0], "--out", str(out), "--format",
                          format_, "--seed", "5", "--json")
    assert code == 0
    result = json.loads(output.splitlines()[-1])
    note = json.loads((out / "crawl.json").read_text())
    assert (note["state"], note["seed"], note["format"]) == ("complete", 5, format_)
    assert json.loads((out / "summary.json").read_text()) == result
    code, output, _ = run("verify", str(out), "--truth", str(network[1]), "--json")
    assert code == 0
    verdict = json.loads(output)
    assert (verdict["recall"], verdict["precision"], verdict["found"]) == (1.0, 1.0, 1000)
    assert verdict["msgs_per_found"] == pytest.approx(result["msgs_per_found"], rel=1e-3)


def test_summary_has_every_promised_key(network: tuple[str, Path]) -> None:
    _, output, _ = run("--depth", "fast", "--rate", "max", *ALLOW, "--bootstrap", network[0], "--json")
    promised = {"found", "contacts", "sent", "answered", "timeouts", "filtered", "msgs_per_found", "rpc_per_s",
                "found_per_s", "elapsed_s", "kernel_drops", "max_packets_per_ip", "complete"}
    assert promised <= json.loads(output.splitlines()[-1]).keys()


def test_stream_holds_one_json_object_per_node(network: tuple[str, Path]) -> None:
    code, output, errors = run("--rate", "max", *ALLOW, "--bootstrap", network[0], "--out", "-")
    assert code == 0, errors
    rows: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    assert len({(row["ip"], row["port"], row["id"]) for row in rows}) == 1000


def test_interrupted_census_ends_with_what_it_found(network: tuple[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "crawl"
    process = start("--rate", "200", *ALLOW, "--bootstrap", network[0], "--out", str(out), "--format", "jsonl",
                    "--json")
    assert process.stderr is not None
    assert "found" in process.stderr.readline()     # the first line of progress: it is under way
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    result = json.loads(output.splitlines()[-1])
    assert process.returncode == 0
    assert (result["complete"], result["reason"]) == (False, "stopped before its end")
    assert json.loads((out / "crawl.json").read_text())["state"] == "partial"
    rows = [line for path in out.glob("parts/nodes/*/*.jsonl") for line in path.read_text().splitlines()]
    assert len(rows) == result["found"] > 0


def test_interrupted_census_is_resumed_and_merged(network: tuple[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "crawl"
    code, output, _ = run("--rate", "500", *ALLOW, "--bootstrap", network[0], "--out", str(out), "--format", "jsonl",
                          "--max-nodes", "300", "--contact", "https://example.org/crawl", "--json")
    assert (code, json.loads(output.splitlines()[-1])["reason"]) == (0, "300 nodes were found")
    code, output, errors = run("resume", str(out), "--rate", "5000", "--json")
    assert code == 0, errors
    result = json.loads(output.splitlines()[-1])
    assert (result["found"], result["complete"]) == (1000, True)
    note = json.loads((out / "crawl.json").read_text())
    assert (note["state"], note["reason"], note["contact"]) == ("complete", "", "https://example.org/crawl")
    code, output, errors = run("merge", str(out), "--out", str(tmp_path / "all.sqlite"))
    assert (code, output) == (0, f"{tmp_path / 'all.sqlite'}: 1,000 nodes\n"), errors
    assert run("merge", str(out), "--out", str(tmp_path / "all.sqlite"))[0] == 2


def test_dry_run_sends_nothing_and_knows_the_limits(tmp_path: Path) -> None:
    code, output, errors = run("--dry-run", "--nat-friendly", "--expect", "1000000", "--out", str(tmp_path / "out"),
                               "--json")
    assert (code, errors) == (0, "")
    assert json.loads(output)["minutes"] == pytest.approx(3_470_000 / 200 / 60, rel=1e-3)
    code, output, _ = run("--dry-run", "--new-endpoints-per-minute", "600", "--expect", "1000", "--json")
    assert json.loads(output)["minutes"] == pytest.approx(3470 / 10 / 60, rel=1e-3)
    assert not list(tmp_path.iterdir())


def test_list_with_a_line_that_is_no_address_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("10.0.0.0/8\nexample.org\n")
    code, output, errors = run(*NOBODY, "--exclude", str(tmp_path / "list"))
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert "line 2" in errors


def test_silent_bootstrap_is_a_failure_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "crawl"
    code, _, errors = run(*NOBODY, *ALLOW, "--timeout", "200ms", "--out", str(out))
    assert code == 1
    assert errors.splitlines()[-1].endswith("no bootstrap host answered: asked 127.0.0.1:9")
    assert json.loads((out / "crawl.json").read_text())["state"] == "failed"


def test_output_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, output, errors = run(*NOBODY, "--out", str(tmp_path))
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    code, output, errors = run(*NOBODY, "--out", str(tmp_path / "file" / "sub"))
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_address_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    code, output, errors = run(*NOBODY, "--bind", "203.0.113.1:7000", "--out", str(tmp_path / "crawl"))
    assert (code, output) == (2, "")
    assert "cannot listen on 203.0.113.1:7000" in errors


def test_file_that_is_no_truth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth").write_bytes(b"nonsense")
    code, output, errors = run("verify", str(tmp_path), "--truth", str(tmp_path / "truth"))
    assert (code, output) == (1, "")
    assert "is no truth file" in errors
