"""make bench-replay: nanoseconds of user time per packet, from recorded packets in memory, without sockets.

Three paths: a node that serves (four methods, 16,384 sources), one that looks up (64 lookups at a time in a network of
500 nodes; once with bare results and once with the reports that callers get), and a crawl. Each is recorded once and
then played again and again; the steadiest figure of this folder, since no kernel and no second process take part.
Time is the CPU time of this thread, so that a busy machine does not count.
"""
from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import click

from bench.macro.memory import BATCH, Clock, Datagram, MemoryTransport, Network, Player, Recorder
from bench.macro.pairs import (
    BenchFailed,
    Contestant,
    Plan,
    Sample,
    console,
    finish,
    per_wall_s,
    results_table,
    run_pairs,
    with_plan,
)
from bench.macro.processes import MEASURED_CORE, describe_machine, pin
from fastdht._ext import krpc
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.core import Core
from fastdht._ext.frontier import Frontier
from fastdht._ext.packets import Inbox
from fastdht._ext.walks import Walk
from fastdht.config import CoreConfig, LookupConfig
from fastdht.engine.engine import Engine
from fastdht.types import NodeId

OWN_ID = bytes(range(100, 120))
SECRET = bytes(range(96))
CORE_SEED = 1
NETS = ("127.0.0.0/8",)
SOURCES = 16_384
PORT = (6881).to_bytes(2, "big")
SWARM = 500
ANNOUNCED = 50
AT_A_TIME = 64
PING, GET_PEERS, ANNOUNCE_PEER = 0, 2, 3
HIT = b"replayed hit target "
TARGETS_NS = {"server": 500.0, "lookup": 600.0, "crawl": 800.0}    # fails at twice these
METHODS = ("ping", "find_node", "get_peers_miss", "get_peers_hit")


def drive(engine: Engine, transport: MemoryTransport, is_over: Callable[[], bool]) -> int:
    """Let the engine read until all is over; the ns that the library spent."""
    began = time.thread_time_ns()
    outside = transport.outside_ns
    while not is_over():
        engine.on_readable()
    return time.thread_time_ns() - began - (transport.outside_ns - outside)


class Serving:
    """A node with a full table, 50 peers for one info_hash, and every limit lifted; questions of one method."""

    def __init__(self, network: Network, seed: int) -> None:
        self.core = Core(CoreConfig(allowed_nets=NETS).limits_off(), OWN_ID, SECRET, CORE_SEED)
        self.clock = Clock()
        rng = random.Random(seed)
        addresses = [bytes([127, 64 + (i & 63), i >> 6 & 255, 10]) for i in range(SOURCES)]
        self.sources = [(address + PORT, rng.randbytes(20)) for address in addresses]
        self.befriend(network)
        self.announce()
        self.batches = {method: self.ask_all(method, rng) for method in METHODS}

    def befriend(self, network: Network) -> None:
        for packed in network.ids:
            self.core.query(PING, packed, 0, self.clock())
            for data, target in self.core.drain():
                reply = network.answer(data, target)
                if reply is not None:
                    self.core.receive(reply, target, self.clock())
        self.core.take_events()

    def announce(self) -> None:
        for packed, node_id in self.sources[:ANNOUNCED]:
            self.core.receive(query(b"get_peers", node_id, b"9:info_hash20:" + HIT), packed, self.clock())
            [(data, _)] = self.core.drain()
            answer: dict[str, Any] | None = krpc.parse(data)
            assert answer is not None
            arguments = b"9:info_hash20:" + HIT + b"4:porti6881e5:token%d:" % len(answer["token"]) + answer["token"]
            self.core.receive(query(b"announce_peer", node_id, arguments), packed, self.clock())
            self.core.drain()

    def ask_all(self, method: str, rng: random.Random) -> list[list[Datagram]]:
        questions = []
        for packed, node_id in self.sources:
            target = HIT if method == "get_peers_hit" else rng.randbytes(20)
            key = b"6:target20:" if method == "find_node" else b"9:info_hash20:"
            arguments = b"" if method == "ping" else key + target
            name = "get_peers" if method.startswith("get_peers") else method
            questions.append((query(name.encode(), node_id, arguments), packed))
        return [questions[at:at + BATCH] for at in range(0, len(questions), BATCH)]

    def play(self, method: str, _seconds: float) -> Sample:
        """One pass over the recorded questions; a question without an answer is an error."""
        inbox, core, spent, replies, size = Inbox(BATCH), self.core, 0, 0, 0
        for batch in self.batches[method]:
            inbox.clear()
            for data, source in batch:
                inbox.put(data, source)
            now = self.clock()
            began = time.thread_time_ns()
            core.receive_batch(inbox, now)
            spent += time.thread_time_ns() - began
            answers = core.drain()
            replies += len(answers)
            size += sum(len(data) for data, _ in answers)
        if replies != SOURCES:
            raise BenchFailed(f"{replies} replies to {SOURCES} questions; {core.counters()}")
        return per_packet(replies, spent, {"reply_bytes": size / replies})


def query(method: bytes, node_id: bytes, arguments: bytes) -> bytes:
    return b"d1:ad2:id20:" + node_id + arguments + b"e1:q%d:" % len(method) + method + b"1:t4:rply1:y1:qe"


def per_packet(packets: int, spent_ns: int, extra: dict[str, float] | None = None) -> Sample:
    seconds = spent_ns / 1e9
    return Sample(packets, seconds, seconds, {"ns_per_packet": spent_ns / packets, **(extra or {})})


class BareBranch:
    """Owner of a lookup that takes the packed result and opens the next."""

    __slots__ = ("looking", "slot")

    def __init__(self, looking: Looking) -> None:
        self.looking = looking
        self.slot = -1

    def on_results(self) -> None:
        """Taken at the end."""

    def on_finished(self) -> None:
        self.looking.engine.lookups.finish(self.slot)
        self.looking.open_next(())

    def on_failed(self, error: Exception) -> None:
        raise error


class Looking:
    """`total` get_peers lookups, 64 at a time; the targets come from a seed, so that a run can be repeated."""

    def __init__(self, transport: MemoryTransport, total: int, seed: int, has_reports: bool) -> None:
        config = replace(CoreConfig(allowed_nets=NETS).limits_off(), lookups=2 * AT_A_TIME, outbox=1024)
        self.engine = Engine(Core(config, OWN_ID, SECRET, CORE_SEED), transport, Clock(), lookups=config.lookups)
        self.settings = LookupConfig()
        self.rng = random.Random(seed)
        self.left = total
        self.running = 0
        self.values = 0
        self.has_reports = has_reports

    def start(self, entry: bytes, at_once: int) -> None:
        for _ in range(at_once):
            self.running += 1
            self.open_next((entry,))
        self.engine.work()

    def on_report(self, walk: Walk) -> None:
        assert walk.report is not None
        self.values += len(walk.report.values)
        self.open_next(())

    def open_next(self, seeds: Sequence[bytes]) -> None:
        """Start another lookup in the place of one that ended."""
        if self.left == 0:
            self.running -= 1
            return
        self.left -= 1
        target = NodeId(self.rng.randbytes(20))
        if self.has_reports:
            Walk(target, self.settings, self.on_report).start([self.engine.lookups], GET_PEERS, seeds)
            return
        branch = BareBranch(self)
        branch.slot = self.engine.lookups.open(None, branch, GET_PEERS, target, self.settings, seeds)

    def is_over(self) -> bool:
        return self.running == 0


def record_lookups(network: Network, total: int, seed: int, has_reports: bool) -> Callable[[float], Sample]:
    recorder = Recorder(network)
    entry = next(iter(network.ids))
    looking = Looking(recorder, total, seed, has_reports)
    looking.start(entry, AT_A_TIME)
    drive(looking.engine, recorder, looking.is_over)

    def play(_seconds: float) -> Sample:
        player = Player(recorder.batches)
        again = Looking(player, total, seed, has_reports)
        again.start(entry, AT_A_TIME)
        spent = drive(again.engine, player, again.is_over)
        check_same(recorder, player)
        return per_packet(player.taken, spent, {"packets_per_lookup": player.taken / total})
    return play


class Crawling:
    """A standard census through the engine, unpaced; rows are taken once a wake, as the crawl does."""

    def __init__(self, transport: MemoryTransport, network: Network) -> None:
        self.frontier = Frontier(OWN_ID, AddressFilter(NETS), seed=CORE_SEED, max_contacts=2 * len(network.ids),
                                 slots=1 << 18, address_rate=0)
        config = CoreConfig.crawl(allowed_nets=NETS, outbox=1024)
        self.core = Core(config, OWN_ID, SECRET, CORE_SEED, self.frontier)
        self.engine = Engine(self.core, transport, Clock())
        self.found = 0

    def start(self, entry: bytes) -> None:
        self.frontier.offer(entry)
        self.engine.work()

    def is_over(self) -> bool:
        self.found += len(self.frontier.take_found()) // 48
        return self.frontier.is_exhausted()


def record_crawl(nodes: int, seed: int) -> Callable[[float], Sample]:
    network = Network(nodes, seed)
    recorder = Recorder(network)
    entry = next(iter(network.ids))
    crawling = Crawling(recorder, network)
    crawling.start(entry)
    drive(crawling.engine, recorder, crawling.is_over)

    def play(_seconds: float) -> Sample:
        player = Player(recorder.batches)
        again = Crawling(player, network)
        again.start(entry)
        spent = drive(again.engine, player, again.is_over)
        check_same(recorder, player)
        return per_packet(player.taken, spent, {"found": again.found})
    return play


def check_same(recorder: Recorder, player: Player) -> None:
    """A replay that strayed from the recording measures something else."""
    if (recorder.taken, recorder.sent) != (player.taken, player.sent):
        raise BenchFailed(f"replayed {player.taken} in, {player.sent} out; "
                           f"recorded {recorder.taken} in, {recorder.sent} out")


def contestants(plan: Plan) -> list[Contestant]:
    network = Network(SWARM, plan.seed)
    serving = Serving(network, plan.seed)
    lookups, nodes = (200, 2_000) if plan.quick else (1_000, 50_000)
    return [
        *(Contestant(f"server {method}", partial(serving.play, method)) for method in METHODS),
        Contestant("lookup", record_lookups(network, lookups, plan.seed, has_reports=False)),
        Contestant("lookup with reports", record_lookups(network, lookups, plan.seed, has_reports=True)),
        Contestant("crawl", record_crawl(nodes, plan.seed)),
    ]


@click.command()
@with_plan(seconds=1.0, quick_seconds=1.0)
def main(plan: Plan) -> None:
    """User-level nanoseconds per packet; every run plays the whole recording, so --seconds has no effect."""
    pin(MEASURED_CORE)
    console.print(f"machine {describe_machine()}, {plan}")
    results = run_pairs(contestants(plan), plan)
    console.print(results_table("replay, user level", results, "packets", "server ping", ("ns_per_packet",)))
    for name in results.samples:
        limit = TARGETS_NS[name.split()[0]]
        median = results.extra(name, "ns_per_packet").median
        console.print(f"{name}: {median:.0f} ns a packet (aim {limit:.0f}, fails at {2 * limit:.0f})")
    finish({"bench": "replay", "machine": describe_machine(), **plan.to_json(), "targets_ns": TARGETS_NS,
            "paths": {name: {"ns_per_packet": results.extra(name, "ns_per_packet").to_json(),
                             "packets_per_s": results.spread(name, per_wall_s).to_json()} for name in results.samples}})


if __name__ == "__main__":
    main()
