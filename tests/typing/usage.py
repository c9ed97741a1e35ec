"""What users write, as a type checker sees it: read by mypy --strict, never run."""
from __future__ import annotations

from typing import assert_type

import fastdht
import fastdht.items


def values() -> None:
    endpoint = fastdht.Endpoint.parse("192.0.2.1:6881")
    assert_type(endpoint, fastdht.Endpoint)
    assert_type(endpoint.port, int)
    assert_type(endpoint.pack(), bytes)
    info_hash = fastdht.InfoHash.parse("0123456789abcdef0123456789abcdef01234567")
    assert_type(info_hash, fastdht.InfoHash)
    contact = fastdht.Contact(info_hash, endpoint)
    assert_type(contact.id, fastdht.NodeId)


async def calls(node: fastdht.Node, key: fastdht.items.Signer, endpoint: fastdht.Endpoint) -> None:
    target = bytes(20)
    assert_type(node.get_peers(target), fastdht.Lookup)
    async for peer in node.get_peers(target):
        assert_type(peer, fastdht.Endpoint)
    assert_type(await node.get_peers(target), fastdht.LookupReport)
    assert_type(await node.announce_peer(target, 6881), fastdht.WriteReport)
    item = await node.get(target, salt=b"salt", seq=3, to=[endpoint, "192.0.2.1:6881"])
    assert_type(item, fastdht.Item)
    assert_type(item.seq, int | None)
    assert_type(await node.get_mutable(bytes(32), salt=b""), fastdht.Item)
    assert_type((await node.find_item(target)).copies, tuple[fastdht.ItemCopy, ...])
    report = await node.put({"any": [1, b"two", "three"]})
    assert_type(report.target, fastdht.NodeId)
    assert_type([outcome.code for outcome in report.conflicts], list[int | None])
    await node.put_mutable(key, "value", salt=b"salt", seq=4, cas=3)
    await node.put_item(fastdht.sign_item(key, 5, seq=1), cas=None)
    swarm = await node.scrape(target)
    assert_type(swarm.seeds, fastdht.SwarmCount)
    async for each in node.scrape_many([target], concurrency=4):
        assert_type(each, fastdht.Swarm)
    samples = await node.sample_infohashes(target)
    assert_type(samples.info_hashes, tuple[fastdht.InfoHash, ...])
    await node.query("vote", endpoint, {"target": target})
    with node.observe() as observer:
        async for query in observer:
            assert_type(query, fastdht.IncomingQuery)
    node.observe(lambda query: print(query.method))
    assert_type(node.stats(), fastdht.NodeStats)
    assert_type(node.stats().total("received"), int)


async def keeping(node: fastdht.Node, item: fastdht.Item) -> None:
    key = fastdht.SigningKey.generate()
    assert_type(key.sign(b"message"), bytes)
    assert_type(fastdht.load_key("name", "folder"), fastdht.SigningKey)
    async with node.keep_announced(bytes(20), 6881) as announced, node.keep_published(item) as published:
        assert_type(announced, fastdht.KeptAlive)
        assert_type(announced.error, str | None)
        assert_type(await published.ended(), fastdht.Item | None)
    assert_type(await node.publish(key, bytes(20), salt=b"n"), fastdht.WriteReport)
    link = fastdht.Magnet.parse("magnet:?xs=urn:btpk:")
    async for update in node.follow(key.public_key, salt=link.salt):
        assert_type(update, fastdht.TorrentUpdate)
        assert_type(update.info_hash, fastdht.InfoHash)
