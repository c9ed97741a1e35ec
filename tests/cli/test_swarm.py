"""`fastdht swarm` as a user runs it: ready line, truth, totals, and one clear line when it cannot."""
from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fastdht.testing.sessions import read_sessions
from fastdht.testing.swarm import LIARS
from fastdht.testing.truth import read_counters, read_truth
from tests.oracle import wire

COMMAND = [sys.executable, "-P", "-m", "fastdht", "swarm"]


def fail(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_swarm_when_told_to_end_then_has_written_truth_and_counters(tmp_path: Path, how: signal.Signals) -> None:
    truth_file = tmp_path / "truth"
    process = subprocess.Popen([*COMMAND, "--nodes", "500", "--seed", "7", "--profile", "easy", "--ring", "20",
                                "--truth", str(truth_file)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        truth = read_truth(truth_file)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            ip, _, port = ready["bootstrap"][0].partition(":")
            asked = ask_until_answered(client, (ip, int(port)))
        process.send_signal(how)
        totals = json.loads(process.stdout.readline())
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert (ready["nodes"], ready["seed"], len(ready["bootstrap"])) == (500, 7, 8)
    assert (truth.nodes, len(truth)) == (500, 770)
    assert totals["received"] == totals["max_packets_per_ip"] == asked
    counters = read_counters(tmp_path / "truth.counters")
    assert counters.asked.tolist() == [asked] + [0] * 769
    assert (counters.received, counters.kernel_drops) == (asked, totals["kernel_drops"])


def test_swarm_when_it_ends_then_says_what_each_kind_received_and_when_somebody_asked(tmp_path: Path) -> None:
    truth_file = tmp_path / "truth"
    process = subprocess.Popen([*COMMAND, "--nodes", "300", "--adversaries", "30%", "--churn", "50%", "--session", "90s",
                                "--ids-per-ip", "5", "--node-limit", "1", "--truth", str(truth_file)],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        before = read_sessions(truth_file)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            ip, _, port = ready["bootstrap"][0].partition(":")
            client.sendto(wire.query(b"ping"), (ip, int(port)))
            client.recvfrom(2_048)
            client.sendto(wire.query(b"ping"), (ip, int(port)))     # its answer is one too many
        process.send_signal(signal.SIGTERM)
        totals = json.loads(process.stdout.readline())
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    after = read_sessions(truth_file)
    assert before is not None and after is not None
    assert (before.first_us, before.last_us) == (0, 0)
    assert 0 < after.first_us <= after.last_us < 60_000_000
    assert after.records == before.records
    assert 100 < len(after.records) // 16 < 200
    assert totals["received"] == totals["received_by_kind"]["honest"]
    assert totals["muted"] == totals["received"] - 1
    assert {row.kind for row in read_truth(truth_file).rows()} == {"honest", *LIARS}


def ask_until_answered(client: socket.socket, endpoint: tuple[str, int]) -> int:
    for asked in range(1, 50):                      # some are lost: the profile says so
        client.sendto(wire.query(b"ping"), endpoint)
        try:
            client.recvfrom(2_048)
        except TimeoutError:
            continue
        return asked
    raise AssertionError(f"{endpoint} never answered")


@pytest.mark.parametrize(("arguments", "words"), [
    (["--nodes", "0"], "0 is not in the range"),
    (["--nodes", "many"], "'many' is not a valid integer"),
    ([], "Missing option '--nodes'"),
    (["--nodes", "9", "--port", "70000"], "70000 is not in the range"),
    (["--nodes", "9", "--profile", "worst"], "'worst' is not one of"),
    (["--nodes", "9", "--adversaries", "lots"], "'lots' is no share"),
    (["--nodes", "9", "--adversaries", "-1"], "-1 is outside 0 to 1000%"),
    (["--nodes", "9", "--adversaries", "5%", "--ring", "3"], "not both"),
    (["--nodes", "9", "--churn", "101%"], "churn 1.01"),
    (["--nodes", "9", "--session", "0s"], "sessions of 0.0 s"),
    (["--nodes", "9", "--node-limit", "-1"], "-1 is not in the range"),
    (["--nodes", "9", "--net", "10.0.0.0/8"], "not under 127.0.0.0/8"),
    (["--nodes", "9", "--loss", "100%"], "loss 1"),
])
def test_swarm_when_used_wrongly_then_says_so_and_exits_2(arguments: list[str], words: str) -> None:
    code, errors = fail(*arguments)
    assert code == 2
    assert words in errors
    assert len(errors.splitlines()) == 1


def test_swarm_when_truth_cannot_be_written_then_exits_1(tmp_path: Path) -> None:
    code, errors = fail("--nodes", "9", "--truth", str(tmp_path / "missing" / "truth"))
    assert code == 1
    assert "missing" in errors
    assert len(errors.splitlines()) == 1


def test_swarm_when_port_is_taken_then_exits_1_and_writes_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        code, errors = fail("--nodes", "9", "--port", str(other.getsockname()[1]), "--truth", str(tmp_path / "truth"))
    assert code == 1
    assert "Address already in use" in errors
    assert list(tmp_path.iterdir()) == []
