"""What `fastdht conform` finds at other people's nodes is what they are known to do, no more and no less."""
from __future__ import annotations

import asyncio
from random import Random

import pytest

from fastdht.conform import Report, Scene, Verdict, examine, open_asker
from tests.interop.conftest import demand
from tests.interop.known import DEVIATIONS
from tests.interop.peers.libtorrent import Libtorrent
from tests.interop.wire import Asker

pytestmark = pytest.mark.interop
IP = "127.86.1.1"


@pytest.fixture
def libtorrent(tmp_path):
    demand("libtorrent")
    peer = Libtorrent(IP, tmp_path)
    asker = Asker("127.86.2.1")
    peer.start([])
    try:
        peer.wait_until_up(asker)
        yield peer
    finally:
        peer.stop()
        asker.close()


async def examine_peer(peer: Libtorrent, seed: int) -> Report:
    async with open_asker(peer.endpoint, 0, 200.0, 1.0) as asker:
        scene = Scene(peer.endpoint, asker.local, Random(seed))
        asker.on_ping = scene.prove
        return await examine(scene, asker.exchange)


def test_libtorrent_when_examined_then_deviates_as_is_known(libtorrent, seed):
    report = asyncio.run(examine_peer(libtorrent, seed))
    found = {each.name: each.reason for each in report.deviations}
    known = DEVIATIONS["libtorrent"]
    assert found.keys() == known.keys(), found
    assert {name: words for name, (words, _) in known.items() if words not in found[name]} == {}
    assert {each.bep for each in report.results if each.verdict in (Verdict.UNSUPPORTED, Verdict.SILENT)} == set()
