"""Swarms: their size by BEP 33, and which of them there are by BEP 51. Rate class: lookup and command.

What nodes say is read leniently: an interval outside its bounds is clamped, a part of an infohash left out, a filter
of another size does not count. Source: BEP 33, 51.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from fastdht._ext.filters import Estimate, Filter
from fastdht._ext.filters_votes import Votes
from fastdht.config import SECOND_US
from fastdht.engine.bridge import Answer
from fastdht.errors import ConfigError, LookupFailed
from fastdht.ops.asking import GET_PEERS, SAMPLE_INFOHASHES, Asking
from fastdht.persist.state import Capability
from fastdht.stats import NodeSamples, Samples, ScrapeAnswer, Swarm, SwarmCount
from fastdht.types import ID_SIZE, Endpoint, InfoHash, NodeId

MAX_INTERVAL = 21_600       # seconds; BEP 51 allows no more
MAX_SAMPLES = 400           # of one answer: as many as 8 KiB hold


class SwarmCalls(Asking):
    """scrape, scrape_many, sample_infohashes."""

    async def scrape(self, info_hash: bytes, *, to: Iterable[Endpoint | str] | None = None) -> Swarm:
        """Estimate how many seeds and other peers a torrent has (BEP 33).

        An address counts once, and from three filters on when two nodes confirm it: one liar alone adds nothing. The
        bounds hold the chance of the bits and how much nodes differ, and take each node to know a random share of the
        swarm. A swarm that nobody knows has none of either. Above some 6,000 addresses filters saturate. Raises
        LookupFailed when no node answered.
        """
        lookup = self._read(GET_PEERS, InfoHash(info_hash), to, self._lookup, scrape=True)
        votes = Votes()
        try:
            answers = [take_vote(votes, answer) async for answer in lookup.answers()]
            report = await lookup
        finally:
            lookup.cancel()
        for each in answers:
            if each.peers is not None:
                self._note(each.contact, Capability.SCRAPE)
        return Swarm(InfoHash(info_hash), count_of(votes.seeds()), count_of(votes.peers()), tuple(answers), report)

    async def scrape_many(self, info_hashes: Iterable[bytes], *, concurrency: int = 16) -> AsyncIterator[Swarm]:
        """Scrape torrents, `concurrency` of them at a time, and yield each as it ends, in no order.

        Never more run than half the lookups of this node's configuration, so that others find room. Where no node
        answered, `answered` is 0. `info_hashes` may be endless: it is read as places become free.
        Raises ConfigError for a concurrency below 1.
        """
        if concurrency < 1:
            raise ConfigError(f"concurrency is {concurrency}; at least 1")
        concurrency = min(concurrency, max(self._config.lookups // 2, 1))
        waiting = iter(info_hashes)
        running: set[asyncio.Task[Swarm]] = set()
        try:
            while True:
                for info_hash in waiting:
                    running.add(asyncio.ensure_future(self._scrape_quietly(InfoHash(info_hash))))
                    if len(running) == concurrency:
                        break
                if not running:
                    return
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()

    async def _scrape_quietly(self, info_hash: InfoHash) -> Swarm:
        try:
            return await self.scrape(info_hash)
        except LookupFailed as error:
            nobody = count_of(Filter().estimate())
            return Swarm(info_hash, nobody, nobody, (), error.report)

    async def sample_infohashes(self, target: bytes, *, to: Iterable[Endpoint | str] | None = None) -> Samples:
        """Ask the nodes on the way to a 20-byte target which torrents they know (BEP 51).

        Samples do not depend on the target; vary it to meet other nodes. Do not ask one again before its `not_before`.
        Raises LookupFailed when no node answered; nodes without BEP 51 are left out.
        """
        lookup = self._read(SAMPLE_INFOHASHES, NodeId(target), to, self._lookup)
        try:
            nodes = [sampled(answer) async for answer in lookup.answers() if "samples" in answer.slots]
            report = await lookup
        finally:
            lookup.cancel()
        for node in nodes:
            self._note(node.contact, Capability.SAMPLES)
        return Samples(NodeId(target), tuple(nodes), report)


def take_vote(votes: Votes, answer: Answer) -> ScrapeAnswer:
    """Add what one node said of a swarm to the votes."""
    seeds, peers = answer.slots.get("seed_filter"), answer.slots.get("peer_filter")
    values = answer.slots.get("values", ())
    votes.add(seeds, peers, values)
    if seeds is None and peers is None:
        return ScrapeAnswer(answer.contact, None, None, len(values))
    seed_count, peer_count = (count_of(Filter(each).estimate()) for each in (seeds, peers))
    return ScrapeAnswer(answer.contact, seed_count, peer_count, len(values))


def count_of(estimate: Estimate) -> SwarmCount:
    return SwarmCount(estimate.count, estimate.low, estimate.high, estimate.is_saturated)


def sampled(answer: Answer) -> NodeSamples:
    """One node's samples; a missing interval is 0, a negative number of infohashes unknown."""
    packed = answer.slots["samples"]
    whole = min(len(packed) // ID_SIZE, MAX_SAMPLES) * ID_SIZE
    samples = tuple(InfoHash(packed[at:at + ID_SIZE]) for at in range(0, whole, ID_SIZE))
    interval = min(max(answer.slots.get("interval", 0), 0), MAX_INTERVAL)
    num = answer.slots.get("num", -1)
    return NodeSamples(answer.contact, samples, num if num >= 0 else None, interval,
                       answer.received_us / SECOND_US + interval)
