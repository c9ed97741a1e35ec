"""Updatable torrents: publish and follow (BEP 46). Rate class: lookup and command.

A mutable item {"ih": infohash} says what a key and salt name at present. Followers poll, and put it again
every hour: so it outlives its publisher. Nothing that a node sends raises; an item that is not such a
dictionary is passed over, and so is everything older than what was seen.
"""
from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random

from fastdht import crypto
from fastdht.errors import ConfigError, LookupFailed, WriteRejected
from fastdht.items import KEY_SIZE, Signer, check_salt, check_seq, check_size
from fastdht.ops.items import ItemCalls
from fastdht.stats import WriteReport
from fastdht.types import ID_SIZE, InfoHash, Item

log = logging.getLogger(__name__)

POLL_S = 600.0              # a poll is a lookup of some thirty queries
LEAST_POLL_S = 10.0
REPUBLISH_US = 3_600_000_000    # BEP 44: once an hour
JITTER = 0.1
INFO_HASH_KEY = b"ih"


@dataclass(frozen=True, slots=True)
class TorrentUpdate:
    """What a key and salt name since `seq`; `item` is the signed statement, which anybody may put again."""

    info_hash: InfoHash
    seq: int
    item: Item


class Updates(ItemCalls):
    """publish and follow."""

    _entropy: Callable[[int], bytes]

    async def publish(self, key: Signer, info_hash: bytes, *, salt: bytes = b"", seq: int | None = None) -> WriteReport:
        """Say that this key and salt (at most 64 bytes) now name a torrent: 20 bytes, of a v2 torrent the first 20.

        seq: by default one more than the newest that nodes hold. `links.Magnet(public_key=…, salt=…)` makes the link;
        the item lasts two hours unless kept by `keep_published` or followers. Raises as put_mutable. Source: BEP 46.
        """
        return await self.put_mutable(key, {INFO_HASH_KEY: bytes(InfoHash(info_hash))}, salt=salt, seq=seq)

    async def follow(self, public_key: bytes, *, salt: bytes = b"", seq: int = -1, every: float = POLL_S,
                     republish: bool = True) -> AsyncIterator[TorrentUpdate]:
        """Each torrent that this key and salt come to name, newest known first; for ever: `async for`, then `break`.

        seq: only what is newer. every: seconds between polls, at least 10. republish: put the present item again
        once an hour (BEP 46 asks it of followers). A network that does not answer is waited for. Raises
        LocalProtocolError or ConfigError for arguments outside their limits.
        """
        check_size("public key", public_key, KEY_SIZE)
        check_salt(salt)
        if seq != -1:
            check_seq(seq)
        if not every >= LEAST_POLL_S:
            raise ConfigError(f"every is {every} s; at least {LEAST_POLL_S:g}")
        target, rng = crypto.mutable_target(public_key, salt), Random(self._entropy(32))
        present: Item | None = None
        put_us = self._clock()
        while True:
            found = await self._poll(target, salt)
            if found is not None and found.seq is not None and (present is None or found.seq >= (present.seq or 0)):
                present = found
            if present is not None and present.seq is not None and present.seq > seq:
                seq = present.seq
                update = read_update(present)
                if update is not None:
                    yield update
            if republish and present is not None and self._clock() - put_us >= REPUBLISH_US:
                put_us = self._clock()
                await self._put_again(present)
            await asyncio.sleep(every * (1 + JITTER * (2 * rng.random() - 1)))

    async def _poll(self, target: bytes, salt: bytes) -> Item | None:
        try:
            return (await self.find_item(target, salt=salt)).newest
        except LookupFailed as error:
            log.info("following %s: %s", target.hex(), error)
            return None

    async def _put_again(self, present: Item) -> None:
        """Copies do not tell their age, so that even eight of them may all be gone before the next hour."""
        try:
            await self.put_item(present)
        except (LookupFailed, WriteRejected) as error:
            log.info("putting %s again: %s", present.target, error)


def read_update(item: Item) -> TorrentUpdate | None:
    """The torrent that an item names; None for one that names none. Other keys beside "ih" are allowed."""
    value = item.value.get(INFO_HASH_KEY) if isinstance(item.value, dict) else None
    if not isinstance(value, bytes) or len(value) != ID_SIZE or item.seq is None:
        log.info("the item under %s, seq %s, names no torrent", item.target, item.seq)
        return None
    return TorrentUpdate(InfoHash(value), item.seq, item)
