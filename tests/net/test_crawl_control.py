"""A crawl whose network goes away: its control group tells, and going on finds what was missed."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from fastdht.crawl import Crawl
from fastdht.crawl.control import LEAST_MEMBERS
from fastdht.crawl.records import Progress
from fastdht.crawl.runner import begin, crawl_here, finish, reopen
from fastdht.testing.swarm import Swarm
from tests.net.test_crawl import configure
from tests.net.test_crawl_resume import judge, make_plan

NODES = 2000
RATE = 2000.0
FOUND = NODES // 4          # by then the network goes


def leaving(network: Swarm) -> Callable[[Progress], None]:
    """Stops the network once enough nodes are found."""
    def watch(progress: Progress) -> None:
        if progress.found >= FOUND:
            network.stop()

    return watch


def test_crawl_whose_network_goes_away_is_partial_and_can_go_on(tmp_path: Path) -> None:
    with Swarm(NODES, 51) as network:
        plan = make_plan(network, rate=RATE)
        note = begin(tmp_path, plan, {})
        result = asyncio.run(crawl_here(plan, tmp_path, leaving(network)))
        finish(tmp_path, note, result)
        assert FOUND <= result.found < NODES
        assert not result.complete
        assert result.reason.startswith("the control group fell silent: at the end 0 of ")
        assert result.control_asked >= LEAST_MEMBERS
        network.start()
        plan, note = reopen(tmp_path)
        result = asyncio.run(crawl_here(plan, tmp_path, lambda _: None))
        finish(tmp_path, note, result)
        verdict = judge(network, tmp_path)
    assert result.complete
    assert (verdict.recall, verdict.precision, verdict.doubled_rows) == (1.0, 1.0, 0)


@pytest.mark.parametrize("profile", ["clean", "hard"])
def test_crawl_whose_network_stays_is_complete(profile: str) -> None:
    with Swarm(NODES, 52, profile=profile) as network:
        result = asyncio.run(Crawl(configure(network, rate=RATE)).run())
        asked = network.asked()
    assert result.complete
    if profile == "clean":      # somebody always answered: there is nothing to doubt
        assert result.control_asked == 0
        assert result.sent == sum(asked)
    else:                       # only dead contacts were left at the end: that is worth a question
        assert 0 < result.control_answered <= result.control_asked


def test_control_group_keeps_to_the_pace_of_an_address() -> None:
    with Swarm(NODES, 53, profile="hard") as network:
        config = configure(network, rate=RATE, per_ip_rate=0.01, per_ip_burst=1, crowd_wait_s=0.5)
        asyncio.run(Crawl(config).run())
        assert max(network.asked()) == 1
