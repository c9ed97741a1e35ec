"""The ledger's file: who may use it, what it refuses, and what a killed process leaves."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastdht._ext.ledger import Ledger
from fastdht.crawl.ledger import LedgerFile
from fastdht.errors import ConfigError, PersistError

PLACE = b"\x01\x02\x03\x04\x05\x06"


def test_second_crawl_with_the_same_ledger_is_refused(tmp_path: Path) -> None:
    with (LedgerFile(tmp_path / "ledger", 0),
          pytest.raises(ConfigError, match="used by another crawl")):
        LedgerFile(tmp_path / "ledger", 0)


@pytest.mark.parametrize("content", [b"", b"something else" * 20, b"FDHTLDG1" + (99).to_bytes(4, sys.byteorder) + bytes(400),
                                     b"FDHTLDG1" + (1).to_bytes(4, sys.byteorder) + bytes(400)])
def test_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(content)
    with pytest.raises(PersistError):
        LedgerFile(path, 0)
    assert path.read_bytes() == content


def test_question_is_on_record_when_the_process_is_killed_right_after(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    code = ("import os, signal, sys; from pathlib import Path; from fastdht.crawl.ledger import LedgerFile\n"
            "book = LedgerFile(Path(sys.argv[1]), 0)\n"
            f"assert book.ledger.ask({PLACE!r}, 0)\n"
            "os.kill(os.getpid(), signal.SIGKILL)")
    ended = subprocess.run([sys.executable, "-c", code, str(path)], check=False, env=dict(os.environ))
    assert ended.returncode == -signal.SIGKILL
    with LedgerFile(path, 0) as book:
        assert not book.ledger.ask(PLACE, 0)


@pytest.mark.parametrize("size", [0, 63, 64, 64 + 16 * 15, 64 + 16 * 16 + 1, 64 + 16 * 24])
def test_buffer_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="ledger is"):
        Ledger(bytearray(size), bytes(16))


def test_full_ledger_says_no() -> None:
    ledger = Ledger(bytearray(64 + 16 * 16), bytes(16))
    asked = [ledger.ask(bytes([1, 1, 1, i, 0, 1]), 0) for i in range(20)]
    assert asked == [True] * 16 + [False] * 4
