"""Crawls of a virtual network over real UDP on loopback, against its truth."""
from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fastdht.crawl import Crawl, CrawlConfig, CrawlResult, Zone
from fastdht.crawl.records import Progress
from fastdht.crawl.sinks import DirectorySink
from fastdht.crawl.verify import Verdict, verify
from fastdht.errors import ConfigError
from fastdht.testing.swarm import Swarm
from fastdht.testing.truth import ANSWERS, REACHABLE, Truth
from fastdht.types import Endpoint

NET = ("127.0.0.0/8",)


def configure(network: Swarm, **changes: object) -> CrawlConfig:
    values: dict[str, object] = {"bootstrap": tuple(network.bootstrap), "allow_net": NET, "rate": 0.0,
                                 "per_ip_rate": 0.0, "timeout_s": 1.0, "seed": 7, "max_contacts": 100_000}
    return CrawlConfig(**{**values, **changes})     # type: ignore[arg-type]


def census(network: Swarm, folder: Path, **changes: object) -> tuple[CrawlResult, Verdict]:
    result = asyncio.run(Crawl(configure(network, **changes), DirectorySink(folder, "jsonl")).run())
    (folder / "summary.json").write_text(json.dumps(result.as_dict()))
    truth = Truth(network.nodes, network.seed, network.truth_records(0, network.contacts))
    return result, verify(folder, truth.keys(REACHABLE), truth.keys(ANSWERS))


@pytest.mark.parametrize("depth", ["standard", "exhaustive"])
def test_census_of_a_clean_network_finds_every_node(tmp_path: Path, depth: str) -> None:
    with Swarm(2000, 3) as network:
        result, verdict = census(network, tmp_path, depth=depth)
        asked = network.asked()
    assert result.complete
    assert (verdict.recall, verdict.precision, verdict.doubled_rows) == (1.0, 1.0, 0)
    assert result.found == 2000
    assert result.sent == sum(asked)
    assert result.max_packets_per_ip == max(asked)


def test_census_among_liars_lists_none_of_them(tmp_path: Path) -> None:
    with Swarm(3000, 4, profile="hard", adversaries=0.1) as network:
        result, verdict = census(network, tmp_path)
    assert verdict.precision == 1.0
    assert verdict.recall > 0.9
    assert result.filtered["bogon"] > 0


def test_fast_census_asks_each_contact_once_and_few_again(tmp_path: Path) -> None:
    with Swarm(3000, 5, profile="easy") as network:
        result, verdict = census(network, tmp_path, depth="fast")
        assert result.sent - result.control_asked <= 1.02 * result.contacts     # one in 64, for the estimate of recall
    assert verdict.precision == 1.0


def test_zone_census_finds_the_zone_and_asks_few_others(tmp_path: Path) -> None:
    zone = Zone(bytes([0x40]) + bytes(19), 2)
    with Swarm(8000, 6) as network:
        result, verdict = census(network, tmp_path, zone=zone)
    assert verdict.recall > 0.99
    assert result.found == verdict.found < 2500
    assert result.sent < 2.1 * result.found + 512


def test_two_passes_find_more_than_one_and_write_no_row_twice(tmp_path: Path) -> None:
    with Swarm(3000, 8, profile="hard") as network:
        one, _ = census(network, tmp_path / "one", retry_share=0.0)
        two, verdict = census(network, tmp_path / "two", passes=2)
    assert verdict.doubled_rows == 0
    assert verdict.precision == 1.0
    assert two.found == verdict.found > one.found
    assert two.found_twice > 0.9 * two.found


def test_two_passes_tell_what_both_missed(tmp_path: Path) -> None:
    with Swarm(30_000, 8, profile="hard") as network:
        result, verdict = census(network, tmp_path, passes=2)
    assert 0.97 < verdict.recall < 0.995        # so that an estimate of 1.0, or of one pass alone, is none
    assert result.recall_estimate == pytest.approx(verdict.recall, abs=0.008)


def test_census_at_a_rate_keeps_it(tmp_path: Path) -> None:
    with Swarm(500, 9) as network:
        result, _ = census(network, tmp_path, rate=1000.0)
    assert result.elapsed_s >= 0.95
    assert result.found == 500


def stop_when(crawl: Callable[[], Crawl], is_time: Callable[[Progress], bool]) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if is_time(progress):
            crawl().stop()

    return watch


def test_stopped_census_ends_with_what_it_found(tmp_path: Path) -> None:
    with Swarm(5000, 10) as network:
        sink = DirectorySink(tmp_path, "jsonl")
        crawl = Crawl(configure(network, rate=500.0), sink,
                      on_progress=stop_when(lambda: crawl, lambda progress: progress.found > 0))
        result = asyncio.run(crawl.run())
    lines = sum(len(path.read_text().splitlines()) for path in tmp_path.glob("parts/nodes/*.jsonl"))
    assert not result.complete
    assert result.reason == "stopped before its end"
    assert 0 < result.found == lines < 5000


def test_census_whose_bootstrap_is_silent_says_so() -> None:
    config = CrawlConfig(bootstrap=("127.0.0.1:9",), allow_net=NET, timeout_s=0.2, rate=0, max_contacts=1000)
    result = asyncio.run(Crawl(config).run())
    assert (result.found, result.complete, result.reason) == (0, False, "no bootstrap host answered")


def test_census_without_room_is_incomplete(tmp_path: Path) -> None:
    with Swarm(1000, 11) as network:
        result, verdict = census(network, tmp_path, max_contacts=300)
    assert result.contacts == 300
    assert not result.complete
    assert "max_contacts is 300" in result.reason
    assert verdict.precision == 1.0


def test_census_of_the_other_family_has_nowhere_to_start() -> None:
    config = CrawlConfig(bootstrap=("127.0.0.1:9",), bind=Endpoint("::1", 0))
    with pytest.raises(ConfigError, match=r"no IPv6 address for 127\.0\.0\.1:9"):
        asyncio.run(Crawl(config).run())


@pytest.mark.parametrize("change", [{"depth": "deep"}, {"passes": 3}, {"bootstrap": ()}, {"max_contacts": 0},
                                    {"per_ip_burst": 0}, {"rate": -1.0}])
def test_settings_outside_their_limits_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        CrawlConfig(**{"bootstrap": ("127.0.0.1:9",), **change})     # type: ignore[arg-type]
