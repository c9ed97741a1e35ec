"""The installed package tells type checkers its types, without this source tree."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")


def check(path: Path, folder: Path) -> str:
    command = [sys.executable, "-P", "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(folder), str(path)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_usage_when_checked_strictly_then_is_clean(tmp_path: Path) -> None:
    assert check(Path(__file__).with_name("usage.py"), tmp_path).startswith("Success")


def test_misuse_when_checked_then_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import fastdht\nfastdht.Endpoint.parse(6881)\n")
    assert 'incompatible type "int"; expected "str"' in check(wrong, tmp_path)
