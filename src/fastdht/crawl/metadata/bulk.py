"""Metadata of many torrents: from lines of hashes to records and .torrent files. Rate class: command.

Input is read as it is needed, so that a list may be longer than memory. A hash whose line names no peers is looked up
first, where there is somebody to ask. Every hash gives exactly one record, also when nothing was found.
"""
from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from fastdht.blocklist import Blocklist
from fastdht.crawl.metadata.fetch import FetchConfig, Fetcher, FetchReport
from fastdht.crawl.metadata.torrent import describe
from fastdht.errors import DecodeError, LookupFailed
from fastdht.types import Endpoint, InfoHash

MAX_LINE = 65_536           # characters; some thousand peers
WAITING = 2                 # hashes read ahead, per one that is being worked on


class Wanted(NamedTuple):
    """One line of input."""

    info_hash: InfoHash
    peers: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class MetadataRecord:
    """What became of one hash.

    status: ok, no_peers, failed (all peers tried) or unreadable (the hash is right, but it is no torrent).
    """

    info_hash: str
    status: str
    name: str | None = None
    size: int | None = None             # bytes of content
    files: int | None = None
    piece_length: int | None = None
    private: bool | None = None
    version: str | None = None
    metadata_size: int | None = None
    peers: int = 0                      # known
    tried: int = 0
    seconds: float = 0.0
    client: str | None = None           # of the peer that sent it
    error: str | None = None            # of the last peer tried, where none sent it


@dataclass(slots=True)
class MetadataSummary:
    """The whole run."""

    hashes: int = 0
    fetched: int = 0
    bytes: int = 0
    elapsed_s: float = 0.0
    by_status: Counter[str] = field(default_factory=Counter)
    connections: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        return {"hashes": self.hashes, "fetched": self.fetched, "bytes": self.bytes,
                "elapsed_s": round(self.elapsed_s, 3),
                "fetched_per_s": round(self.fetched / max(self.elapsed_s, 1e-6), 3),
                "by_status": dict(self.by_status), "connections": dict(self.connections)}


FindPeers = Callable[[InfoHash], Awaitable[Sequence[Endpoint]]]
Keep = Callable[[MetadataRecord, bytes | None], None]       # the record, and the metadata where there is some


class MetadataRun:
    """Works through hashes, `parallel` at a time; `keep` gets each record as it is done, `find` looks for peers.

    Who is on the `blocklist` is no peer, wherever it was named.
    """

    def __init__(self, config: FetchConfig, keep: Keep, find: FindPeers | None = None, *, parallel: int = 200,
                 blocklist: Blocklist | None = None) -> None:
        self.summary = MetadataSummary()
        self.is_stopped = False
        self._fetcher = Fetcher(config)
        self._keep = keep
        self._find = find
        self._parallel = parallel
        self._blocklist = blocklist

    def stop(self) -> None:
        """Take no further hashes; those being worked on are finished."""
        self.is_stopped = True

    async def run(self, wanted: Iterable[Wanted]) -> MetadataSummary:
        """Work through all of `wanted`; raises what reading them or keeping a record raises."""
        started = time.monotonic()
        queue: asyncio.Queue[Wanted | None] = asyncio.Queue(WAITING * self._parallel)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._feed(iter(wanted), queue))
                for _ in range(self._parallel):
                    group.create_task(self._work(queue))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self.summary.connections = self._fetcher.outcomes
        self.summary.elapsed_s = time.monotonic() - started
        return self.summary

    async def _feed(self, wanted: Iterator[Wanted], queue: asyncio.Queue[Wanted | None]) -> None:
        while not self.is_stopped:
            each = await asyncio.to_thread(next, wanted, None)      # a pipe may keep us waiting
            if each is None:
                break
            await queue.put(each)
        for _ in range(self._parallel):
            await queue.put(None)

    def _allowed(self, peers: Sequence[Endpoint]) -> Sequence[Endpoint]:
        if self._blocklist is None:
            return peers
        return [peer for peer in peers if peer.ip not in self._blocklist]

    async def _work(self, queue: asyncio.Queue[Wanted | None]) -> None:
        while (each := await queue.get()) is not None:
            started = time.monotonic()
            peers = self._allowed(each.peers or await self._look_up(each.info_hash))
            report = await self._fetcher.fetch(each.info_hash, peers)
            record = judge(report, len(peers), time.monotonic() - started)
            self.summary.hashes += 1
            self.summary.by_status[record.status] += 1
            if report.metadata is not None:
                self.summary.fetched += 1
                self.summary.bytes += len(report.metadata)
            self._keep(record, report.metadata)

    async def _look_up(self, info_hash: InfoHash) -> Sequence[Endpoint]:
        if self._find is None:
            return ()
        try:
            return await self._find(info_hash)
        except LookupFailed:
            return ()


def judge(report: FetchReport, peers: int, seconds: float) -> MetadataRecord:
    """The record of one hash."""
    record = partial(MetadataRecord, info_hash=report.info_hash.hex(), peers=peers, tried=len(report.attempts),
                     seconds=round(seconds, 3))
    if report.metadata is None:
        last = report.attempts[-1].error if report.attempts else None
        return record(status="failed" if peers else "no_peers", error=last)
    client = next((each.client for each in report.attempts if each.error is None), None)
    try:
        info = describe(report.metadata)
    except DecodeError as error:
        return record(status="unreadable", error=str(error))
    return record(
        status="ok", name=info.name, size=info.size, files=info.files, piece_length=info.piece_length,
        private=info.is_private, version=info.version, metadata_size=len(report.metadata), client=client)


def read_wanted(lines: Iterable[str]) -> Iterator[Wanted]:
    """Parse lines of `HASH [IP:PORT …]`, or JSON objects with info_hash and peers, as `crawl peers` writes them.

    Blank lines and those that start with # are skipped. Raises DecodeError, naming the line.
    """
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if len(text) > MAX_LINE:
            raise DecodeError(f"line {number} has {len(text)} characters; {MAX_LINE} are allowed")
        try:
            yield parse_object(text) if text.startswith("{") else parse_words(text.split())
        except DecodeError as error:
            raise DecodeError(f"line {number}: {error}") from None


def parse_words(words: Sequence[str]) -> Wanted:
    return Wanted(InfoHash.parse(words[0]), tuple(Endpoint.parse(word) for word in words[1:]))


def parse_object(text: str) -> Wanted:
    try:
        values = json.loads(text)
        return parse_words([values["info_hash"], *values.get("peers", [])])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DecodeError):
            raise
        raise DecodeError(f"no object with info_hash and peers: {error!r}") from None
