"""Metadata fetched from real torrents that libtorrent and Transmission seed, among dead peers and peers that lie."""
from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastdht import bencode
from fastdht.crawl.metadata.bulk import MetadataRecord, MetadataRun, Wanted
from fastdht.crawl.metadata.fetch import Fetcher, FetchConfig
from fastdht.types import Endpoint, InfoHash
from tests.conftest import SEED
from tests.interop.conftest import demand
from tests.interop.peers.process import until
from tests.interop.peers.transmission import Transmission

lt = pytest.importorskip("libtorrent", reason="libtorrent is not installed: pip install 'fastdht[interop]'")
pytestmark = pytest.mark.interop

TORRENTS = 40
SETTINGS = {"enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
            "listen_interfaces": "127.77.0.1:0", "alert_mask": 0, "active_seeds": -1, "active_limit": -1,
            "connections_limit": 500, "allow_multiple_connections_per_ip": True}
CONFIG = FetchConfig(connect_s=1.0, silence_s=2.0, stagger_s=0.2, per_ip=50)
# Transmission shakes hands with one connection of an address at a time, and takes seconds for a piece of metadata.
PATIENT = replace(CONFIG, silence_s=10.0, per_ip=1)
AT_TRANSMISSION = 5         # torrents that it works on at a time, by default


def make_torrents(count: int) -> dict[bytes, bytes]:
    """Info dictionaries of different sizes, some of several pieces of metadata, by hash."""
    rng = random.Random(SEED)
    torrents = {}
    for i in range(count):
        pieces = rng.choice([1, 10, 900, 3000])
        info = {b"name": b"torrent %d" % i, b"length": 16384 * pieces, b"piece length": 16384,
                b"pieces": rng.randbytes(20 * pieces)}
        encoded = bencode.encode(info)
        torrents[hashlib.sha1(encoded).digest()] = encoded
    return torrents


@pytest.fixture
def seeded(tmp_path: Path) -> Iterator[tuple[dict[bytes, bytes], Endpoint]]:
    torrents = make_torrents(TORRENTS)
    session = lt.session(SETTINGS)
    for encoded in torrents.values():
        settings: Any = lt.add_torrent_params()
        settings.ti = lt.torrent_info(lt.bdecode(b"d4:info" + encoded + b"e"))
        settings.save_path = str(tmp_path)
        settings.flags = lt.torrent_flags.upload_mode       # nothing to seed but the metadata
        session.add_torrent(settings)
    yield torrents, Endpoint("127.77.0.1", session.listen_port())
    del session


@asynccontextmanager
async def liar(reply: bytes) -> AsyncIterator[Endpoint]:
    """A peer that answers whatever it hears first with `reply`, and then nothing."""
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(reply)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.77.0.2", 0)
    async with server:
        yield Endpoint("127.77.0.2", server.sockets[0].getsockname()[1])


def dead_endpoint() -> Endpoint:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.77.0.3", 0))
        return Endpoint("127.77.0.3", probe.getsockname()[1])


async def collect(wanted: list[Wanted], config: FetchConfig = CONFIG) -> dict[str, tuple[MetadataRecord, bytes | None]]:
    kept: dict[str, tuple[MetadataRecord, bytes | None]] = {}

    def keep(record: MetadataRecord, metadata: bytes | None) -> None:
        assert record.info_hash not in kept
        kept[record.info_hash] = record, metadata

    summary = await MetadataRun(config, keep, parallel=20).run(wanted)
    assert summary.hashes == len(wanted) == len(kept)
    return kept


@pytest.mark.asyncio
async def test_every_seeded_torrent_is_fetched_past_dead_and_lying_peers(
        seeded: tuple[dict[bytes, bytes], Endpoint]) -> None:
    torrents, seed = seeded
    async with liar(b"HTTP/1.0 200 OK\r\n\r\n") as web, liar(b"") as mute:
        bad = [dead_endpoint(), web, mute]
        rng = random.Random(SEED)
        wanted = [Wanted(InfoHash(key), (*rng.sample(bad, rng.randrange(4)), seed)) for key in torrents]
        kept = await collect(wanted)
    for key, encoded in torrents.items():
        record, metadata = kept[key.hex()]
        assert (record.status, metadata) == ("ok", encoded), record
        assert record.name == bencode.decode(encoded)[b"name"].decode()
        assert record.client is not None
        assert "libtorrent" in record.client


@pytest.fixture
def transmission(tmp_path: Path) -> Iterator[tuple[dict[bytes, bytes], Endpoint]]:
    """A daemon that has torrents, none of their data."""
    demand("transmission")
    torrents = make_torrents(AT_TRANSMISSION)
    daemon = Transmission("127.77.0.5", tmp_path / "transmission")
    daemon.start([])
    try:
        for encoded in torrents.values():
            metainfo = base64.b64encode(b"d4:info" + encoded + b"e").decode()
            added = until(lambda metainfo=metainfo: daemon.rpc("torrent-add", metainfo=metainfo), "transmission listens")
            assert added["result"] == "success", added
        yield torrents, daemon.endpoint
    finally:
        daemon.stop()


@pytest.mark.asyncio
async def test_torrents_of_transmission_are_fetched_among_dead_peers(
        transmission: tuple[dict[bytes, bytes], Endpoint]) -> None:
    torrents, seed = transmission
    kept = await collect([Wanted(InfoHash(key), (dead_endpoint(), seed)) for key in torrents], PATIENT)
    for key, encoded in torrents.items():
        record, metadata = kept[key.hex()]
        assert (record.status, metadata) == ("ok", encoded), record
        assert record.client is not None
        assert "Transmission" in record.client


@pytest.mark.asyncio
async def test_torrent_that_nobody_has_gives_a_record_with_the_reason(
        seeded: tuple[dict[bytes, bytes], Endpoint]) -> None:
    _, seed = seeded
    kept = await collect([Wanted(InfoHash(bytes(20)), (seed,)), Wanted(InfoHash(b"\1" * 20), ()),
                          Wanted(InfoHash(b"\2" * 20), (dead_endpoint(),))])
    statuses = {key[:2]: (record.status, record.tried, metadata) for key, (record, metadata) in kept.items()}
    assert statuses == {"00": ("failed", 1, None), "01": ("no_peers", 0, None), "02": ("failed", 1, None)}


@pytest.mark.asyncio
async def test_connections_to_one_address_are_bounded() -> None:
    open_now, most = 0, 0

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await reader.read()
        open_now -= 1
        writer.close()

    server = await asyncio.start_server(hold, "127.77.0.4", 0)
    async with server:
        peer = Endpoint("127.77.0.4", server.sockets[0].getsockname()[1])
        fetcher = Fetcher(FetchConfig(per_ip=3, silence_s=0.2))
        reports = await asyncio.gather(*(fetcher.fetch(bytes([i]) * 20, [peer]) for i in range(9)))
    assert most == 3
    assert [report.attempts[0].error for report in reports] == ["no answer in time"] * 9
    assert fetcher._addresses == {}
