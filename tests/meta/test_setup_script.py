"""tools/setup.sh says what a machine lacks, all in one go, before it does anything."""
from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="set-up on Windows is by pip alone")

NEEDED = ("sh", "id", "env")       # of coreutils and the shell, so that PATH can hold nothing else


def set_up(source_root: Path, folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    tools = folder / "bin"
    tools.mkdir()
    for name in NEEDED:
        (tools / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name} here"))
    environment = {"PATH": str(tools), "PYTHON": python, "NO_APT": "1"}
    return subprocess.run([str(source_root / "tools/setup.sh"), str(folder / "venv")], env=environment, cwd=source_root,
                          capture_output=True, text=True, check=False)


def fake_python(folder: Path, code: str) -> str:
    """An interpreter that runs `code` before what it is given."""
    path = folder / "python"
    real = sys.executable
    path.write_text(f"#!/bin/sh\n[ \"$1\" = -c ] && exec '{real}' -c \"{code}\n$2\"\nexec '{real}' \"$@\"\n")
    path.chmod(0o755)
    return str(path)


def test_setup_when_python_is_missing_then_says_so(source_root: Path, tmp_path: Path) -> None:
    done = set_up(source_root, tmp_path, "python-that-is-not-there")
    assert done.returncode == 1
    assert "python-that-is-not-there was not found" in done.stderr


def test_setup_when_python_is_old_then_names_the_version_needed(source_root: Path, tmp_path: Path) -> None:
    done = set_up(source_root, tmp_path, fake_python(tmp_path, "import sys; sys.version_info = (3, 10)"))
    assert done.returncode == 1
    assert "fastdht needs Python 3.11 or later" in done.stderr


def test_setup_when_compiler_and_venv_are_missing_then_names_both_and_one_command(
    source_root: Path, tmp_path: Path
) -> None:
    done = set_up(source_root, tmp_path, fake_python(tmp_path, "import sys; sys.modules['ensurepip'] = None"))
    assert done.returncode == 1
    assert "missing: the venv module" in done.stdout
    assert "missing: a C compiler" in done.stdout
    assert done.stderr.splitlines() == ["setup: on Debian and Ubuntu: sudo apt-get install python3-venv gcc"]
    assert not (tmp_path / "venv").exists()


def test_setup_when_headers_are_missing_then_names_their_package(source_root: Path, tmp_path: Path) -> None:
    python = fake_python(tmp_path, "import sysconfig; sysconfig.get_path = lambda name: '/nowhere'")
    done = set_up(source_root, tmp_path, python)
    assert "missing: Python.h" in done.stdout
    assert "python3-dev" in done.stderr
