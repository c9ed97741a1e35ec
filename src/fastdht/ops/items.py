"""Items: get and put of BEP 44. Rate class: lookup and command.

Invariants: every value is checked against its target, and every signature verified, before anybody sees it, in the
caller's own task and never on the packet path. A write never hides that somebody else has written: what a node
answers stands in the WriteReport. Source: BEP 44.

A compare-and-swap holds at each node by itself. `cas` is sent to nodes that returned a value: the caller's, or the
seq that the node holds when that is less, since a copy that is merely stale is no conflict. Nodes without one get no
`cas`, as BEP 44 asks.
"""
from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fastdht import crypto
from fastdht.config import LookupConfig
from fastdht.engine.bridge import closed_error
from fastdht.errors import DHTError, LocalProtocolError, NotFound, WriteRejected
from fastdht.items import (
    KEY_SIZE, MAX_SEQ, ItemReader, Signer, check_salt, check_seq, check_size, check_value, make_item, sign_item)
from fastdht.ops.asking import GET, PUT, Asking, writable
from fastdht.persist.state import Capability
from fastdht.stats import ClosestContact, ItemCopy, ItemReport, LookupReport, WriteOutcome, WriteReport
from fastdht.types import Endpoint, Item, NodeId

To = Iterable[Endpoint | str] | None


class ItemCalls(Asking):
    """get, get_mutable, find_item, put, put_mutable, put_item."""

    async def get(self, target: bytes, *, salt: bytes = b"", seq: int | None = None, to: To = None) -> Item:
        """The item under a 20-byte target: an immutable one as soon as one node has it, else the newest mutable one.

        salt: what a mutable item was stored with (at most 64 bytes); nodes do not tell it. seq: the least acceptable
        one of a mutable item, checked here. to: ask exactly these nodes, at most 96.
        Raises NotFound when no node holds it, LookupFailed when no node answered, LocalProtocolError for a salt or seq
        outside its limits, SodiumMissing when a signature is to be verified and no library can. Source: BEP 44.
        """
        if seq is not None:
            check_seq(seq)
        report = await self._survey(target, salt, to, self._lookup, is_immutable_enough=True)
        item = report.newest
        if item is None:
            raise NotFound(f"none of {report.lookup.responses} nodes holds {report.target}", report)
        if seq is not None and item.seq is not None and item.seq < seq:
            raise NotFound(f"the newest of {report.target} has seq {item.seq}; at least {seq} wanted", report)
        return item

    async def get_mutable(self, public_key: bytes, *, salt: bytes = b"", seq: int | None = None, to: To = None) -> Item:
        """The newest item of a 32-byte public key and salt, its signature verified; otherwise as `get`."""
        check_size("public key", public_key, KEY_SIZE)
        check_salt(salt)
        return await self.get(crypto.mutable_target(public_key, salt), salt=salt, seq=seq, to=to)

    async def find_item(self, target: bytes, *, salt: bytes = b"", to: To = None) -> ItemReport:
        """Every valid copy under a target, and which node holds it, as health checks need; no copy is no error.

        Raises LookupFailed when no node answered. Source: BEP 44.
        """
        return await self._survey(target, salt, to, self._lookup)

    async def put(self, value: object, *, to: To = None) -> WriteReport:
        """Store bytes, text, an integer, a list or a dictionary under its hash: the report's `target`.

        It is forgotten after about two hours unless put again. to: store at exactly these nodes.
        Raises LocalProtocolError for more than 999 bytes encoded or another type, LookupFailed when no node answered,
        WriteRejected when none accepted. Source: BEP 44.
        """
        return await self.put_item(make_item(value), to=to)

    async def put_mutable(self, key: Signer, value: object, *, salt: bytes = b"", seq: int | None = None,
                          cas: int | None = None, to: To = None) -> WriteReport:
        """Sign a value and store it under the key and salt (at most 64 bytes).

        seq: 0 to 2^63 - 1, higher than what is stored; by default one more than cas, or than the newest that nodes
        hold. cas: write only over this seq: where another writer was first, nodes answer 301 or 302, which the
        report's `conflicts` hold. Raises as `put`.
        """
        check_salt(salt)
        if seq is None and cas is not None:
            seq = next_seq(cas)
        check_cas(cas)
        if seq is not None:
            return await self.put_item(sign_item(key, value, seq=seq, salt=salt), cas=cas, to=to)
        sign_item(key, value, seq=0, salt=salt)         # what is wrong with it is said before anybody is asked
        target = crypto.mutable_target(bytes(key.public_key), salt)
        nodes = None if to is None else list(to)
        found = await self._survey(target, salt, nodes, self._write_lookup)
        newest = found.newest
        seq = 1 if newest is None or newest.seq is None else next_seq(newest.seq)
        return await self._put(sign_item(key, value, seq=seq, salt=salt), None, nodes, found)

    async def put_item(self, item: Item, *, cas: int | None = None, to: To = None) -> WriteReport:
        """Store an item that is made, or signed, already; anybody may put a signed item again. Raises as `put`."""
        check_value(item.raw)
        check_cas(cas)
        if cas is not None and not item.is_mutable:
            raise LocalProtocolError("cas is for mutable items; an immutable one has no other value")
        nodes = None if to is None else list(to)
        return await self._put(item, cas, nodes, await self._survey(item.target, item.salt, nodes, self._write_lookup))

    async def _survey(self, target: bytes, salt: bytes, to: To, config: LookupConfig, *,
                      is_immutable_enough: bool = False) -> ItemReport:
        """Look for all copies; an immutable one may end it, as there can be no other."""
        check_salt(salt)
        lookup = self._read(GET, NodeId(target), to, config)
        reader = ItemReader(target, salt)
        if is_immutable_enough:
            lookup.stop_when(lambda answer: reader.holds_immutable(answer.slots))
        copies = []
        try:
            async for answer in lookup.answers():
                item = reader.read(answer.slots)
                if item is not None:
                    copies.append(ItemCopy(answer.contact, item))
        finally:
            lookup.cancel()             # ends it at once where nobody else shares it; one that has ended stays ended
        report = lookup.report or LookupReport(NodeId(target), "cancelled", 0, ())      # others go on with it
        if not copies and report.outcome == "cancelled":
            raise closed_error()
        return ItemReport(NodeId(target), tuple(copies), report)

    async def _put(self, item: Item, cas: int | None, to: To, found: ItemReport) -> WriteReport:
        """Write to the closest of a survey that gave a token, and tell what each answered."""
        held = {copy.contact.endpoint: copy.item.seq for copy in found.copies}
        chosen = writable(found.lookup, to)
        outcomes = await asyncio.gather(*(
            self._put_at(node, item, cas_for(cas, held.get(node.contact.endpoint))) for node in chosen))
        written = WriteReport(item.target, tuple(outcomes), found.lookup, item.seq)
        if not written.accepted:
            raise WriteRejected(f"none of {len(outcomes)} nodes accepted {item.target}{why_not(written)}", written)
        return written

    async def _put_at(self, found: ClosestContact, item: Item, cas: int | None) -> WriteOutcome:
        """Write to one node. A conflict that answers a repetition may be with ourselves, whose answer was lost."""
        outcome, is_repeated = await self._write_to(
            found, PUT, target=bytes(item.target), value=item.raw, key=item.public_key, salt=item.salt or None,
            seq=item.seq, signature=item.signature, cas=cas)
        if outcome.accepted:
            self._note(found.contact, Capability.ITEMS)
        if is_repeated and outcome.is_conflict and await self._holds(found, item):
            return WriteOutcome(found.contact, None)
        return outcome

    async def _holds(self, found: ClosestContact, item: Item) -> bool:
        try:
            answer, _ = await self._query(GET, found.contact.endpoint, target=bytes(item.target))
        except DHTError:
            return False
        return answer.get("seq") == item.seq and answer.get("value") == item.raw


def cas_for(cas: int | None, held: int | None) -> int | None:
    """The `cas` for a node that returned seq `held`, or nothing."""
    return None if cas is None or held is None else min(cas, held)


def check_cas(cas: int | None) -> None:
    if cas is not None:
        check_seq(cas, "cas")


def next_seq(seq: int) -> int:
    if seq >= MAX_SEQ:
        raise LocalProtocolError(f"seq {seq} is the last one of BEP 44; the key and salt can be written no more")
    return seq + 1


def why_not(written: WriteReport) -> str:
    reasons = dict.fromkeys(outcome.error for outcome in written.outcomes if outcome.error)
    return f": {'; '.join(list(reasons)[:3])}" if reasons else ""
