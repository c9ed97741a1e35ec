"""keep_announced and keep_published: what a node does to keep a thing findable. Rate class: lookup.

Packets are bounded: a full round is one lookup and at most KEPT_COPIES writes, a probe as many queries, and a node
runs KEPT_AT_ONCE rounds at a time, begun KEPT_GAP_S apart. When they happen is `keep.plan`'s affair.
Source: BEP 5; BEP 44, "Expiration".
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from random import Random

from fastdht.engine.upkeep import Upkeep
from fastdht.errors import DHTError, LocalProtocolError, LookupFailed
from fastdht.items import check_value
from fastdht.keep.keeper import Gate, KeptAlive, Round
from fastdht.keep.plan import ANNOUNCES, ITEMS
from fastdht.ops.asking import ANNOUNCE_PEER, GET_PEERS, writable
from fastdht.ops.items import ItemCalls
from fastdht.ops.peers import PeerCalls
from fastdht.stats import ItemReport, WriteOutcome
from fastdht.types import Endpoint, InfoHash, Item

KEPT_AT_ONCE = 4
KEPT_COPIES = 12            # more than a single write's: nodes leave between rounds, and a seeker may end beside them
# Half of all lookups begin at the same eight contacts, and each may be asked ten times in ten seconds. With half a
# second between rounds, lookups were refused their way and wrote where nobody looks (1 of 200 on 1,000 virtual nodes).
KEPT_GAP_S = 1.0
MANY_VALUES = 40            # an answer with so many peers is a sample; that we are not in it says nothing


class Keeping(PeerCalls, ItemCalls):
    """keep_announced, keep_published."""

    _entropy: Callable[[int], bytes]
    _upkeeps: list[Upkeep]
    _keep_gate: Gate | None = None

    def keep_announced(self, info_hash: bytes, port: int, *, implied_port: bool = False,
                       seed: bool = False) -> KeptAlive:
        """Announce ourselves as a peer of a torrent for as long as `async with` lasts, and see that we can be found.

        Arguments as announce_peer's. Raises LocalProtocolError for a bad port; what the network does is in the
        handle: `error` and `copies`. About two lookups and four probes an hour.
        """
        if not 1 <= port <= 65535:
            raise LocalProtocolError(f"port is {port}; 1 to 65535")
        return self._keep(Announced(self, InfoHash(info_hash), port, implied_port, seed))

    def keep_published(self, item: Item) -> KeptAlive:
        """Keep an item stored for as long as `async with` lasts; anybody may do that for a signed one.

        Ends when a newer item of its key is found: the handle's `newer`, and `await handle.ended()`. Raises
        LocalProtocolError when the item is too large. About a lookup and a probe in 90 minutes.
        """
        check_value(item.raw)
        return self._keep(Published(self, item))

    def _keep(self, subject: Announced | Published) -> KeptAlive:
        self._first()
        if self._keep_gate is None:
            self._keep_gate = Gate(max(1, min(KEPT_AT_ONCE, self._config.lookups // 2)), KEPT_GAP_S)
        return KeptAlive(subject, self._clock, Random(self._entropy(32)), self._keep_gate)

    def _is_own(self, peer: Endpoint, port: int | None) -> bool:
        """Whether a peer is us: at our address, where that is known, and on this port, where that is."""
        if port is not None and peer.port != port:
            return False
        known = {bytes(upkeep.external.adopted) for upkeep in self._upkeeps
                 if upkeep.external.adopted is not None and (upkeep.family == 6) == peer.is_ipv6}
        return not known or peer.pack()[:-2] in known


class Announced:
    """A torrent that we are a peer of."""

    plan = ANNOUNCES

    def __init__(self, node: Keeping, info_hash: InfoHash, port: int, implied_port: bool, seed: bool) -> None:
        self.target = info_hash
        self._node = node
        self._port = None if implied_port else port
        self._arguments = {"target": bytes(info_hash), "port": port, "implied_port": implied_port, "seed": seed}

    async def full(self, fresh: Collection[Endpoint]) -> Round:
        node = self._node
        report = await node._walk(GET_PEERS, self.target, None, node._write_lookup)
        chosen = writable(report, None, KEPT_COPIES)
        fresh = {found.contact.endpoint for found in chosen} & set(fresh)
        outcomes = await asyncio.gather(*(
            node._write_to(found, ANNOUNCE_PEER, **self._arguments) for found in chosen
            if found.contact.endpoint not in fresh))
        written = accepted([outcome for outcome, _ in outcomes])
        if not written and not fresh:
            raise DHTError(f"none of {len(chosen)} nodes accepted the announce of {self.target}")
        return Round(written | fresh, written)

    async def probe(self, holders: Collection[Endpoint]) -> Round:
        held = await asyncio.gather(*(self._is_held(place) for place in holders))
        return Round(frozenset(place for place, is_held in zip(holders, held) if is_held))

    async def _is_held(self, place: Endpoint) -> bool:
        try:
            answer, _ = await self._node._query(GET_PEERS, place, target=bytes(self.target))
        except DHTError:
            return False
        values = answer.get("values") or ()
        return len(values) >= MANY_VALUES or any(
            self._node._is_own(Endpoint.unpack(value), self._port) for value in values)


class Published:
    """An item, ours or another's."""

    plan = ITEMS

    def __init__(self, node: Keeping, item: Item) -> None:
        self.target = item.target
        self._node = node
        self._item = item

    async def full(self, fresh: Collection[Endpoint]) -> Round:
        node, item = self._node, self._item
        found = await node._survey(item.target, item.salt, None, node._write_lookup)
        newer = self._newer(found)
        if newer is not None:
            return Round(frozenset(), newer=newer)
        chosen = writable(found.lookup, None, KEPT_COPIES)
        untouched = self._holders(found) & set(fresh)
        outcomes = await asyncio.gather(*(
            node._put_at(place, item, None) for place in chosen if place.contact.endpoint not in untouched))
        written = accepted(outcomes)
        if not written and not untouched:
            raise DHTError(f"none of {len(chosen)} nodes accepted {item.target}")
        return Round(written | untouched, written)

    async def probe(self, holders: Collection[Endpoint]) -> Round:
        try:
            found = await self._node._survey(self._item.target, self._item.salt, list(holders), self._node._lookup)
        except LookupFailed:
            return Round(frozenset())
        return Round(self._holders(found), newer=self._newer(found))

    def _holders(self, found: ItemReport) -> frozenset[Endpoint]:
        return frozenset(copy.contact.endpoint for copy in found.copies
                         if (copy.item.raw, copy.item.seq) == (self._item.raw, self._item.seq))

    def _newer(self, found: ItemReport) -> Item | None:
        newest = found.newest
        if newest is None or newest.seq is None or self._item.seq is None or newest.seq <= self._item.seq:
            return None
        return newest


def accepted(outcomes: Collection[WriteOutcome]) -> frozenset[Endpoint]:
    return frozenset(outcome.contact.endpoint for outcome in outcomes if outcome.accepted)
