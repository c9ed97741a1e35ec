"""Puts of mutable items at a node that runs: verified a few at a time, in the engine's turn, and answered."""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from fastdht import crypto
from fastdht._ext import krpc
from fastdht._ext.core import Core
from fastdht.config import CoreConfig
from fastdht.engine import engine as engines
from fastdht.engine.engine import Engine
from fastdht.errors import DHTError, WriteRejected
from fastdht.node import Node
from fastdht.testing import SimNetwork, Testnet, VirtualLoop, builders
from fastdht.types import Contact
from tests.sim.sim_kit import simulate
from tests.unit.items_kit import PUBLIC_KEY, VALUE, mutable, mutable_target, put_query, sign, signed_part

SERVER = builders.contact(1)
OPEN = CoreConfig(lookups=1).limits_off()


class Writer:
    """An asker on the simulated network: sends datagrams, keeps what comes back."""

    def __init__(self, network: SimNetwork, contact: Contact) -> None:
        self.network, self.contact = network, contact
        self.answers: list[dict] = []       # to puts
        self.tokens: list[bytes] = []
        network.act(contact.endpoint, self.on_datagram)

    def on_datagram(self, data: bytes, source: bytes) -> list[tuple[bytes, bytes]]:
        message = krpc.parse(data)
        assert message is not None
        if "token" in message:
            self.tokens.append(message["token"])
        elif message["kind"] != "q":
            self.answers.append(message)
        return []

    def send(self, data: bytes) -> None:
        self.network.send(data, self.contact.endpoint.pack(), SERVER.endpoint.pack())

    async def token(self) -> bytes:
        self.send(krpc.build_query("get", id=bytes(self.contact.id), tid=1, target=mutable_target()))
        await asyncio.sleep(1)
        return self.tokens.pop()

    async def put(self, seqs: range, **changes: object) -> None:
        token = await self.token()
        for seq in seqs:
            self.send(put_query({b"token": token, **mutable(VALUE, seq, changes=changes)}, self.contact))


def start_engine(network: SimNetwork, verify: Callable[[bytes, bytes, bytes], bool] | None,
                 config: CoreConfig = OPEN) -> Engine:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    core = Core(config, bytes(SERVER.id), bytes(range(96)), 7)
    engine = Engine(core, network.open(SERVER.endpoint), loop.clock, lookups=1, verify=verify)
    engine.start()
    return engine


def make_network() -> SimNetwork:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return SimNetwork(loop, 1, latency=20.0)


def test_puts_when_they_come_at_once_then_a_turn_verifies_a_few_and_all_are_answered(fastdht_seed: int) -> None:
    async def main() -> tuple[list[int], list[dict]]:
        network, turns = make_network(), [0]

        def verify(signature: bytes, signed: bytes, public_key: bytes) -> bool:
            turns[-1] += 1
            assert (public_key, len(signature)) == (PUBLIC_KEY, 64)
            return signed.startswith(b"3:seqi")

        engine = start_engine(network, verify)
        finish = engine._finish_puts

        def turn(now: int) -> None:
            turns.append(0)
            finish(now)

        engine._finish_puts = turn      # type: ignore[method-assign]
        writer = Writer(network, builders.contact(2))
        await writer.put(range(1, 61))
        await asyncio.sleep(5)
        engine.core.check_invariants()
        return turns, writer.answers

    turns, answers = simulate(main, fastdht_seed)
    assert (sum(turns), max(turns)) == (60, engines.VERIFICATIONS_PER_WAKE)
    assert [answer["kind"] for answer in answers] == ["r"] * 60


def test_puts_when_nothing_can_verify_them_then_202_and_one_line_in_the_log(
        fastdht_seed: int, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def verify(signature: bytes, signed: bytes, public_key: bytes) -> bool:
        calls.append(signature)
        raise DHTError("libsodium was not found")

    async def main() -> list[dict]:
        network = make_network()
        engine = start_engine(network, verify)
        writer = Writer(network, builders.contact(2))
        await writer.put(range(1, 6))
        await asyncio.sleep(5)
        assert engine.core.items.item_count == 0
        return writer.answers

    with caplog.at_level(logging.WARNING, logger="fastdht"):
        answers = simulate(main, fastdht_seed)
    assert [answer["error_code"] for answer in answers] == [202] * 5
    assert (len(calls), [record.getMessage() for record in caplog.records]) == (
        1, ["mutable items are not stored here: libsodium was not found"])


def test_puts_when_signatures_are_bad_then_a_flood_of_them_is_verified_at_the_set_rate(fastdht_seed: int) -> None:
    async def main() -> tuple[int, int]:
        network, verified = make_network(), []
        config = replace(OPEN, puts=replace(OPEN.puts, verifications_per_s=200))

        def verify(signature: bytes, signed: bytes, public_key: bytes) -> bool:
            verified.append(signed)
            return False

        engine = start_engine(network, verify, config)
        writer = Writer(network, builders.contact(2))
        for _ in range(10):
            await writer.put(range(1, 401), sig=bytes(64))
        await asyncio.sleep(1)
        engine.core.check_invariants()
        return len(verified), engine.core.counters()["drop_put_crowded"]

    verified, crowded = simulate(main, fastdht_seed)
    assert verified + crowded == 4000
    assert 10 * 64 <= verified <= 11 * 200 + 64         # ten bursts, each a ring; eleven seconds


def test_node_when_a_signed_item_is_put_then_verifies_it_for_itself(fastdht_seed: int) -> None:
    async def main() -> list[dict]:
        network = make_network()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with Node(str(SERVER.endpoint), bootstrap=(), node_id=SERVER.id, transport=network.open,
                        clock=loop.clock):
            writer = Writer(network, builders.contact(2))
            await writer.put(range(1, 2))
            await writer.put(range(2, 3), sig=sign(VALUE, 9))
            await asyncio.sleep(1)
            return writer.answers

    good, bad = simulate(main, fastdht_seed)
    assert (good["kind"], bad["error_code"]) == ("r", 206)
    assert signed_part(VALUE, 2) != signed_part(VALUE, 9)


def test_items_when_put_by_one_node_then_another_finds_them_at_real_storing_nodes(fastdht_seed: int) -> None:
    async def main() -> None:
        async with Testnet(40, fill_tables=True) as net:
            key = crypto.SigningKey.from_seed(bytes(range(32)))
            storing = {found.id for found in net.truth.closest(crypto.mutable_target(key.public_key, b"s"), 12)}
            writer, reader = [node for node in net.nodes if node.id not in storing][:2]     # nobody stores at himself
            kept = await writer.put({"a": [1, b"x" * 900]})
            assert (await reader.get(kept.target)).value == {b"a": [1, b"x" * 900]}
            for seq, text in ((1, b"one"), (2, b"two")):
                report = await writer.put_mutable(key, text, salt=b"s", seq=seq, cas=seq - 1 if seq > 1 else None)
                assert report.accepted == 8
                found = await reader.get_mutable(key.public_key, salt=b"s")
                assert (found.value, found.seq) == (text, seq)
            late = await writer.put_mutable(key, b"three", salt=b"s", seq=3, cas=2)
            assert not late.conflicts
            with pytest.raises(WriteRejected) as refused:
                await reader.put_mutable(key, b"other", salt=b"s", seq=4, cas=2)
            assert len(refused.value.report.conflicts) == 8     # type: ignore[attr-defined]

    simulate(main, fastdht_seed)
