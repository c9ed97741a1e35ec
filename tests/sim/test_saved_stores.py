"""What was stored for others comes back after a restart, as old as it is; what contacts can do is remembered."""
from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fastdht.errors import PersistError
from fastdht.items import make_item
from fastdht.node import Node
from fastdht.persist.state import Capability, load_state
from fastdht.persist.stores import SavedStores, format_stores, load_stores, parse_stores
from fastdht.persist.files import unseal
from fastdht.testing import Testnet
from fastdht.types import Endpoint
from tests.sim.sim_kit import simulate

PLACE = "99.1.2.3:6881"
INFO_HASH = bytes(range(20))
ITEM = make_item(b"value")


def make_node(net: Testnet, path: Path, **options: object) -> Node:
    settings = {"bootstrap": [str(net.nodes[0].endpoints[0])], "state": path, "clock": net.loop.clock,
                "entropy": net.rng.randbytes, "transport": net.network.open, "wall": net.loop.time}
    return Node(PLACE, **settings | options)


@pytest.mark.parametrize(("save_stores", "away_minutes", "peers", "items"), [
    (True, 5, 1, 1), (True, 60, 0, 1), (True, 150, 0, 0), (False, 5, 0, 0)])
def test_stores_when_started_again_then_hold_what_is_not_too_old(fastdht_seed: int, tmp_path: Path, save_stores: bool,
                                                                away_minutes: int, peers: int, items: int) -> None:
    async def main() -> tuple[int, int]:
        async with Testnet(3) as net:
            options = {"save_stores": save_stores}
            async with make_node(net, tmp_path / "state", **options) as node:
                await node.joined()
                await net.nodes[1].announce_peer(INFO_HASH, 7, to=[PLACE])
                await net.nodes[1].put_item(ITEM, to=[PLACE])
            await asyncio.sleep(away_minutes * 60)
            async with make_node(net, tmp_path / "state", **options) as node:
                await asyncio.sleep(1)
                found = await net.nodes[2].get_peers(INFO_HASH, to=[PLACE])
                copies = await net.nodes[2].find_item(ITEM.target, to=[PLACE])
                expected = {Endpoint(net.nodes[1].endpoints[0].ip, 7)}
                return len(expected & set(found.values)), len(copies.copies)

    assert simulate(main, fastdht_seed) == (peers, items)


def test_capabilities_when_contacts_have_shown_them_then_saved(fastdht_seed: int, tmp_path: Path) -> None:
    async def main() -> dict[Endpoint, int]:
        async with Testnet(12) as net:
            async with make_node(net, tmp_path / "state") as node:
                await node.joined()
                await node.put_item(ITEM)
                await node.sample_infohashes(INFO_HASH)
                await asyncio.sleep(30)
            async with make_node(net, tmp_path / "state"):
                await asyncio.sleep(30)     # seen in the first run, kept through the second
            contacts = load_state(tmp_path / "state").sockets[0].contacts
            return {found.endpoint: found.capabilities for found in contacts}

    able = simulate(main, fastdht_seed)
    assert sum(bool(bits & Capability.ITEMS) for bits in able.values()) >= 6
    assert sum(bool(bits & Capability.SAMPLES) for bits in able.values()) >= 6
    assert not any(bits & Capability.SCRAPE for bits in able.values())


def test_stores_file_when_written_then_the_same_and_when_cut_then_refused(tmp_path: Path) -> None:
    stores = SavedStores(1_700_000_000, (("0.0.0.0:0", b"peers", b"items"), ("[::]:0", b"", b"")))
    data = format_stores(stores)
    (tmp_path / "state.stores").write_bytes(data)
    assert load_stores(tmp_path / "state.stores") == stores
    body = unseal(data).body
    for size in range(len(body)):
        with pytest.raises(PersistError):
            parse_stores(body[:size])
    (tmp_path / "state.stores").write_bytes(data[:-1])
    assert load_stores(tmp_path / "state.stores") == SavedStores()
    assert (tmp_path / "state.stores.bad").exists()
