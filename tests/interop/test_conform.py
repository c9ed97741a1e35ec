"""What `fastdht conform` finds at other people's nodes is what they are known to do, no more and no less."""
from __future__ import annotations

import asyncio
from random import Random

import pytest

from fastdht import Endpoint
from fastdht.conform import Report, Scene, Verdict, examine, open_asker
from tests.interop.conftest import demand
from tests.interop.known import DEVIATIONS, LACKS
from tests.interop.peers import KINDS
from tests.interop.wire import Asker

pytestmark = [pytest.mark.interop, pytest.mark.slow]     # three tries at each question that a peer leaves unanswered
RATE = 30.0                 # slow enough that who pings strangers has pinged us before we look whether we are listed
TIMEOUT_S = 0.7


async def examine_at(endpoint: Endpoint, seed: int) -> Report:
    async with open_asker(endpoint, RATE, TIMEOUT_S) as asker:
        scene = Scene(endpoint, asker.local, Random(seed))
        asker.on_ping = scene.prove
        return await examine(scene, asker.exchange)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_peer_when_examined_then_deviates_as_is_known(name, tmp_path, seed):
    demand(name)
    number = sorted(KINDS).index(name) + 1
    asker = Asker(f"127.86.{number}.2")
    peer = KINDS[name](f"127.86.{number}.1", tmp_path)
    try:
        peer.start([asker.endpoint])
        peer.wait_until_up(asker)
        report = asyncio.run(examine_at(peer.endpoint, seed))
    finally:
        peer.stop()
        asker.close()
    found = {each.name: each.reason for each in report.deviations}
    known = DEVIATIONS[name]
    assert found.keys() == known.keys(), found
    assert {check: found[check] for check, (words, _) in known.items() if words not in found[check]} == {}
    kept = {each.bep for each in report.results if each.verdict is Verdict.CONFORMS}
    assert {5, 32, 33, 42, 43, 44, 51} - kept == LACKS[name]
