"""`--out URL`: what a store holds at the end, what the stage keeps, and what is said when the store refuses."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import write_truth

pytest.importorskip("fsspec")
NODES = 2000


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    with Swarm(NODES, 25) as started:
        yield started


@pytest.fixture(scope="module")
def truth(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("truth") / "truth.packed"
    write_truth(path, 25, NODES, swarm.contacts, swarm.truth_records)
    return path


class Shell:
    """Runs `fastdht crawl` with a home of its own, where stages are."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "fastdht", "crawl", *map(str, arguments)], text=True, timeout=120,
                              capture_output=True, env={**os.environ, "HOME": str(self.home)}, cwd=self.home)

    def stages(self) -> list[Path]:
        return sorted((self.home / ".local/state/fastdht/crawls").glob("*"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


def census_of(swarm: Swarm, out: str, *options: str) -> list[str]:
    return ["census", "--rate", "max", "--allow-net", "127.0.0.0/8", "--bootstrap", ",".join(swarm.bootstrap),
            "--seed", "7", "--out", out, "--json", *options]


def summary_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return values


def test_a_census_is_read_where_it_was_sent(swarm: Swarm, truth: Path, tmp_path: Path, shell: Shell) -> None:
    url = f"file://{tmp_path}/store/census-1"
    found = summary_of(shell(*census_of(swarm, url)))["found"]
    assert shell.stages() == []
    assert json.loads((tmp_path / "store/census-1/crawl.json").read_text())["state"] == "complete"
    assert not (tmp_path / "store/census-1/checkpoint").exists()
    verdict = summary_of(shell("verify", url, "--truth", truth, "--json"))
    assert verdict["found"] == found and verdict["precision"] == 1.0 and verdict["recall"] > 0.97
    assert shell("merge", url, "--out", tmp_path / "all.sqlite").stdout.endswith(f"{found:,} nodes\n")
    assert shell("report", url).stdout == "report.html\n"
    assert (shell.home / "report.html").stat().st_size > 10_000

    taken = shell(*census_of(swarm, url))
    assert taken.returncode == 2 and f"fastdht crawl resume {url}" in taken.stderr


@pytest.mark.parametrize("stage", ["kept", "lost"])
def test_a_partial_census_goes_on_at_its_url(swarm: Swarm, truth: Path, tmp_path: Path, shell: Shell,
                                             stage: str) -> None:
    url = f"file://{tmp_path}/store/census-2"
    done = shell(*census_of(swarm, url, "--zones", "4", "--max-nodes", str(NODES * 6 // 10)))
    assert not summary_of(done)["complete"]
    assert len(shell.stages()) == 1 and str(shell.stages()[0]) in done.stderr
    finished = sorted((tmp_path / "store/census-2/manifest").iterdir())
    assert 1 <= len(finished) < 4
    before = [path.read_bytes() for path in finished]
    if stage == "lost":
        shutil.rmtree(shell.stages()[0])
    assert summary_of(shell("resume", url, "--json"))["complete"]
    assert shell.stages() == []
    assert [path.read_bytes() for path in finished] == before
    verdict = summary_of(shell("verify", url, "--truth", truth, "--json"))
    assert verdict["precision"] == 1.0 and verdict["recall"] > 0.97


def test_what_a_store_refuses_stays_in_the_stage(swarm: Swarm, truth: Path, tmp_path: Path, shell: Shell) -> None:
    done = shell(*census_of(swarm, "file:///dev/null/census"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    stage, = shell.stages()
    assert f"fastdht crawl send {stage} file:///dev/null/census" in done.stderr
    url = f"file://{tmp_path}/store/census-3"
    assert shell("send", stage, url).stdout == f"{url}\n"
    assert summary_of(shell("verify", url, "--truth", truth, "--json"))["recall"] > 0.97


@pytest.mark.parametrize(("url", "words"), [
    ("nosuch://bucket/census", "nosuch"),
    ("file:///nowhere/at/all", "holds no crawl"),
])
def test_urls_that_cannot_be(shell: Shell, truth: Path, url: str, words: str) -> None:
    done = shell("verify", url, "--truth", truth)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) <= 3, done.stderr
