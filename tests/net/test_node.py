"""Whole nodes over real sockets on loopback: join, announce, find, survive refusals, leave nothing behind."""
from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading

import pytest

from fastdht import ConfigError, Endpoint, LocalProtocolError, LookupFailed, Node, NodeClosed, NoResponse

uvloop = pytest.importorskip("uvloop") if sys.platform != "win32" else None
LOOPS = [pytest.param(None, id="asyncio"), pytest.param(uvloop.new_event_loop if uvloop else None, id="uvloop")]
NET = ["127.0.0.0/8", "::1/128"]
INFO_HASH = bytes(range(20))


def run(main, factory=None):
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(asyncio.wait_for(main, 60))


async def start_network(count: int, first: str = "127.90.0.1:0") -> list[Node]:
    """Nodes in a /24 of their own each; all but the first join through it."""
    nodes = [Node(first, bootstrap=(), allow_net=NET)]
    await nodes[0].start()
    entry = str(nodes[0].endpoints[0])
    for number in range(1, count):
        node = Node(f"127.90.{number}.1:0", bootstrap=[entry], allow_net=NET)
        await node.start()
        nodes.append(node)
    await asyncio.gather(*(node.joined() for node in nodes[1:]))
    return nodes


async def close_all(nodes: list[Node]) -> None:
    for node in nodes:
        await node.close()


@pytest.mark.parametrize("factory", LOOPS)
def test_peer_when_announced_by_one_node_then_found_by_another(factory):
    async def main():
        nodes = await start_network(12)
        report = await nodes[3].announce_peer(INFO_HASH, 5555)
        found = [peer async for peer in nodes[8].get_peers(INFO_HASH)]
        await close_all(nodes)
        return report, found

    report, found = run(main(), factory)
    assert report.accepted >= 1
    assert found == [Endpoint("127.90.3.1", 5555)]


def test_ping_when_the_node_is_up_then_tells_its_id_and_when_it_is_not_then_raises():
    async def main():
        async with Node("127.91.0.1:0", bootstrap=(), allow_net=NET) as node, \
                Node("127.91.1.1:0", bootstrap=(), allow_net=NET, query_timeout=0.3) as asker:
            pong = await asker.ping(node.endpoints[0])
            assert (pong.id, pong.endpoint) == (node.id, node.endpoints[0])
            with pytest.raises(NoResponse, match=r"127\.91\.2\.1:9"):
                await asker.ping("127.91.2.1:9")

    run(main())


def test_nodes_when_on_ipv6_then_find_each_other():
    async def main():
        async with Node("[::1]:0", bootstrap=(), allow_net=NET) as first:
            entry = str(first.endpoints[0])
            async with Node("[::1]:0", bootstrap=[entry], allow_net=NET) as second:
                await second.joined()
                report = await second.announce_peer(INFO_HASH, 6666)
                found = (await second.get_peers(INFO_HASH)).values
                return report.accepted, found

    assert run(main()) == (1, (Endpoint("::1", 6666),))


def test_direct_query_when_endpoints_are_given_then_only_they_are_asked():
    async def main():
        nodes = await start_network(6)
        report = await nodes[5].find_node(INFO_HASH, to=[nodes[1].endpoints[0], str(nodes[2].endpoints[0])])
        await close_all(nodes)
        return report

    report = run(main())
    assert report.queries == report.responses == 2


def test_lookups_when_their_target_is_the_same_then_share_the_traffic():
    async def main():
        nodes = await start_network(6)
        before = sum(node.counters()["methods"]["get_peers"] for node in nodes)
        reports = await asyncio.gather(*(nodes[5].get_peers(INFO_HASH) for _ in range(10)))
        served = sum(node.counters()["methods"]["get_peers"] for node in nodes) - before
        await close_all(nodes)
        return reports, served

    reports, served = run(main())
    assert all(report is reports[0] for report in reports)
    assert served == reports[0].queries


def test_lookup_when_cancelled_then_says_so_and_asks_no_more():
    async def main():
        async with Node("127.92.0.1:0", bootstrap=["127.92.1.1:9"], allow_net=NET) as node:
            lookup = node.get_peers(INFO_HASH)
            await asyncio.sleep(0)
            lookup.cancel()
            return await lookup

    report = run(main())
    assert report.outcome == "cancelled"


def test_lookup_when_nobody_answers_then_raises_with_its_report():
    async def main():
        async with Node("127.92.0.1:0", bootstrap=["127.92.1.1:9"], allow_net=NET, query_timeout=0.3) as node:
            with pytest.raises(LookupFailed) as failure:
                await node.get_peers(INFO_HASH)
            return failure.value.report

    report = run(main())
    assert (report.responses, report.queries) == (0, 1)


@pytest.mark.parametrize("factory", LOOPS)
def test_node_when_a_thousand_sends_were_refused_then_still_answers(factory):
    async def main():
        async with Node("127.93.0.1:0", bootstrap=(), allow_net=NET, limits="off") as node, \
                Node("127.93.1.1:0", bootstrap=(), allow_net=NET) as other:
            refused = [f"127.93.{2 + number % 250}.1:{9 + number // 250}" for number in range(1000)]
            for start in range(0, 1000, 50):
                await asyncio.gather(*(node.ping(each) for each in refused[start:start + 50]), return_exceptions=True)
            refusals = node.counters()["unreachable"]
            pong = await other.ping(node.endpoints[0])
            return refusals, pong.id == node.id, (await node.ping(other.endpoints[0])).id == other.id

    refusals, answered, asked = run(main(), factory)
    assert answered
    assert asked
    assert refusals >= 900          # some refusals come before their query is known to the kernel as ours


def test_node_when_started_and_stopped_a_thousand_times_then_leaves_nothing_behind():
    async def main():
        for _ in range(20):
            await cycle()
        gc.collect()
        before = (len(os.listdir("/proc/self/fd")), threading.active_count(), memory())
        for _ in range(1000):
            await cycle()
        gc.collect()
        return before, (len(os.listdir("/proc/self/fd")), threading.active_count(), memory())

    async def cycle():
        async with Node("127.94.0.1:0", bootstrap=(), allow_net=NET):
            pass

    before, after = run(main())
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 2 << 20


def memory() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bind": "nonsense"}, "nonsense"),
        ({"bind": "1.2.3.4:99999"}, "99999"),
        ({"bind": []}, "at least one"),
        ({"bootstrap": ["router"]}, "router"),
        ({"allow_net": ["127.0.0.0/33"]}, "127.0.0.0/33"),
        ({"limits": "none"}, "none"),
        ({"k": 0}, "1 to 128"),
        ({"query_timeout": 0}, "more than 0"),
    ],
)
def test_node_when_a_setting_is_malformed_then_one_clear_error(arguments, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        Node(**arguments)


def test_node_when_the_address_is_in_use_then_a_clear_error_and_nothing_left_open():
    async def main():
        async with Node("127.95.0.1:0", bootstrap=(), allow_net=NET) as node:
            taken = str(node.endpoints[0])
            with pytest.raises(ConfigError, match="address already in use"):
                await Node(["127.95.0.1:0", taken], bootstrap=(), allow_net=NET).start()

    run(main())


def test_node_when_used_outside_its_block_then_says_it_is_closed():
    async def main():
        node = Node("127.95.0.1:0", bootstrap=())
        with pytest.raises(NodeClosed):
            node.get_peers(INFO_HASH)
        with pytest.raises(LocalProtocolError, match="1 to 65535"):
            await node.announce_peer(INFO_HASH, 0)

    run(main())


def test_serve_when_up_then_prints_one_json_line_answers_and_ends_at_a_signal():
    command = [sys.executable, "-m", "fastdht", "serve", "--listen", "127.96.0.1:0", "--bootstrap", "none",
               "--allow-net", "127.0.0.0/8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            up = json.loads(process.stdout.readline())

            async def ask():
                async with Node("127.96.1.1:0", bootstrap=(), allow_net=NET) as node:
                    return await node.ping(up["endpoint"])

            assert run(ask()).id.hex() == up["id"]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
