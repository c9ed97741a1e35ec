"""Harvests that are killed and gone on with, on real UDP, against the truth."""
from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastdht.crawl.harvest import HarvestResult
from fastdht.crawl.harvest_run import ROW, read_blocks, run_harvest
from fastdht.crawl.layout import checkpoint_folder
from fastdht.crawl.ledger import LedgerFile
from fastdht.crawl.packed import SAMPLES
from fastdht.crawl.plan import Plan
from fastdht.crawl.sinks import DirectorySink
from fastdht.crawl.verify import read_summary
from fastdht.errors import PersistError
from fastdht.testing.swarm import Swarm
from tests.net.test_harvest import configure, judge, offset_us

NODES, KILLS = 6000, 5
FLAGS = ("--rate", "2500", "--per-ip", "0", "--timeout", "1s", "--checkpoint", "0.3s", "--allow-net", "127.0.0.0/8",
         "--format", "jsonl", "--purpose", "a test", "--seed", "5", "--json")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fastdht", "crawl", *arguments]


def run_killed(argv: list[str], after_s: float) -> bool:
    """Whether the process was killed, after so long, before its end."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, errors = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0, errors
    return False


def test_harvest_killed_at_random_times_ends_as_one_undisturbed(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    with Swarm(NODES, 5, profile="easy", infohashes=40_000) as network:
        out, first = tmp_path / "out", ("--bootstrap", ",".join(network.bootstrap), "--ledger", str(tmp_path / "ledger"))
        argv = command("harvest", *first, *FLAGS, "--out", str(out))
        kills = 0
        while kills < KILLS and run_killed(argv, rng.uniform(1.2, 2.0)):
            kills += 1
            argv = command("resume", str(out), "--json")
        if kills == KILLS:
            assert subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode == 0
        verdict = judge(network, out)
    note, summary = json.loads((out / "crawl.json").read_text()), read_summary(out)
    told = f"seed {seed}, {kills} kills"
    assert kills >= 2, told
    assert (note["state"], verdict.violations, verdict.false_hashes, verdict.doubled_rows) == ("complete", 0, 0, 0), told
    assert verdict.share >= 0.97 - 0.05 * kills, told       # what is lost is what was not written: 0.3 s of about 5
    assert summary["infohashes"] == verdict.infohashes, told
    assert summary["found"] >= 0.98 * NODES, told
    rows = [json.loads(line) for path in (out / "parts" / "nodes").glob("*.jsonl") for line in path.open()]
    assert len({(row["ip"], row["port"]) for row in rows}) == len(rows) == summary["found"], told
    assert not checkpoint_folder(out, configure(network).zone).exists()


def run_until(plan: Plan, folder: Path, ledger: Path, found: int) -> HarvestResult:
    with LedgerFile(ledger, offset_us()) as book:
        limited = replace(plan, config=replace(plan.config, max_nodes=found))
        return asyncio.run(run_harvest(limited, book, folder, offset_us, lambda _: None))


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_harvest_stopped_and_gone_on_with_loses_what_was_in_the_air(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    with Swarm(3000, 6, infohashes=8000) as network:
        folder, ledger = tmp_path / "out", tmp_path / "ledger"
        plan = Plan(replace(configure(network), rate=8000.0), format_, checkpoint_s=0.1)
        stopped = run_until(plan, folder, ledger, 1000)
        assert not stopped.crawl.complete and 1000 <= stopped.crawl.found < 3000
        ended = run_until(plan, folder, ledger, 0)
        (folder / "summary.json").write_text(json.dumps(ended.as_dict()))
        verdict = judge(network, folder)
        counters: dict[str, Any] = network.counters()
    assert (ended.crawl.complete, ended.crawl.found) == (True, 3000)
    assert ended.counts["sample_queries"] == 3000
    in_the_air = counters["sampled"] - ended.counts["samplers"]     # answered when nobody listened any more
    assert 0 <= in_the_air <= 100
    assert (verdict.violations, verdict.doubled_rows, verdict.infohashes) == (0, 0, ended.estimate.infohashes)
    assert verdict.share >= 0.95


def packed_rows(answers: int) -> bytes:
    """Of IPv4 and IPv6 nodes, as `_ext/samples` packs them; each has another count of samples."""
    rng = random.Random(answers)
    rows = []
    for number in range(answers):
        ip = bytes(10) + b"\xff\xff" + rng.randbytes(4) if number % 2 else b"\x20\x01" + rng.randbytes(14)
        rest = (rng.randrange(1 << 20), rng.randrange(21_601), rng.randrange(1 << 32), rng.randrange(1, 65_536))
        count = rng.randrange(1, 21)
        rows += [ROW.pack(rng.randbytes(20), ip, *rest, count) for _ in range(count)]
    return b"".join(rows)


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_samples_read_back_are_the_rows_that_were_written(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    block = packed_rows(6000)
    sink = DirectorySink(tmp_path, format_, table=SAMPLES, attempt="a")
    sink.write(block, 0)
    sink.close()
    assert b"".join(read_blocks(tmp_path)) == block


def test_samples_that_are_no_samples_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "parts" / "samples"
    folder.mkdir(parents=True)
    (folder / "part-0.jsonl").write_text('{"info_hash": 1}\n')
    with pytest.raises(PersistError, match="part-0.jsonl is not JSON lines of samples"):
        list(read_blocks(tmp_path))
