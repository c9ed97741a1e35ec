"""kill -9 at random moments while state is written."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 200
pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")


def kill_writers(folder: Path, count: int, seed: int, kind: str) -> tuple[int, int]:
    """Files that could not be read, and files older than a write reported done."""
    script = Path(__file__).with_name("kill_writer.py")
    done = subprocess.run([sys.executable, str(script), str(folder), str(count), str(seed), kind],
                          capture_output=True, text=True, check=True)
    unreadable, stale = map(int, done.stdout.split())
    return unreadable, stale


def test_state_when_killed_at_random_moments_then_always_readable_and_never_lost(tmp_path: Path, seed: int) -> None:
    assert kill_writers(tmp_path, KILLS, seed, "sealed") == (0, 0)


def test_state_when_written_naively_then_this_way_of_killing_tears_it(tmp_path: Path, seed: int) -> None:
    """Else the test above would show nothing."""
    assert kill_writers(tmp_path, KILLS, seed, "naive")[0] > 0
