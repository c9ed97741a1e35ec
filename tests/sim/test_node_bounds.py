"""What a user fixes about a node: how many queries are out, its address, its token secret, whose ids it accepts."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastdht import ConfigError, Node, NoResponse
from fastdht.testing import Testnet, builders, liars
from fastdht.types import Contact, Endpoint
from tests.oracle import ids, wire
from tests.sim.sim_kit import simulate

SLOW_S = 0.5
FALSE = Endpoint("11.66.66.66", 6666)


async def open_node(net: Testnet, number: int = 9_000, **options: Any) -> Node:
    node = Node(str(builders.endpoint(number)), transport=net.network.open, clock=net.loop.clock,
                entropy=net.rng.randbytes, **{"bootstrap": ()} | options)
    await node.start()
    return node


@pytest.mark.parametrize("most", [1, 3, 24])
def test_queries_when_more_than_may_be_out_then_wait_their_turn(most: int, fastdht_seed: int) -> None:
    async def main() -> tuple[int, int]:
        async with Testnet(0, seed=fastdht_seed) as net:
            out, seen = set[bytes](), [0]
            others = builders.contacts(20, fastdht_seed, first=100)

            def send(here: bytes, reply: list[tuple[bytes, bytes]], tid: bytes) -> None:
                out.discard(tid)
                for data, target in reply:
                    net.network.send(data, here, target)

            def slow(other: Contact) -> Any:
                answer = liars.honest(other.id, others)

                def hold(data: bytes, source: bytes) -> list[tuple[bytes, bytes]]:
                    tid = wire.decode(data)[b"t"]
                    out.add(tid)
                    seen[0] = max(seen[0], len(out))
                    net.loop.call_later(SLOW_S, send, other.endpoint.pack(), answer(data, source), tid)
                    return []

                return hold

            for other in others:
                net.network.act(other.endpoint, slow(other))
            node = await open_node(net, query_concurrency=most, query_timeout=30.0)
            pongs = await asyncio.gather(*(node.ping(other.endpoint) for other in others))
            await node.close()
            return seen[0], len(pongs)

    assert simulate(main, fastdht_seed) == (min(most, 20), 20)


def test_queries_when_the_node_closes_then_those_that_wait_end_too(fastdht_seed: int) -> None:
    async def main() -> list[object]:
        async with Testnet(0, seed=fastdht_seed) as net:
            node = await open_node(net, query_concurrency=1, query_timeout=30.0)
            places = [builders.endpoint(number) for number in range(5)]
            for place in places:
                net.network.act(place, lambda data, source: [])
            pings = [asyncio.ensure_future(node.ping(place)) for place in places]
            await asyncio.sleep(1)
            await node.close()
            return await asyncio.gather(*pings, return_exceptions=True)

    assert [type(each) for each in simulate(main, fastdht_seed)] == [NoResponse] * 5


def test_public_ip_when_given_then_the_id_fits_it_whatever_others_say(fastdht_seed: int) -> None:
    async def main() -> bytes:
        async with Testnet(0, seed=fastdht_seed) as net:
            everybody = builders.contacts(30, fastdht_seed, first=1000)
            for other in everybody:
                net.network.act(other.endpoint, liars.votes(other.id, FALSE, everybody))
            node = await open_node(net, public_ip="124.31.75.21", bootstrap=[str(everybody[0].endpoint)])
            await node.joined()
            await asyncio.sleep(3600)
            own_id = bytes(node.id)
            await node.close()
            return own_id

    assert ids.is_secure(simulate(main, fastdht_seed), bytes([124, 31, 75, 21]))


@pytest.mark.parametrize(("later_s", "is_taken"), [(0, True), (299, True), (901, False)])
def test_token_when_the_secret_is_shared_then_lives_as_long_as_bep_5_says(
    later_s: int, is_taken: bool, fastdht_seed: int
) -> None:
    """From node to node of one secret; a token is good for five to ten minutes."""
    async def main() -> bool:
        async with Testnet(0, seed=fastdht_seed) as net:
            start = [1_700_000_100.0]               # a third of a step

            async def ask(number: int, method: bytes, **arguments: Any) -> dict[bytes, Any]:
                options = {"token_secret": b"ours", "wall": lambda: start[0]}
                node, heard = await open_node(net, number, **options), list[bytes]()
                asker = builders.endpoint(7_000)
                net.network.act(asker, lambda data, source: heard.append(data) or [])   # type: ignore[func-returns-value]
                net.network.send(wire.query(method, info_hash=bytes(20), **arguments), asker.pack(),
                                 builders.endpoint(number).pack())
                await asyncio.sleep(1)
                await node.close()
                net.network.remove(asker)
                answers = [wire.decode(data) for data in heard]
                return next(each for each in answers if each[b"y"] != b"q")     # it pings strangers too

            token = (await ask(8_001, b"get_peers"))[b"r"][b"token"]
            start[0] += later_s
            return (await ask(8_002, b"announce_peer", port=1, token=token))[b"y"] == b"r"

    assert simulate(main, fastdht_seed) == is_taken


def test_contacts_when_ids_must_fit_then_only_those_are_kept(fastdht_seed: int) -> None:
    async def main() -> list[bool]:
        async with Testnet(0, seed=fastdht_seed) as net:
            everybody = builders.contacts(40, fastdht_seed, first=1000)
            fitting = [Node(str(builders.endpoint(number)), transport=net.network.open, clock=net.loop.clock,
                            entropy=net.rng.randbytes, bootstrap=[str(everybody[0].endpoint)]) for number in range(8)]
            for other in everybody:
                net.network.act(other.endpoint, liars.honest(other.id, everybody))
            for node in fitting:
                await node.start()
            strict = await open_node(net, enforce_node_id=True, bootstrap=[
                str(each.endpoint) for each in everybody[:4]] + [str(node.endpoints[0]) for node in fitting])
            await strict.joined()
            await asyncio.sleep(60)
            kept = [each.id.fits(each.endpoint) for each in strict.contacts()]
            for node in [*fitting, strict]:
                await node.close()
            return kept

    kept = simulate(main, fastdht_seed)
    assert kept and all(kept)


@pytest.mark.parametrize(("options", "told"), [
    ({"query_concurrency": 0}, "query_concurrency is 0"), ({"bucket_refresh": 0}, "bucket_refresh is 0"),
    ({"public_ip": "home"}, "home"), ({"token_secret": b""}, "empty"),
])
def test_setting_when_outside_its_limits_then_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Node("127.0.0.1:0", bootstrap=(), **options)
