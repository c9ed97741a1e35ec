"""Estimates of the size of a virtual network over real UDP on loopback, against its truth."""
from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastdht.cli.crawl import crawl as command
from fastdht.crawl import CrawlConfig
from fastdht.crawl.size_run import SizeConfig, SizeCrawl, SizeResult
from fastdht.errors import ConfigError
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import write_truth

NODES = 6000


def configure(network: Swarm) -> CrawlConfig:
    return CrawlConfig(bootstrap=tuple(network.bootstrap), allow_net=("127.0.0.0/8",), rate=0.0, per_ip_rate=0.0,
                       timeout_s=0.5, seed=3, max_contacts=100_000)


def measure(network: Swarm, **settings: object) -> SizeResult:
    return asyncio.run(SizeCrawl(SizeConfig(configure(network), **settings)).run())    # type: ignore[arg-type]


def test_hard_network_is_measured_within_the_wanted_error() -> None:
    """Three times the wanted error of 10 %: what remains is six deviations."""
    with Swarm(NODES, 11, profile="hard") as network:
        result = measure(network, target_error=0.1)
        received = network.counters()["received"]
    assert result.complete and result.estimate is not None and result.method == "zone"
    assert result.estimate.nodes == pytest.approx(NODES, rel=0.3)
    assert result.estimate.low < result.estimate.nodes < result.estimate.high
    assert set(result.methods) == {"zone", "closest", "recapture"}
    assert len(result.zones) >= 5
    assert received <= result.sent <= SizeConfig(configure(network), target_error=0.1).budget
    assert 0.9 < result.as_dict()["answer_rate"] < 1


def test_small_clean_network_is_counted_whole() -> None:
    with Swarm(700, 12) as network:
        result = measure(network)
    assert result.complete and result.estimate is not None
    assert (result.count.found, result.share) == (700, 1)
    assert result.estimate.nodes == pytest.approx(700, rel=0.01)
    assert result.methods["recapture"].nodes == pytest.approx(700, rel=0.05)


def test_closest_alone_crawls_no_zone() -> None:
    with Swarm(2000, 13) as network:
        result = measure(network, method="closest", target_error=0.2)
    assert (result.method, result.zones, set(result.methods)) == ("closest", (), {"closest"})
    assert result.estimate is not None
    assert result.estimate.nodes == pytest.approx(2000, rel=0.6)


def test_budget_too_small_is_said() -> None:
    with Swarm(NODES, 14, profile="hard") as network:
        result = measure(network, max_msgs=2500)
    assert not result.complete
    assert "2500 messages would not have been enough" in result.reason or "too little" in result.reason
    assert result.sent <= 3500


def test_nobody_answering_is_no_estimate() -> None:
    config = CrawlConfig(bootstrap=("127.9.9.9:9",), allow_net=("127.0.0.0/8",), timeout_s=0.1)
    result = asyncio.run(SizeCrawl(SizeConfig(config)).run())
    assert (result.estimate, result.complete, result.reason) == (None, False, "no bootstrap host answered")


def test_no_address_is_refused() -> None:
    config = CrawlConfig(bootstrap=("[::1]:9",))
    with pytest.raises(ConfigError, match="no IPv4 address"):
        asyncio.run(SizeCrawl(SizeConfig(config)).run())


def test_stopped_run_keeps_what_is_known() -> None:
    async def stop_in_time(network: Swarm) -> SizeResult:
        running: SizeCrawl

        def on_step(text: str) -> None:
            if text.startswith("zone "):
                running.stop()

        running = SizeCrawl(SizeConfig(configure(network), target_error=0.05), on_step=on_step)
        return await running.run()

    with Swarm(NODES, 15, profile="hard") as network:
        result = asyncio.run(stop_in_time(network))
    assert (result.complete, result.reason) == (False, "stopped before its end")
    assert result.count.found > 0 and result.estimate is not None


def test_command_keeps_a_summary_that_verify_reads(tmp_path: Path) -> None:
    out, truth = tmp_path / "out", tmp_path / "truth"
    with Swarm(1500, 16) as network:
        run = CliRunner().invoke(command, [
            "size", "--bootstrap", ",".join(network.bootstrap), "--allow-net", "127.0.0.0/8", "--rate", "max",
            "--per-ip", "0", "--timeout", "500ms", "--seed", "1", "--out", str(out), "--json"])
        write_truth(truth, 16, 1500, network.contacts, network.truth_records)
    assert run.exit_code == 0, run.output
    summary = json.loads(run.stdout.splitlines()[-1])
    assert summary == json.loads((out / "summary.json").read_text())
    assert json.loads((out / "crawl.json").read_text())["state"] == "complete"
    judged = CliRunner().invoke(command, ["verify", str(out), "--truth", str(truth), "--json"])
    verdict = json.loads(judged.stdout)
    assert verdict["truth"] == 1500
    assert abs(verdict["methods"]["zone"]["error"]) < 0.01


def test_command_refuses_full_speed_without_a_network_of_its_own() -> None:
    run = CliRunner().invoke(command, ["size", "--bootstrap", "127.0.0.1:9", "--rate", "max"])
    assert run.exit_code == 2
    assert "--allow-net" in run.output
