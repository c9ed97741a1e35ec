"""Fetching metadata from several peers of a torrent, politely. Rate class: command.

Peers are tried one after the other, the next one as soon as one has failed or has kept us waiting for `stagger_s`; at
most `parallel_peers` work for one torrent at a time, and the first whole metadata ends the rest. Connections are
bounded in total and per address: a peer behind many torrents is no reason to knock a hundred times at once.
Only TCP: peers that speak uTP alone count as unreachable.
"""
from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from fastdht.crawl.metadata.session import MetadataSession, PeerFault, SessionState
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

READ_SIZE = 65_536
CLIENT_PREFIX = b"-FD0001-"     # of the peer id (BEP 20)


@dataclass(frozen=True, slots=True)
class FetchConfig:
    """Limits of fetching. Raises ConfigError."""

    max_size: int = 16 << 20        # bytes of one torrent's metadata; the largest honest ones are near 10 MiB
    parallel_peers: int = 3         # of one torrent at a time
    max_peers: int = 20             # tried for one torrent before it is given up
    connections: int = 400          # at a time, in all
    per_ip: int = 8                 # at a time, to one address
    connect_s: float = 3.0
    silence_s: float = 6.0          # without a byte
    total_s: float = 60.0           # for one connection
    stagger_s: float = 1.0          # before the next peer is tried beside a slow one

    def __post_init__(self) -> None:
        for name in ("max_size", "parallel_peers", "max_peers", "connections", "per_ip"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; at least 1")
        for name in ("connect_s", "silence_s", "total_s", "stagger_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)} s; more than 0")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one connection: `error` is None where it brought the metadata."""

    peer: Endpoint
    error: str | None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What became of one torrent: its metadata (the bencoded info dictionary, hash checked) or None."""

    info_hash: bytes
    metadata: bytes | None
    attempts: tuple[Attempt, ...] = field(default_factory=tuple)

    @property
    def peer(self) -> Endpoint | None:
        """Who sent it."""
        return next((attempt.peer for attempt in self.attempts if attempt.error is None), None)


class Fetcher:
    """Fetches the metadata of many torrents under common limits."""

    def __init__(self, config: FetchConfig) -> None:
        self.config = config
        self.outcomes: Counter[str] = Counter()         # of connections
        self._peer_id = CLIENT_PREFIX + os.urandom(12)
        self._connections = asyncio.Semaphore(config.connections)
        self._addresses: dict[str, tuple[asyncio.Semaphore, list[int]]] = {}    # only those in use

    async def fetch(self, info_hash: bytes, peers: Sequence[Endpoint]) -> FetchReport:
        """Try the peers until one has sent metadata with the right hash; never raises for what they do."""
        waiting = list(dict.fromkeys(peers))[:self.config.max_peers]
        waiting.reverse()
        attempts: list[Attempt] = []
        metadata: bytes | None = None
        running: dict[asyncio.Task[bytes], tuple[Endpoint, MetadataSession]] = {}
        try:
            while (waiting or running) and metadata is None:
                if waiting and len(running) < self.config.parallel_peers:
                    peer = waiting.pop()
                    session = MetadataSession(info_hash, self._peer_id, self.config.max_size)
                    running[asyncio.create_task(self._connect(peer, session))] = peer, session
                more = waiting and len(running) < self.config.parallel_peers
                done, _ = await asyncio.wait(running, timeout=self.config.stagger_s if more else None,
                                             return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    peer, session = running.pop(task)
                    kind, error = explain(task.exception())
                    attempts.append(Attempt(peer, error, session.client))
                    self.outcomes[kind] += 1
                    metadata = metadata or session.metadata
        finally:
            await stop(running)
        return FetchReport(info_hash, metadata, tuple(attempts))

    async def _connect(self, peer: Endpoint, session: MetadataSession) -> bytes:
        """One connection, from its place in the queue to its end. Raises PeerFault, OSError, TimeoutError."""
        async with self._place(peer.ip):
            async with asyncio.timeout(self.config.connect_s):
                reader, writer = await asyncio.open_connection(peer.ip, peer.port)
            try:
                async with asyncio.timeout(self.config.total_s):
                    return await self._converse(session, reader, writer)
            finally:
                writer.transport.abort()        # nothing of ours waits to be sent

    async def _converse(self, session: MetadataSession, reader: asyncio.StreamReader,
                        writer: asyncio.StreamWriter) -> bytes:
        writer.write(session.start())
        while session.metadata is None:
            async with asyncio.timeout(self.config.silence_s):
                data = await reader.read(READ_SIZE)
            if not data:
                raise PeerFault(HANG_UPS[session.state])
            writer.write(session.receive(data))
        return session.metadata

    @contextlib.asynccontextmanager
    async def _place(self, ip: str) -> AsyncIterator[None]:
        """One of the places for connections to this address, then one of all."""
        places, users = self._addresses.setdefault(ip, (asyncio.Semaphore(self.config.per_ip), [0]))
        users[0] += 1
        try:
            async with places, self._connections:
                yield
        finally:
            users[0] -= 1
            if not users[0]:
                del self._addresses[ip]


HANG_UPS = {
    SessionState.HANDSHAKE: "hung up before its handshake",
    SessionState.EXTENDED: "hung up before its extension handshake",
    SessionState.PIECES: "hung up before the last piece",
}


async def stop(tasks: dict[asyncio.Task[bytes], tuple[Endpoint, MetadataSession]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def explain(error: BaseException | None) -> tuple[str, str | None]:
    """The kind of a failure, of which there are few, and what exactly went wrong; None where nothing did."""
    if error is None:
        return "ok", None
    if isinstance(error, PeerFault):
        return "fault", str(error)
    if isinstance(error, TimeoutError):
        return "timeout", "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "refused", "refused the connection"
    if isinstance(error, OSError):
        return "unreachable", f"cannot be reached: {error.strerror or error}"
    raise error
