"""`fastdht crawl monitor`: wrong usage in one line, a directory that tells all, a kill that costs a checkpoint."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastdht.crawl.monitor.store import TABLES, read_rows
from fastdht.testing.swarm import Swarm

ALLOW = ("--allow-net", "127.0.0.0/8")
NOBODY = ("--bootstrap", "127.0.0.1:9")
QUICK = ("--every", "2s", "--timeout", "0.4s", "--rate", "max", "--per-ip", "0", "--nodes", "60", "--seed", "4", *ALLOW)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fastdht", "crawl", *arguments]


def run(*arguments: str) -> tuple[int, str, str]:
    ended = subprocess.run(command(*arguments), text=True, capture_output=True, timeout=60, check=False)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def network() -> Iterator[Swarm]:
    with Swarm(800, 41, torrents=2) as swarm:
        yield swarm


def entry(network: Swarm) -> tuple[str, str]:
    return "--bootstrap", ",".join(network.bootstrap)


@pytest.mark.parametrize("arguments", [
    ("--every", "5s"), ("--every", "soon"), ("--nodes", "0"), ("--rate", "max"), ("--rate", "0"),
    ("--cohort", "/nonexistent"), ("--target", "abc"), ("--targets", "/nonexistent"), ("--resume", "/nonexistent"),
    ("--timeout", "0"), ("--follow", "-1"), ("--format", "csv"), ("--bootstrap", "none"), ("--for", "-3s"),
    ("--exclude", "/nonexistent"),
])
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    code, output, errors = run("monitor", *NOBODY, *arguments)
    assert (code, output, len(errors.splitlines())) == (2, "", 1), errors


def test_resume_takes_no_other_choices(tmp_path: Path) -> None:
    code, _, errors = run("monitor", "--resume", str(tmp_path), "--nodes", "5")
    assert code == 2
    assert "--nodes cannot be given" in errors


def test_rate_that_cannot_do_it_is_refused(network: Swarm) -> None:
    code, output, errors = run("monitor", *entry(network), *QUICK, "--rate", "20")
    assert (code, output) == (2, "")
    assert "the rate is 20" in errors


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_directory_has_all_tables_and_a_summary(network: Swarm, tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    census, out = tmp_path / "census", tmp_path / "out"
    assert run("census", "--rate", "max", *ALLOW, *entry(network), "--per-ip", "0", "--out", str(census))[0] == 0
    target = network.torrent(0).hex()
    code, output, errors = run("monitor", *entry(network), *QUICK, "--cohort", str(census), "--for", "4s", "--target",
                               target, "--out", str(out), "--format", format_, "--json", "--contact", "a@example.org")
    assert code == 0, errors
    summary = json.loads(output.splitlines()[-1])
    assert json.loads((out / "summary.json").read_text()) == summary
    note = json.loads((out / "crawl.json").read_text())
    assert (note["state"], note["mode"], note["contact"]) == ("complete", "monitor", "a@example.org")
    assert (summary["cohort"], summary["rounds"], summary["availability"]["mean"]) == (60, 2, 1.0)
    assert summary["targets"][target]["last"] == len(network.torrent_peers(network.torrent(0)))
    sizes = {table: len(list(read_rows(out, table, [column.name for column in TABLES[table]])))
             for table in ("cohort", "visits", "sessions", "rounds", "targets")}
    assert sizes == {"cohort": 60, "visits": 120, "sessions": 60, "rounds": 2, "targets": 2}


def test_visits_stream_to_stdout(network: Swarm) -> None:
    code, output, errors = run("monitor", *entry(network), *QUICK, "--for", "2s", "--out", "-")
    assert code == 0, errors
    rows = [json.loads(line) for line in output.splitlines()]
    assert len(rows) == 60
    assert {row["outcome"] for row in rows} == {"alive"}


def test_exclude_list_is_never_asked(network: Swarm, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("127.0.0.0/9\n")
    code, output, errors = run("monitor", *entry(network), *QUICK, "--nodes", "800", "--for", "2s", "--out", "-",
                               "--exclude", str(tmp_path / "list"))
    assert code == 0, errors
    rows = [json.loads(line) for line in output.splitlines()]
    assert rows and all(int(row["ip"].split(".")[1]) >= 128 for row in rows)


def test_killed_monitor_goes_on_without_a_doubled_visit(network: Swarm, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = command("monitor", *entry(network), *QUICK, "--for", "10s", "--out", str(out), "--format", "jsonl",
                    "--checkpoint", "1s")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 30
        while not list(out.glob("parts/visits/part-1.jsonl")) and time.monotonic() < deadline:
            assert killed.poll() is None
            time.sleep(0.05)
        killed.kill()
    assert json.loads((out / "crawl.json").read_text())["state"] == "running"
    before = len(list(read_rows(out, "visits", ("round",))))
    code, output, errors = run("monitor", "--resume", str(out), "--json")
    assert code == 0, errors
    summary = json.loads(output.splitlines()[-1])
    rows = [tuple(row.values()) for row in read_rows(out, "visits", ("round", "ip", "port", "t"))]
    assert len({row[:3] for row in rows}) == len(rows) == summary["visits"] > before > 0
    assert (summary["complete"], summary["rounds"]) == (True, 5)
    assert json.loads((out / "crawl.json").read_text())["state"] == "complete"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a process there")
def test_ctrl_c_ends_clean_with_what_was_seen(network: Swarm, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = command("monitor", *entry(network), *QUICK, "--for", "0", "--out", str(out), "--format", "jsonl", "--json",
                    "--checkpoint", "1s")
    with subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 30
        while not list(out.glob("parts/visits/part-0.jsonl")) and time.monotonic() < deadline:
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=30)
    assert running.returncode == 0, errors
    summary = json.loads(output.splitlines()[-1])
    assert summary["complete"]          # it was to last until it is stopped
    sessions = list(read_rows(out, "sessions", ("right_censored",)))
    assert len(sessions) == 60 and all(row["right_censored"] for row in sessions)


def test_nobody_who_answers_is_an_error() -> None:
    code, output, errors = run("monitor", *NOBODY, *QUICK)
    assert (code, output, len(errors.splitlines())) != (0, "", 0)
    assert "no node to visit" in errors


def test_help_names_every_option() -> None:
    code, output, _ = run("monitor", "--help")
    assert code == 0
    for option in ("--cohort", "--every", "--for", "--target", "--resume", "--exclude", "--follow", "--checkpoint"):
        assert option in output
