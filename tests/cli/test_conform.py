"""What a person types and sees of `fastdht conform`: usage, the table, JSON, the log, and the exit code."""
from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from fastdht import Endpoint, bencode
from fastdht.conform import CHECKS
from tests.oracle.textbook import Textbook
from tests.unit.conform_mutations import asked, error, when

FAST = ("--rate", "1000", "--timeout", "150ms")
CONFORMING = None
# A text that would move the cursor and colour a terminal, if it were printed as it is.
REFUSING = when(asked("get_peers", n=1), error(202, "\x1b[2J\x1b[31mbusy [bold]"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "fastdht", "conform", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


class Served:
    """A node of the textbook on a real socket, in a thread."""

    def __init__(self, change) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.endpoint = Endpoint(*self._socket.getsockname())
        self.node = Textbook(self.endpoint, self.endpoint, bytes(range(20)), change)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.sendto(b"", self.endpoint)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, source = self._socket.recvfrom(65_536)
            if not data:
                return
            self.node.asker = Endpoint(*source)
            answer = self.node.answer(data)
            if answer is not None:
                self._socket.sendto(bencode.encode(answer), source)


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served(request.param)
    yield served
    served.close()


@pytest.mark.parametrize("node", [CONFORMING], indirect=True)
def test_node_when_it_conforms_then_a_table_of_all_checks_and_exit_0(node):
    done = run(str(node.endpoint), *FAST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [each.name for each in CHECKS if f" {each.name} " not in done.stdout] == []
    assert all(f"BEP {bep}" in done.stdout for bep in (5, 32, 33, 42, 43, 44, 51))
    assert done.stdout.splitlines()[-1].startswith(f"{node.endpoint}: nothing deviates (")
    assert done.stderr == ""


@pytest.mark.parametrize("node", [REFUSING], indirect=True)
def test_node_when_it_deviates_then_says_why_harmlessly_and_exit_1(node):
    done = run(str(node.endpoint), *FAST)
    assert done.returncode == 1
    assert "error 202 ?[2J?[31mbusy [bold]" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{node.endpoint}: 1 deviation (")


@pytest.mark.parametrize("node", [REFUSING], indirect=True)
def test_json_when_asked_for_then_one_object_with_stable_keys(node):
    done = run(str(node.endpoint), *FAST, "--json")
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    report = json.loads(done.stdout)
    assert list(report) == ["endpoint", "id", "version", "writes", "queries", "deviations", "conforms", "deviates",
                            "unsupported", "silent", "skipped", "checks"]
    assert (report["id"], report["version"], report["writes"], report["deviations"]) == (bytes(range(20)).hex(), None, True, 1)
    assert all(list(each) == ["bep", "name", "rule", "verdict", "reason", "is_deviation"] for each in report["checks"])
    assert [each["name"] for each in report["checks"] if each["is_deviation"]] == ["get-peers"]
    assert sum(report[verdict] for verdict in ("conforms", "deviates", "unsupported", "silent", "skipped")) == len(CHECKS)


@pytest.mark.parametrize("node", [CONFORMING], indirect=True)
def test_one_bep_when_asked_for_then_little_else_is_asked(node):
    done = run(str(node.endpoint), *FAST, "--bep", "51", "--json", "--no-writes")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert {each["bep"] for each in report["checks"]} == {5, 51}
    assert set(node.node.asked) == {b"ping", b"find_node", b"sample_infohashes"}


@pytest.mark.parametrize("node", [CONFORMING], indirect=True)
def test_no_writes_when_asked_for_then_nothing_is_stored(node):
    done = run(str(node.endpoint), *FAST, "--no-writes")
    assert done.returncode == 0
    assert not node.node.asked.keys() & {b"announce_peer", b"put"}


@pytest.mark.parametrize("node", [CONFORMING], indirect=True)
@pytest.mark.parametrize(("flag", "has_datagrams"), [("-v", False), ("-vv", True)])
def test_verbose_when_asked_for_then_logs_to_stderr(flag, has_datagrams, node):
    done = run(str(node.endpoint), *FAST, "--bep", "43", flag)
    lines = done.stderr.splitlines()
    assert "BEP 43 read-only conforms" in lines
    assert any(line.startswith("sent ") and "find_node" in line for line in lines) is has_datagrams
    assert any(line.startswith("received ") for line in lines) is has_datagrams


def test_nobody_when_there_then_one_line_and_exit_1():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        endpoint = Endpoint(*deaf.getsockname())
        done = run(str(endpoint), *FAST)
    assert done.returncode == 1
    assert (done.stdout, done.stderr) == ("", f"fastdht: {endpoint} answers nothing: 6 queries sent\n")


def test_port_when_taken_then_one_line_and_exit_2():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        done = run("127.0.0.1:9", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "cannot listen on 0.0.0.0:" in done.stderr


def test_name_when_unknown_then_one_line_and_exit_1():
    done = run("no-such-host.invalid:6881")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("fastdht: no-such-host.invalid: ")


@pytest.mark.parametrize(("arguments", "told"), [
    ((), "HOST:PORT"),
    (("127.0.0.1",), "1 to 65535"),
    (("127.0.0.1:0",), "1 to 65535"),
    (("127.0.0.1:99999",), "1 to 65535"),
    (("::1:6881",), "brackets"),
    (("127.0.0.1:9", "127.0.0.1:10"), "unexpected extra argument"),
    (("127.0.0.1:9", "--bep", "7"), "--bep 7: checks are of 0, 5, 32, 33, 42, 43, 44, 51"),
    (("127.0.0.1:9", "--listen", "[::1]:0"), "one is IPv4, the other IPv6"),
    (("127.0.0.1:9", "--listen", "127.0.0.1:7", "--port", "8"), "give it or --port"),
    (("127.0.0.1:9", "--rate", "0"), "more than 0"),
    (("127.0.0.1:9", "--timeout", "0s"), "0s"),
    (("127.0.0.1:9", "--timeout", "soon"), "soon"),
    (("127.0.0.1:9", "--port", "65536"), "65536"),
    (("127.0.0.1:9", "--wrties"), "--wrties"),
])
def test_usage_when_wrong_then_one_line_and_exit_2(arguments, told):
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr
