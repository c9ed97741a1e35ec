"""Crawls that are killed, stopped, limited and gone on with, on real UDP, against the truth."""
from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastdht.crawl import CrawlConfig, Zone
from fastdht.crawl.job import ZoneRun, crawl_zone, find_saved
from fastdht.crawl.layout import commit_entry, node_parts, parts_folder, read_entry
from fastdht.crawl.merge import remove_ignored
from fastdht.crawl.plan import Plan
from fastdht.crawl.records import Progress
from fastdht.crawl.runner import begin, crawl_here, finish, reopen
from fastdht.crawl.verify import Verdict, verify
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import ANSWERS, REACHABLE, Truth

KILLS = 20
CHECKPOINT_S = 0.5      # stands for the 30 s of a crawl that takes an hour
RATE = 3000


def make_plan(network: Swarm, zones: int = 1, checkpoint_s: float = 0.2, **changes: object) -> Plan:
    values: dict[str, object] = {"bootstrap": tuple(network.bootstrap), "allow_net": ("127.0.0.0/8",), "rate": 0.0,
                                 "per_ip_rate": 0.0, "timeout_s": 1.0, "seed": 7, "max_contacts": 100_000}
    return Plan(CrawlConfig(**{**values, **changes}), "jsonl", zones, (), checkpoint_s)     # type: ignore[arg-type]


def judge(network: Swarm, folder: Path) -> Verdict:
    truth = Truth(network.nodes, network.seed, network.truth_records(0, network.contacts))
    return verify(folder, truth.keys(REACHABLE), truth.keys(ANSWERS))


def crawl(plan: Plan, folder: Path) -> dict[str, Any]:
    note = begin(folder, plan, {})
    result = asyncio.run(crawl_here(plan, folder, lambda _: None))
    finish(folder, note, result)
    return json.loads((folder / "crawl.json").read_text())


def stop_at(plan: Plan, folder: Path, found: int, zone: Zone | None = None) -> dict[str, Any]:
    """Crawl one zone until so many nodes are found, and stop it there."""
    def watch(progress: Progress) -> None:
        if progress.found >= found:
            run.stop()

    run = ZoneRun(zone or plan.config.zone, plan, folder, watch)
    return asyncio.run(run.run())


@pytest.mark.parametrize(("zones", "passes"), [(4, 1), (2, 2)])
def test_zones_together_find_what_the_whole_does(tmp_path: Path, zones: int, passes: int) -> None:
    with Swarm(6000, 31) as network:
        note = crawl(make_plan(network, zones, passes=passes), tmp_path)
        verdict = judge(network, tmp_path)
    assert (note["state"], note["zones"]) == ("complete", zones)
    assert (verdict.recall, verdict.precision, verdict.doubled_rows) == (1.0, 1.0, 0)
    assert verdict.msgs_per_found < 2.1 * passes
    assert len(list((tmp_path / "manifest").iterdir())) == zones


@pytest.mark.parametrize("passes", [1, 2])
def test_stopped_zone_goes_on_where_it_was(tmp_path: Path, passes: int) -> None:
    with Swarm(6000, 32, profile="easy") as network:
        plan = make_plan(network, rate=4000.0, passes=passes)
        whole = crawl(plan, tmp_path / "whole")
        before = sum(network.asked())
        begin(tmp_path / "part", plan, {})
        for found in (1500, 4000):
            assert not stop_at(plan, tmp_path / "part", found)["complete"]
        note = reopen(tmp_path / "part")[1]
        result = asyncio.run(crawl_here(plan, tmp_path / "part", lambda _: None))
        finish(tmp_path / "part", note, result)
        verdict, undisturbed = judge(network, tmp_path / "part"), judge(network, tmp_path / "whole")
        sent = sum(network.asked()) - before
    assert whole["state"] == "complete"
    assert result.complete
    assert (verdict.precision, verdict.doubled_rows) == (1.0, 0)
    assert verdict.recall > undisturbed.recall - 0.01
    assert result.sent == sent
    assert sent - before < 2 * 4000     # two stops, each with the packets of one time-out, 1 s, in the air at most


def test_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    with Swarm(4000, 33) as network:
        plan = make_plan(network, rate=4000.0)
        begin(tmp_path, plan, {})
        stop_at(plan, tmp_path, 1000)
        assert find_saved(tmp_path, Zone(), plan.config_hash) is not None
        for path in tmp_path.rglob("*.frontier"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert find_saved(tmp_path, Zone(), plan.config_hash) is None
        entry = crawl_zone(Zone(), plan, str(tmp_path))
    assert entry["result"]["found"] == 4000


def test_first_attempt_that_ends_wins_and_merge_removes_the_other(tmp_path: Path) -> None:
    with Swarm(1000, 34) as network:
        plan = make_plan(network)
        note = begin(tmp_path, plan, {})
        first = crawl_zone(Zone(), plan, str(tmp_path))
        stray = parts_folder(tmp_path, Zone()) / "part-0123-0.jsonl"
        stray.write_text("{}\n")
        assert not commit_entry(tmp_path, Zone(), {**first, "attempt": "0123", "parts": [stray.name]})
        assert crawl_zone(Zone(), plan, str(tmp_path)) == first == read_entry(tmp_path, Zone())
    assert [path.name for path in node_parts(tmp_path)] == first["parts"]
    assert remove_ignored(tmp_path, note) == [stray]
    assert not list((tmp_path / "manifest").glob("*.tmp"))


@pytest.mark.parametrize(("limit", "reason"), [({"max_nodes": 500}, "500 nodes were found"),
                                               ({"time_s": 0.5}, "its 0.5 s were over"),
                                               ({"max_disk": 20_000}, "the results took 20000 bytes")])
def test_limit_ends_a_crawl_that_can_go_on(tmp_path: Path, limit: dict[str, Any], reason: str) -> None:
    with Swarm(6000, 35) as network:
        plan = make_plan(network, 2, rate=2000.0, **limit)
        note = crawl(plan, tmp_path)
        assert (note["state"], note["reason"]) == ("partial", reason)
        free = plan.going_on(0.0, time_s=0.0, max_nodes=0, max_disk=0)
        assert asyncio.run(crawl_here(free, tmp_path, lambda _: None)).complete
        finish(tmp_path, note, asyncio.run(crawl_here(free, tmp_path, lambda _: None)))
        verdict = judge(network, tmp_path)
    assert (verdict.recall, verdict.doubled_rows) == (1.0, 0)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "fastdht", "crawl", *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def run_to_end(*arguments: str) -> dict[str, Any]:
    output, _ = start(*arguments, "--json").communicate(timeout=100)
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill -9; False when it had ended before."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False


@pytest.mark.slow
def test_crawl_killed_twenty_times_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    out = tmp_path / "crawl"
    with Swarm(20_000, 36, profile="easy") as network:
        options = ("--rate", str(RATE), "--allow-net", "127.0.0.0/8", "--bootstrap", ",".join(network.bootstrap),
                   "--per-ip", "0", "--timeout", "1s", "--seed", "1")
        whole = run_to_end(*options, "--out", str(tmp_path / "whole"))
        before = sum(network.asked())
        process = start(*options, "--checkpoint", f"{CHECKPOINT_S}s", "--out", str(out))
        kills = 0
        while kills < KILLS:
            if not kill_after(process, rng.uniform(0.5, 2.5)):
                if (out / "crawl.json").exists():
                    break
                process = start(*options, "--checkpoint", f"{CHECKPOINT_S}s", "--out", str(out))
                continue
            kills += 1
            process = start("resume", str(out)) if (out / "crawl.json").exists() else start(
                *options, "--checkpoint", f"{CHECKPOINT_S}s", "--out", str(out))
        process.communicate(timeout=100)
        verdict, undisturbed = judge(network, out), judge(network, tmp_path / "whole")
        redone = sum(network.asked()) - before - whole["sent"]
    assert json.loads((out / "crawl.json").read_text())["state"] == "complete"
    assert kills >= KILLS // 2
    assert (verdict.precision, verdict.doubled_rows, verdict.complete) == (1.0, 0, True)
    assert abs(verdict.recall - undisturbed.recall) < 0.01
    assert redone < kills * RATE * (2 * CHECKPOINT_S + 1)    # an interval, the saving, and what was in the air
    print(f"kills {kills}, recall {verdict.recall:.4f} (undisturbed {undisturbed.recall:.4f}), redone {redone}")


def test_opted_out_addresses_get_nothing_and_paces_hold(tmp_path: Path) -> None:
    excluded = Counter[bool]()
    ranges = ((4, 0x7F000000, 0x7F1FFFFF),)                  # 127.0.0.0 to 127.31.255.255: an eighth of the swarm
    windows: list[tuple[float, int]] = []
    with Swarm(4000, 37, profile="hard", adversaries=0.05) as network:
        hosts = tuple(f"{row.ip}:{row.port}" for row in network.truth(0, 64) if not row.ip.startswith(OPTED_OUT))
        plan = replace(make_plan(network, rate=2000.0, per_ip_rate=1.0, crowd_wait_s=1.0, bootstrap=hosts),
                       exclude=ranges)
        begin(tmp_path, plan, {})
        result = asyncio.run(crawl_here(plan, tmp_path, lambda progress: windows.append(
            (progress.elapsed_s, network.counters()["received"]))))
        asked = network.asked()
        per_ip: Counter[str] = Counter()
        for row, count in zip(network.truth(), asked, strict=True):
            excluded[row.ip.startswith(OPTED_OUT)] += count
            per_ip[row.ip] += count
    assert excluded[True] == 0
    assert result.sent == excluded[False] == sum(asked)      # so nothing went to a bogon either: those are elsewhere
    assert result.filtered["bogon"] > 0
    assert max(per_ip.values()) <= 4 + result.elapsed_s
    for (start_s, first), (end_s, last) in zip(windows, windows[2:]):
        assert last - first <= 1.05 * 2000 * (end_s - start_s) + 10     # a quantum of 5 ms


OPTED_OUT = tuple(f"127.{i}." for i in range(32))
