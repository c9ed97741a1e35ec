"""Observers of queries, raw queries and statistics: what they tell, and that they hold nothing up."""
from __future__ import annotations

import asyncio
import logging

import pytest

from fastdht import ConfigError, IncomingQuery, LocalProtocolError, NodeClosed, NodeId, NoResponse, RemoteError
from fastdht._ext import krpc
from fastdht.testing import Testnet, builders
from fastdht.types import Endpoint
from tests.sim.sim_kit import simulate
from tests.sim.stage import stage

INFO_HASH = bytes(range(20))
PERIOD = 0.2            # more than an observer's delay


def test_observer_when_others_ask_then_called_with_what_and_who(fastdht_seed):
    async def main():
        async with Testnet(2, seed=fastdht_seed) as net:
            watched, asker = net.nodes
            seen = []
            with watched.observe(seen.append):
                await asker.ping(watched.endpoints[0])
                await asker.get_peers(INFO_HASH, to=watched.endpoints)
                await asker.query("vote", watched.endpoints[0], {"target": INFO_HASH})
                await asyncio.sleep(PERIOD)
            await asker.ping(watched.endpoints[0])
            await asyncio.sleep(PERIOD)
            return [each for each in seen if each.method != "find_node"], asker.endpoints[0], asker.id

    seen, source, node_id = simulate(main, fastdht_seed)
    assert [each for each in seen if each.method != "ping"] == [
        IncomingQuery("get_peers", source, node_id, NodeId(INFO_HASH)),
        IncomingQuery("unknown", source, node_id, NodeId(INFO_HASH))]
    assert IncomingQuery("ping", source, node_id, None) in seen


def test_observer_when_iterated_then_queries_come_until_it_is_closed(fastdht_seed):
    async def main():
        async with Testnet(2, seed=fastdht_seed) as net:
            watched, asker = net.nodes
            observer = watched.observe()

            async def collect():
                return [query.target async for query in observer if query.method == "get_peers"]

            collecting = asyncio.ensure_future(collect())
            for number in range(3):
                await asker.get_peers(builders.info_hash(number), to=watched.endpoints)
            await asyncio.sleep(PERIOD)
            observer.close()
            return await collecting, observer.lost

    assert simulate(main, fastdht_seed) == ([builders.info_hash(number) for number in range(3)], 0)


def test_observer_when_it_raises_then_logged_once_and_removed_and_the_node_serves_on(fastdht_seed, caplog):
    calls = []

    def broken(query):
        calls.append(query)
        raise RuntimeError("observer")

    async def main():
        async with Testnet(2, seed=fastdht_seed) as net:
            watched, asker = net.nodes
            observer, other = watched.observe(broken), []
            watched.observe(other.append)
            for _ in range(5):
                await asker.ping(watched.endpoints[0])
            await asyncio.sleep(PERIOD)
            await asker.ping(watched.endpoints[0])
            await asyncio.sleep(PERIOD)
            return observer.is_closed, sum(query.method == "ping" for query in other)

    with caplog.at_level(logging.ERROR):
        is_closed, others = simulate(main, fastdht_seed)
    assert is_closed
    assert len(calls) == 1
    assert others >= 6
    assert [record.message for record in caplog.records] == ["an observer of queries failed and has been removed"]


def test_observer_when_nobody_takes_then_the_rest_is_counted_as_lost(fastdht_seed):
    async def main():
        async with Testnet(2, seed=fastdht_seed) as net:
            watched, asker = net.nodes
            with watched.observe(capacity=3) as observer:
                for number in range(10):
                    await asker.get_peers(builders.info_hash(number), to=watched.endpoints)
                await asyncio.sleep(PERIOD)
                seen = watched.counters()["methods"]["get_peers"]
            return [query async for query in observer], observer.lost, seen

    kept, lost, seen = simulate(main, fastdht_seed)
    assert len(kept) == 3
    assert lost >= seen - 3 >= 7


def test_observer_when_the_node_closes_then_iteration_ends(fastdht_seed):
    async def main():
        async with stage(1, seed=fastdht_seed) as ([node], _):
            observer = node.observe()
            waiting = asyncio.ensure_future(anext(aiter(observer), None))
            await asyncio.sleep(PERIOD)
            await node.close()
            return await waiting, observer.is_closed

    assert simulate(main, fastdht_seed) == (None, True)


def test_observer_when_the_capacity_is_none_or_it_calls_back_then_says_so(fastdht_seed):
    async def main():
        async with stage(1, seed=fastdht_seed) as ([node], _):
            with pytest.raises(ConfigError, match="capacity is 0; 1 to 1048576"):
                node.observe(capacity=0)
            with node.observe(lambda query: None) as observer, pytest.raises(ConfigError, match="without a callback"):
                await anext(aiter(observer))

    simulate(main, fastdht_seed)


def test_query_when_the_method_is_unknown_here_then_sent_as_given_and_its_results_returned(fastdht_seed):
    async def main():
        async with stage(1, seed=fastdht_seed) as ([node], [remote]):
            answer = await node.query("vote", remote.contact.endpoint, {"target": INFO_HASH, "vote": [1, "two"]})
            [query] = [query for query in remote.queries if query["method_name"] == b"vote"]
            return answer, query, node.id, remote.contact.id

    answer, query, own_id, remote_id = simulate(main, fastdht_seed)
    assert answer[b"id"] == remote_id
    assert len(answer[b"nodes"]) == 26
    assert query["arguments"] == b"d2:id20:" + own_id + b"6:target20:" + INFO_HASH + b"4:voteli1e3:twoee"


def test_query_when_answered_by_an_error_or_not_at_all_then_raises(fastdht_seed):
    async def main():
        async with stage(2, seed=fastdht_seed) as ([node], [remote, silent]):
            remote.reply = lambda query, source: krpc.build_error(query["tid"], 204, "Method Unknown")
            silent.silences = lambda query: True
            with pytest.raises(RemoteError, match="204: Method Unknown"):
                await node.query("vote", remote.contact.endpoint)
            with pytest.raises(NoResponse):
                await node.query("vote", silent.contact.endpoint)

    simulate(main, fastdht_seed)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"x": 1.5}, "float"), ({"x": b"y" * 1400}, "1472 fit one datagram")])
def test_query_when_it_cannot_be_sent_then_says_why(fastdht_seed, arguments, message):
    async def main():
        async with stage(1, seed=fastdht_seed) as ([node], [remote]):
            with pytest.raises(LocalProtocolError, match=message):
                await node.query("vote", remote.contact.endpoint, arguments)
            return len(remote.queries), len(node._engines[0]._callers)

    assert simulate(main, fastdht_seed) == (0, 0)


def test_stats_when_a_node_serves_then_they_are_what_happened(fastdht_seed):
    async def main():
        async with Testnet(2, seed=fastdht_seed) as net:
            served, asker = net.nodes
            before = served.stats()
            await asyncio.sleep(60)
            for number in range(5):
                await asker.announce_peer(builders.info_hash(number), 4000, to=served.endpoints)
            return before, served.stats(), served

    before, after, served = simulate(main, fastdht_seed)
    [part] = after.sockets
    assert (part.info_hashes, part.peers, after.peers, after.lookups) == (5, 5, 5, 0)
    assert part.methods["announce_peer"] == 5
    assert after.contacts == part.contacts == 1
    assert 60 < after.uptime - before.uptime < 70
    assert after.total("queries_handled") - before.total("queries_handled") >= 10
    assert part.socket["datagrams_in"] == after.total("received")
    assert isinstance(part.endpoint, Endpoint)
    with pytest.raises(NodeClosed):
        served.stats()
