"""One libtorrent node that stores what we write: items of BEP 44 with salt and cas, scrapes (BEP 33), samples (BEP 51)."""
from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from fastdht import InfoHash, Node, NotFound, WriteRejected, crypto, sign_item
from tests.conftest import SEED

lt = pytest.importorskip("libtorrent", reason="libtorrent is not installed: pip install libtorrent")

from tests.interop.peers.children.libtorrent_session import open_session  # noqa: E402

NET = ["127.0.0.0/8"]
KEY = crypto.SigningKey.from_seed(bytes(range(32)))


@pytest.fixture(scope="module")
def remote():
    """The endpoint of a running libtorrent node, and its session."""
    session = open_session("127.79.1.1:0")
    deadline = time.monotonic() + 30
    while not session.listen_port() and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"127.79.1.1:{session.listen_port()}", session
    session.pause()


def run(endpoint, main, *, clients: int = 1):
    """Run `main(nodes)` with our nodes, once libtorrent answers."""
    async def body():
        nodes = [Node(f"127.79.{10 + number}.1:0", bootstrap=(), allow_net=NET, limits="off")
                 for number in range(clients)]
        try:
            for node in nodes:
                await node.start()
                await node.ping(endpoint)
            return await main(*nodes)
        finally:
            for node in nodes:
                await node.close()

    return asyncio.run(asyncio.wait_for(body(), 100))


def test_immutable_item_when_put_then_libtorrent_returns_it(remote):
    value = [Random(SEED).randbytes(100), {"n": -5}]

    async def main(node):
        report = await node.put(value, to=[remote[0]])
        return report, await node.get(report.target, to=[remote[0]])

    report, item = run(remote[0], main)
    assert report.accepted == 1
    assert item.value == [value[0], {b"n": -5}]


@pytest.mark.parametrize("salt", [b"", b"foobar", b"s" * 64])
def test_mutable_item_when_put_then_libtorrent_returns_it_and_keeps_the_newer(remote, salt):
    async def main(node):
        await node.put_mutable(KEY, b"one", seq=1, salt=salt, to=[remote[0]])
        await node.put_mutable(KEY, b"two", salt=salt, to=[remote[0]])
        with pytest.raises(WriteRejected) as older:
            await node.put_mutable(KEY, b"old", seq=1, salt=salt, to=[remote[0]])
        with pytest.raises(WriteRejected) as other:
            await node.put_mutable(KEY, b"three", seq=3, cas=1, salt=salt, to=[remote[0]])
        codes = [error.value.report.conflicts[0].code for error in (older, other)]
        return codes, await node.get_mutable(KEY.public_key, salt=salt, to=[remote[0]])

    codes, item = run(remote[0], main)
    assert codes == [302, 301]
    assert (item.seq, item.value) == (2, b"two")


def test_mutable_item_when_a_signature_is_forged_then_libtorrent_says_206(remote):
    item = sign_item(KEY, b"good", seq=1, salt=b"forged")
    forged = type(item)(item.target, b"evil", b"4:evil", item.public_key, item.salt, 1, item.signature)

    async def main(node):
        with pytest.raises(WriteRejected) as caught:
            await node.put_item(forged, to=[remote[0]])
        with pytest.raises(NotFound):
            await node.get(item.target, salt=b"forged", to=[remote[0]])
        return caught.value.report.outcomes[0].code

    assert run(remote[0], main) == 206


def test_two_writers_when_libtorrent_stores_then_no_update_is_lost(remote):
    async def count_up(node) -> int:
        tries = 0
        for _ in range(500):
            while True:
                tries += 1
                held = await node.get_mutable(KEY.public_key, salt=b"count", to=[remote[0]])
                try:
                    await node.put_mutable(KEY, held.value + 1, cas=held.seq, salt=b"count", to=[remote[0]])
                    break
                except WriteRejected as error:
                    assert error.report.conflicts
        return tries

    async def main(first, second):
        await first.put_mutable(KEY, 0, seq=1, salt=b"count", to=[remote[0]])
        await asyncio.gather(count_up(first), count_up(second))
        return await first.get_mutable(KEY.public_key, salt=b"count", to=[remote[0]])

    item = run(remote[0], main, clients=2)
    assert (item.value, item.seq) == (1000, 1001)


def test_swarm_when_peers_announced_to_libtorrent_then_scrape_and_samples_equal_the_truth(remote):
    info_hash = InfoHash(Random(SEED).randbytes(20))

    async def main(*nodes):
        for number, node in enumerate(nodes):
            await node.announce_peer(info_hash, 7000, seed=number < 5, to=[remote[0]])
        return await nodes[0].scrape(info_hash, to=[remote[0]]), await nodes[0].sample_infohashes(bytes(20), to=[remote[0]])

    swarm, samples = run(remote[0], main, clients=12)
    assert swarm.seeds.low <= 5 <= swarm.seeds.high < 8
    assert swarm.peers.low <= 7 <= swarm.peers.high < 10
    [node] = samples.nodes
    assert info_hash in node.samples
    assert node.num == len(node.samples)            # libtorrent shows up to 20
    assert 0 <= node.interval <= 21_600
