"""A node that starts again: its id, its contacts, and what it has learned of the network."""
from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from fastdht._ext.ids import secure_id
from fastdht.config import CoreConfig
from fastdht.node import Node
from fastdht.persist.files import write_file
from fastdht.persist.state import SavedContact, SavedSocket, SavedState, format_state, load_state
from fastdht.testing import Testnet, builders
from fastdht.testing.testnet import choose_table, contact_of
from fastdht.types import Contact, Endpoint, NodeId
from tests.sim.sim_kit import good_contacts, simulate

NODES = 1000
WARM_S = 5.0
WARM_CONTACTS = 30
PLACE = "99.1.2.3:6881"


def make_node(net: Testnet, path: Path, place: str = PLACE, **options: object) -> Node:
    """A node outside the Testnet, with full sizes and nobody to ask but who is in its file."""
    settings = {"bootstrap": (), "config": CoreConfig(), "clock": net.loop.clock, "entropy": net.rng.randbytes,
                "transport": net.network.open, "wall": net.loop.time}
    return Node(place, state=path, **settings | options)


def save_settled(net: Testnet, path: Path) -> set[bytes]:
    """The file of a node whose table has settled; the endpoints it holds."""
    place = Endpoint.parse(PLACE)
    own = Contact(NodeId(secure_id(place.pack(), 1)), place)
    table = choose_table(own, sorted(map(contact_of, net.nodes), key=lambda found: found.id), net.rng)
    contacts = tuple(SavedContact(found.endpoint, found.id, 50_000) for found in table)
    write_file(path, format_state(SavedState((SavedSocket(PLACE, own.id, None, contacts),))))
    return {contact.endpoint.pack() for contact in contacts}


@pytest.mark.parametrize("dead", [0.0, 0.5])
def test_start_when_state_was_kept_then_warm_in_five_seconds(fastdht_seed: int, tmp_path: Path, dead: float) -> None:
    async def main() -> tuple[set[bytes], set[bytes], set[bytes]]:
        async with Testnet(NODES, fill_tables=True) as net:
            saved = save_settled(net, tmp_path / "state")
            await net.kill(dead)
            async with make_node(net, tmp_path / "state") as node:
                await asyncio.sleep(WARM_S)
                return saved, good_contacts(node), {other.endpoints[0].pack() for other in net.nodes}

    saved, warm, alive = simulate(main, fastdht_seed)
    assert len(saved) >= WARM_CONTACTS
    assert len(warm) >= min(WARM_CONTACTS, len(saved & alive))      # chance may leave fewer of them alive
    assert len(saved & alive) > WARM_CONTACTS / 2
    assert warm <= alive            # only who has answered counts


def test_start_when_the_first_run_was_short_then_no_colder_than_it_ended(fastdht_seed: int, tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        async with Testnet(300, fill_tables=True) as net:
            hosts = [str(node.endpoints[0]) for node in net.rng.sample(net.nodes, 3)]
            async with make_node(net, tmp_path / "state", bootstrap=hosts) as node:
                await asyncio.sleep(60)
                before = len(good_contacts(node))
            async with make_node(net, tmp_path / "state") as node:
                await asyncio.sleep(WARM_S)
                return before, len(good_contacts(node))

    before, after = simulate(main, fastdht_seed)
    assert before > 8
    assert after >= 0.9 * before


def test_start_when_state_was_kept_then_same_id_and_external_address(fastdht_seed: int, tmp_path: Path) -> None:
    async def main() -> tuple[list[NodeId], SavedState]:
        async with Testnet(100, fill_tables=True) as net:
            ids = []
            hosts = [str(net.nodes[0].endpoints[0])]
            for _ in range(2):
                async with make_node(net, tmp_path / "state", bootstrap=hosts) as node:
                    await node.joined()
                    await asyncio.sleep(30)
                    ids.append(node.id)
            return ids, load_state(tmp_path / "state")

    ids, state = simulate(main, fastdht_seed)
    assert ids[0] == ids[1]
    assert (state.sockets[0].id, state.sockets[0].external) == (ids[0], "99.1.2.3")
    assert all(found.id is not None and found.rtt_us > 0 for found in state.sockets[0].contacts)


def test_start_when_saved_contacts_are_gone_then_the_table_stays_empty(fastdht_seed: int, tmp_path: Path) -> None:
    """What a file says is a hint: nobody is passed on who has not answered."""
    ghosts = [SavedContact(found.endpoint, found.id, 1) for found in builders.contacts(300, first=1_000_000)]
    write_file(tmp_path / "state", format_state(SavedState((SavedSocket(PLACE, None, None, tuple(ghosts)),))))

    async def main() -> tuple[int, int, tuple[SavedContact, ...]]:
        async with Testnet(2) as net:
            async with make_node(net, tmp_path / "state") as node:
                asked = node.counters()["sent_queries"]
                await asyncio.sleep(60)
                table = len(node.contacts())
                asked = node.counters()["sent_queries"] - asked
            return table, asked, load_state(tmp_path / "state").sockets[0].contacts

    table, asked, kept = simulate(main, fastdht_seed)
    assert table == 0
    assert 300 <= asked <= 600
    assert len(kept) == 300         # a run without a network costs nothing


def test_run_when_it_lasts_then_saved_about_every_five_minutes(fastdht_seed: int, tmp_path: Path) -> None:
    async def main() -> list[float]:
        async with Testnet(20) as net:
            hosts = [str(net.nodes[0].endpoints[0])]
            async with make_node(net, tmp_path / "state", bootstrap=hosts):
                seen = set()
                for _ in range(3600):
                    await asyncio.sleep(1)
                    seen.add(load_state(tmp_path / "state").saved_at)
                return sorted(seen)

    _, *saved = simulate(main, fastdht_seed)
    gaps = [later - earlier for earlier, later in zip(saved, saved[1:])]
    assert len(saved) >= 9
    assert all(224 <= gap <= 376 for gap in gaps) and len(set(gaps)) > 3


def test_run_when_the_file_cannot_be_written_then_said_once_and_goes_on(fastdht_seed: int, tmp_path: Path,
                                                                       caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")

    async def main() -> int:
        async with Testnet(20) as net:
            hosts = [str(net.nodes[0].endpoints[0])]
            async with make_node(net, tmp_path / "file" / "state", bootstrap=hosts) as node:
                await asyncio.sleep(3600)
                return len(node.contacts())

    with caplog.at_level(logging.WARNING):
        assert simulate(main, fastdht_seed) >= 8
    assert sum("was not saved" in record.message for record in caplog.records) == 1


def test_start_when_bootstrap_json_then_joins_through_it(fastdht_seed: int, tmp_path: Path) -> None:
    async def main() -> int:
        async with Testnet(20) as net:
            places = ",".join(f'"{node.endpoints[0]}"' for node in net.nodes[:3])
            (tmp_path / "bootstrap.json").write_text(f'{{"OldIP": null, "Nodes": [{places}]}}')
            async with make_node(net, tmp_path / "bootstrap.json") as node:
                await asyncio.sleep(WARM_S)
                return len(good_contacts(node))

    assert simulate(main, fastdht_seed) >= 8


def test_two_addresses_when_started_again_then_each_has_its_own_id(fastdht_seed: int, tmp_path: Path) -> None:
    async def main() -> list[tuple[NodeId, ...]]:
        async with Testnet(20) as net:
            ids = []
            for _ in range(2):
                settings = {"bootstrap": (), "clock": net.loop.clock, "transport": net.network.open}
                async with Node([PLACE, "[2a00::1]:6881"], state=tmp_path / "state", **settings) as node:
                    ids.append(node.ids)
            return ids

    first, second = simulate(main, fastdht_seed)
    assert first == second
    assert len(set(first)) == 2
