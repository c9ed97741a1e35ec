"""A census of real nodes on 127.0.0.0/8 and ::1: those of one family only, and those of both."""
from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fastdht import LookupFailed, Node
from fastdht.config import CoreConfig, LookupConfig, TableConfig
from fastdht.crawl import CrawlConfig
from fastdht.crawl.job import ZoneRun
from fastdht.crawl.layout import node_parts
from fastdht.crawl.plan import Plan
from fastdht.crawl.records import Progress
from fastdht.crawl.runner import begin, crawl_here, finish, reopen
from fastdht.crawl.verify import Verdict, verify
from fastdht.types import Endpoint
from tests.sim.sim_kit import table_entries

NET = ("127.0.0.0/8", "::1/128")
V4_ONLY, V6_ONLY, DUAL = 8, 8, 10
KNOWN_BY = 6
CONFIG = CoreConfig(table=TableConfig(one_per_ip=False, bucket_subnet_limit=0, table_subnet_limit=0))      # all of ::1 is one address
LOOKUP = LookupConfig(subnet_limit=0)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="there is no ::1 here")


class Town:
    """Our nodes, in a network of their own; `bootstrap` are two of both families."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.bootstrap: dict[int, str] = {}

    async def settle(self) -> None:
        for number in range(DUAL + V4_ONLY + V6_ONLY):
            v4, v6 = f"127.93.{number}.1:0", "[::1]:0"
            binds = [v4, v6] if number < DUAL else [v4] if number < DUAL + V4_ONLY else [v6]
            node = Node(binds, bootstrap=tuple(self.bootstrap.values()), allow_net=NET, config=CONFIG, lookup=LOOKUP,
                        limits="off")
            await node.start()
            if not self.nodes:
                self.bootstrap = {6 if each.is_ipv6 else 4: str(each) for each in node.endpoints}
            self.nodes.append(node)
        await asyncio.gather(*(node.joined() for node in self.nodes[1:]))
        while min(self.named()[key] for key in self.keys((4, 6))) < KNOWN_BY:
            await asyncio.gather(*(look_around(node) for node in self.nodes))

    def named(self) -> Counter[bytes]:
        """How many tables hold each: who is in few may be found by chance only."""
        return Counter(bytes(entry[1]) + bytes(entry[0]) for node in self.nodes for entry in table_entries(node))

    def keys(self, families: tuple[int, ...]) -> set[bytes]:
        return {each.pack() + node_id for node in self.nodes
                for each, node_id in zip(node.endpoints, node.ids, strict=True)
                if (6 if each.is_ipv6 else 4) in families}

    async def close(self) -> None:
        for node in self.nodes:
            await node.close()


async def look_around(node: Node) -> None:
    """Look for every own id, so that those who joined together know each other; the first knows nobody for a moment."""
    for own in node.ids:
        with suppress(LookupFailed):
            await node.find_node(own)
        await asyncio.sleep(0.01)


def in_town(main: Callable[[Town], Awaitable[None]]) -> None:
    async def settled() -> None:
        town = Town()
        try:
            await town.settle()
            await main(town)
        finally:
            await town.close()

    asyncio.run(asyncio.wait_for(settled(), 60))


def make_plan(town: Town, families: tuple[int, ...], **changes: Any) -> Plan:
    bind = Endpoint("127.0.0.1" if 4 in families else "::1", 0)
    values = {"bootstrap": tuple(town.bootstrap[family] for family in families), "bind": bind, "allow_net": NET,
              "bind6": Endpoint("::1", 0) if len(families) == 2 else None, "rate": 0.0, "per_ip_rate": 0.0,
              "timeout_s": 1.0, "seed": 7, "max_contacts": 10_000, **changes}
    return Plan(CrawlConfig(**values), "jsonl", checkpoint_s=0.1)


async def crawl(plan: Plan, folder: Path) -> None:
    note = begin(folder, plan, {})
    finish(folder, note, await crawl_here(plan, folder, lambda _: None))


def judge(town: Town, folder: Path, families: tuple[int, ...]) -> tuple[Verdict, int]:
    """The verdict, and how many were missed or are false."""
    verdict = verify(folder, town.keys(families), town.keys(families))
    return verdict, verdict.missed + verdict.false_rows + verdict.doubled_rows


def test_census_of_each_family_and_of_both_is_the_whole_truth(tmp_path: Path) -> None:
    async def main(town: Town) -> None:
        for families, count in (((4,), DUAL + V4_ONLY), ((6,), DUAL + V6_ONLY), ((4, 6), 2 * DUAL + V4_ONLY + V6_ONLY)):
            folder = tmp_path / "".join(map(str, families))
            await crawl(make_plan(town, families), folder)
            verdict, wrong = judge(town, folder, families)
            assert (verdict.found, wrong, verdict.complete) == (count, 0, True)

    in_town(main)


def test_census_of_both_that_knows_one_entry_finds_the_other_family(tmp_path: Path) -> None:
    async def main(town: Town) -> None:
        await crawl(make_plan(town, (4, 6), bootstrap=(town.bootstrap[4],)), tmp_path)
        assert judge(town, tmp_path, (4, 6))[1] == 0
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert summary["families"]["ipv6"]["found"] == DUAL + V6_ONLY

    in_town(main)


def test_census_of_both_that_was_stopped_goes_on(tmp_path: Path) -> None:
    async def main(town: Town) -> None:
        begin(tmp_path, make_plan(town, (4, 6), rate=40.0), {})
        await stop_after(make_plan(town, (4, 6), rate=40.0), tmp_path, 10)
        plan, note = reopen(tmp_path)
        assert plan.config.families == (4, 6)
        assert node_parts(tmp_path)         # what was found before
        finish(tmp_path, note, await crawl_here(plan.going_on(0.0), tmp_path, lambda _: None))
        assert judge(town, tmp_path, (4, 6))[1] == 0

    in_town(main)


async def stop_after(plan: Plan, folder: Path, found: int) -> None:
    def watch(progress: Progress) -> None:
        if progress.found >= found:
            run.stop()

    run = ZoneRun(plan.config.zone, plan, folder, watch)
    assert not (await run.run())["complete"]
