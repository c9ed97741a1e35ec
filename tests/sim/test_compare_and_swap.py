"""Two writers of one mutable item: at one storing node no update is lost, at two every conflict stands in a report."""
from __future__ import annotations

import asyncio
from collections import Counter

from fastdht import WriteRejected, WriteReport, crypto
from fastdht.testing import Testnet
from tests.sim.sim_kit import simulate

KEY = crypto.SigningKey.from_seed(bytes(range(32)))


async def write(node, value: object, cas: int, to) -> WriteReport:
    try:
        return await node.put_mutable(KEY, value, cas=cas, to=to)
    except WriteRejected as error:
        return error.report


async def count_up(node, to, turns: int) -> int:
    """Add one to the stored number, `turns` times; how often another writer was ahead."""
    conflicts = 0
    for _ in range(turns):
        while True:
            held = await node.get_mutable(KEY.public_key, to=to)
            report = await write(node, held.value + 1, held.seq, to)
            assert report.accepted + len(report.conflicts) == len(to)
            if report.accepted:
                break
            conflicts += 1
    return conflicts


def test_two_writers_when_one_node_stores_then_none_of_1000_updates_is_lost(fastdht_seed):
    async def main():
        async with Testnet(3, seed=fastdht_seed, options={"limits": "off"}) as net:
            storing, *writers = net.nodes
            to = storing.endpoints
            await writers[0].put_mutable(KEY, 0, seq=0, to=to)
            conflicts = await asyncio.gather(*(count_up(writer, to, 500) for writer in writers))
            return await writers[0].get_mutable(KEY.public_key, to=to), sum(conflicts)

    item, conflicts = simulate(main, fastdht_seed)
    assert (item.value, item.seq) == (1000, 1000)
    assert conflicts > 0


async def note_down(node, name: str, to, turns: int) -> list[tuple[str, WriteReport]]:
    """Write over what was read, `turns` times, whatever comes of it."""
    reports = []
    for _ in range(turns):
        held = await node.get_mutable(KEY.public_key, to=to)
        reports.append((name, await write(node, [name, held.seq], held.seq, to)))
    return reports


def test_two_writers_when_two_nodes_store_then_every_conflict_stands_in_a_report(fastdht_seed):
    async def main():
        async with Testnet(4, seed=fastdht_seed, options={"limits": "off"}) as net:
            to = [node.endpoints[0] for node in net.nodes[:2]]
            first, second = net.nodes[2:]
            await first.put_mutable(KEY, ["nobody", 0], seq=0, to=to)
            written = await asyncio.gather(note_down(first, "a", to, 300), note_down(second, "b", to, 300))
            stored = {endpoint: await first.get_mutable(KEY.public_key, to=[endpoint]) for endpoint in to}
            return to, [each for reports in written for each in reports], stored

    to, written, stored = simulate(main, fastdht_seed)
    conflicts = 0
    for endpoint in to:
        accepted = Counter()
        newest = (0, "nobody")
        for name, report in written:
            [outcome] = [each for each in report.outcomes if each.contact.endpoint == endpoint]
            assert outcome.accepted or outcome.is_conflict
            conflicts += outcome.is_conflict
            if outcome.accepted:
                accepted[report.seq] += 1
                newest = max(newest, (report.seq, name))
        assert set(accepted.values()) == {1}            # nobody was told that a write stands which another replaced unseen
        assert (stored[endpoint].seq, stored[endpoint].value[0].decode()) == newest
    assert conflicts > 0
