"""Pages of what each mode really writes: should a mode rename what it keeps, a figure would be missing here."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from fastdht.crawl.report.content import UNKNOWN
from fastdht.crawl.report.nodes import gather
from fastdht.crawl.report.page import build, read_source
from fastdht.crawl.report.samples import read_samples
from fastdht.testing.swarm import Swarm

COMMON = ("--allow-net", "127.0.0.0/8", "--rate", "max", "--per-ip", "0", "--seed", "5")
PURPOSE = ("--purpose", "a test")
QUICK = ("--nodes", "60", "--every", "2s", "--timeout", "400ms", "--for", "4s")
MODES = ("census", "harvest", "size", "peers", "scrape", "metadata", "monitor")
SECONDS = 60


def words(mode: str, folder: Path) -> tuple[str, ...]:
    """The command line of each mode, without the entry hosts."""
    hashes = str(folder / "hashes")
    unseeded = COMMON[:-2]
    return {
        "census": ("census", *COMMON, "--passes", "2"),
        "harvest": ("harvest", *COMMON, *PURPOSE, "--ledger", str(folder / "ledger")),
        "size": ("size", *COMMON),
        "peers": ("peers", hashes, *unseeded, *PURPOSE),
        "scrape": ("peers", hashes, "--scrape", *unseeded, *PURPOSE),
        "metadata": ("metadata", hashes, *COMMON[:2], *PURPOSE, "--connect-timeout", "200ms", "--max-peers", "1"),
        "monitor": ("monitor", *COMMON, *QUICK, "--target", "ab" * 20)}[mode]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Directories of all modes, written at the same time about one network."""
    place = tmp_path_factory.mktemp("modes")
    with Swarm(500, 31, torrents=5, infohashes=500, largest_swarm=40) as network:
        (place / "hashes").write_text("\n".join(network.torrent(number).hex() for number in range(5)))
        running = {mode: subprocess.Popen(
            [sys.executable, "-m", "fastdht", "crawl", *words(mode, place), "--bootstrap", ",".join(network.bootstrap),
             "--out", str(place / mode)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for mode in MODES}
        try:
            for mode, process in running.items():
                _, errors = process.communicate(timeout=SECONDS)
                assert process.returncode == 0, f"{mode}: {errors}"
        finally:
            for process in running.values():
                process.kill()
                process.wait()
        yield place


@pytest.mark.parametrize("mode", MODES)
def test_no_figure_of_a_finished_run_is_unknown(folder: Path, mode: str) -> None:
    source = read_source(folder / mode)
    page = build(source)
    assert {name: value for name, value, _ in page.facts}["State"] == "complete"
    for name, value, remark in page.facts:
        assert UNKNOWN not in value + remark, name
    for section in page.sections:
        for row in section.table.rows if section.table is not None else ():
            assert UNKNOWN not in row, section.heading


def test_rows_counted_are_those_of_the_summary(folder: Path) -> None:
    census, harvest = read_source(folder / "census"), read_source(folder / "harvest")
    assert gather(census).nodes == census.summary["found"] > 400
    samples = read_samples(harvest)
    assert samples.distinct == harvest.summary["infohashes"] > 100
    assert len(samples.hashes) == harvest.summary["samples"]
    assert sum(max(num, 1) for num in samples.nums.tolist()) == harvest.summary["num_sum"]


def test_monitor_replayed_is_the_monitor_that_ended(folder: Path, tmp_path: Path) -> None:
    """What a page tells of a monitor that was killed, from its visits, is what it would have told itself."""
    ended, killed = read_source(folder / "monitor"), tmp_path / "monitor"
    (killed / "parts").mkdir(parents=True)
    (killed / "crawl.json").write_text(json.dumps({**ended.note, "state": "running"}))
    for table in ("cohort", "visits"):
        (killed / "parts" / table).symlink_to(folder / "monitor" / "parts" / table)
    known = {name: value for name, value, _ in build(ended).facts}
    replayed = {name: value for name, value, _ in build(read_source(killed)).facts}
    same = ("Nodes visited", "Rounds", "Online", "Median session", "Left of a session", "Changes of id")
    assert {name: replayed[name] for name in same} == {name: known[name] for name in same}
