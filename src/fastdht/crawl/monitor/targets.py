"""Look-ups beside the visits: targets once a round, and nodes that have gone. Rate class: lookup.

A target's look-up is a get_peers that asks for the filters of BEP 33 as well; it announces nothing. A node that has
gone is looked up by its id: the same id at another endpoint is a node whose address has changed. Look-ups begin at the
nodes of the cohort that are there; those of targets at the bootstrap hosts as long as none is known.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastdht._ext.filters import Filter
from fastdht.config import SECOND_US, LookupConfig
from fastdht.crawl.monitor.settings import LOOKUP_QUERIES, Member, MonitorConfig
from fastdht.crawl.peers import NodeCache
from fastdht._ext.walks import Walk
from fastdht.engine.bridge import Answer, Lookup, Reading, ReadWalk
from fastdht.engine.engine import Engine
from fastdht.errors import LookupFailed
from fastdht.stats import LookupReport
from fastdht.types import InfoHash, NodeId

FIND_NODE, GET_PEERS = 1, 2     # krpc Method
SEEDS = 8                   # nodes that a look-up begins at
CLOSEST = 8


class Lookups:
    """Looks targets and nodes up; remembers which nodes were closest to a target."""

    def __init__(self, engine: Engine, config: MonitorConfig, entry: Sequence[bytes],
                 timeline: Callable[[], int]) -> None:
        self._engine = engine
        self._entry = entry
        self._timeline = timeline
        self._config = LookupConfig(subnet_limit=0 if config.allow_net else 1, max_queries=LOOKUP_QUERIES,
                                    deadline_us=int(config.every_s * SECOND_US / 2))
        self._closest: dict[bytes, frozenset[bytes]] = {}

    async def look_up(self, number: int, target: bytes, nodes: NodeCache) -> dict[str, Any] | None:
        """The row of one target in round `number`; None when no look-up could begin."""
        began_us = self._timeline()
        walk = ReadWalk(InfoHash(target), self._config)
        if not walk.start([self._engine.lookups], GET_PEERS, nodes.closest(target, SEEDS) or self._entry,
                          scrape=True, is_read=True):
            return None
        report = await settled(Reading(walk))
        row: dict[str, Any] = {"round": number, "t": began_us / SECOND_US, "target": target.hex(),
                               "asked": report.queries, "answered": report.responses}
        return row | self._findings(target, report, walk.answers) if report.responses else row

    async def find(self, gone: Member, nodes: NodeCache) -> bytes | None:
        """The compact endpoint where the id of a node that has gone answers now; None where nobody found it."""
        walk = Walk(NodeId(gone.id), self._config)
        if not walk.start([self._engine.lookups], FIND_NODE, nodes.closest(gone.id, SEEDS)):
            return None
        report = await settled(Lookup(walk))
        places = [each.contact.endpoint.pack() for each in report.closest if each.contact.id == gone.id]
        return next((place for place in places if place != gone.endpoint), None)

    def _findings(self, target: bytes, report: LookupReport, answers: Iterable[Answer]) -> dict[str, Any]:
        closest = frozenset(bytes(each.contact.id) for each in report.closest[:CLOSEST])
        before = self._closest.get(target)
        self._closest[target] = closest
        seeds, downloaders = unite(answers)
        return {"peers": report.value_count, "seeds": seeds, "downloaders": downloaders, "closest": len(closest),
                "stayed": len(closest & before) if before is not None else None}


async def settled(lookup: Lookup) -> LookupReport:
    """The report of a look-up, also when nobody answered."""
    try:
        return await lookup
    except LookupFailed as error:
        return error.report
    finally:
        lookup.cancel()


def unite(answers: Iterable[Answer]) -> tuple[float | None, float | None]:
    """Seeds and other peers by the united filters of all nodes (BEP 33); None where no node has any."""
    union: dict[str, Filter] = {}
    for answer in answers:
        for name in ("seed_filter", "peer_filter"):
            data = answer.slots.get(name)
            if data is not None:
                union[name] = union.get(name, Filter()).union(Filter(data))
    if not union:
        return None, None
    seeds, others = (round(union.get(name, Filter()).estimate().count, 1) for name in ("seed_filter", "peer_filter"))
    return seeds, others
