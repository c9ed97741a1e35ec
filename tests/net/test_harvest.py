"""Harvests of a virtual network over real UDP on loopback, against its truth."""
from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fastdht.config import SECOND_US
from fastdht.crawl import Crawl, CrawlConfig
from fastdht.crawl.harvest import COUNTED, HarvestResult, MemoryLedger, SampleKeeper, summarize
from fastdht.crawl.ledger import LedgerFile
from fastdht.crawl.packed import SAMPLES
from fastdht.crawl.sinks import DirectorySink, NullSink
from fastdht.crawl.verify_harvest import HarvestVerdict, place_of, verify_harvest
from fastdht.engine.clock import monotonic_us, wall_s
from fastdht.errors import ConfigError
from fastdht.testing.catalog import HashTruth
from fastdht.testing.swarm import LIARS, Swarm
from fastdht.testing.truth import RECORD

DAY_US = 86_400 * SECOND_US


def offset_us() -> int:
    return int(wall_s() * SECOND_US) - monotonic_us()


def configure(network: Swarm) -> CrawlConfig:
    return CrawlConfig(bootstrap=tuple(network.bootstrap), allow_net=("127.0.0.0/8",), rate=0.0, per_ip_rate=0.0,
                       timeout_s=1.0, seed=7, max_contacts=100_000)


def harvest(network: Swarm, folder: Path, keeper: LedgerFile | MemoryLedger) -> HarvestResult:
    folder.mkdir(exist_ok=True)
    samples = SampleKeeper(keeper, DirectorySink(folder, "jsonl", table=SAMPLES), offset_us)
    crawl = Crawl(configure(network), DirectorySink(folder, "jsonl"), samples=samples)
    found = asyncio.run(crawl.run())
    result = summarize(found, crawl.totals(*COUNTED), samples.tally)
    (folder / "summary.json").write_text(json.dumps(result.as_dict()))
    return result


def judge(network: Swarm, folder: Path) -> HarvestVerdict:
    assert network.catalog is not None
    truth = HashTruth(b"".join(network.catalog.records(cell) for cell in range(network.catalog.cells())))
    records = network.truth_records(0, network.contacts)
    places = {place_of(records[i:i + 6]): i // RECORD.size for i in range(0, len(records), RECORD.size)}
    return verify_harvest(folder, truth.index(), truth.holders, truth.allowed(), places,
                          network.counters()["interval_violations"], network.nodes)


def test_harvest_of_a_hard_network_sees_what_one_sweep_can(tmp_path: Path) -> None:
    with Swarm(8000, 3, profile="hard", infohashes=80_000) as network:
        result = harvest(network, tmp_path, MemoryLedger(offset_us()))
        verdict = judge(network, tmp_path)
    assert result.crawl.complete and verdict.complete
    assert verdict.share >= 0.97
    assert verdict.msgs_per_found <= 1.5 + verdict.contacts_per_found
    assert (verdict.violations, verdict.false_hashes, verdict.misplaced, verdict.doubled_rows) == (0, 0, 0, 0)
    assert verdict.total_error == pytest.approx(0, abs=0.1)
    assert result.crawl.found > 0.96 * 8000         # refusals cost no nodes
    assert result.counts["samples_lost"] == 0


def test_harvest_of_a_clean_network_asks_each_node_once_for_samples(tmp_path: Path) -> None:
    with Swarm(2000, 4, infohashes=5000) as network:
        result = harvest(network, tmp_path, MemoryLedger(offset_us()))
        verdict = judge(network, tmp_path)
        assert network.catalog is not None
        samplers = sum(network.catalog.support(serial) == 2 for serial in range(2000))
        assert network.counters()["sampled"] == samplers == result.counts["samplers"]
    assert result.crawl.found == 2000
    assert result.counts["sample_queries"] == 2000
    assert verdict.share >= 0.99
    assert verdict.violations == 0


def test_harvest_among_liars_estimates_the_total_and_tells_their_rows_apart(tmp_path: Path) -> None:
    liars = {name: 80 for name in LIARS if name.endswith(("num", "interval", "samples"))}
    with Swarm(8000, 6, infohashes=160_000, adversaries=liars) as network:
        result = harvest(network, tmp_path, MemoryLedger(offset_us()))
        verdict = judge(network, tmp_path)
    assert len(liars) == 5
    assert result.counts["num_sum"] > 50_000_000        # what is told cannot be believed
    assert result.estimate.doubted == pytest.approx(80, abs=3)
    assert verdict.total_error == pytest.approx(0, abs=0.1)
    assert (verdict.misplaced, verdict.violations, verdict.doubled_rows) == (0, 0, 0)
    assert 0 < verdict.false_hashes <= 80 * 20          # those invented; of the ragged none is read
    assert verdict.lies == pytest.approx(80 * (20 + 20 + 20 + 1), rel=0.3)


def test_next_run_asks_nobody_again(tmp_path: Path) -> None:
    with Swarm(1000, 5, infohashes=2000) as network:
        for run in range(2):
            with LedgerFile(tmp_path / "ledger", offset_us()) as book:
                result = harvest(network, tmp_path / str(run), book)
                assert len(book.ledger) == 1000
        assert network.counters()["interval_violations"] == 0
    assert (result.counts["sample_queries"], result.counts["samples"]) == (0, 0)
    assert result.counts["not_due"] == 1000
    assert result.crawl.found == 1000


def test_run_a_day_later_asks_again(tmp_path: Path) -> None:
    """The network's own clock has not moved, so that it counts each question as too early: the count can count."""
    with Swarm(1000, 5, infohashes=2000) as network:
        for run in range(2):
            with LedgerFile(tmp_path / "ledger", offset_us() + run * DAY_US) as book:
                result = harvest(network, tmp_path / str(run), book)
        assert network.counters()["interval_violations"] == result.counts["samplers"] > 500


def test_other_depths_are_no_harvest() -> None:
    config = CrawlConfig(bootstrap=("127.0.0.1:9",), depth="fast")
    with pytest.raises(ConfigError, match="depth fast"):
        Crawl(config, samples=SampleKeeper(MemoryLedger(0), NullSink(), offset_us))
