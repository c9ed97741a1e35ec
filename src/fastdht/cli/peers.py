"""Commands about peers and swarms: get-peers, announce-peer, scrape, sample. Rate class: command."""
from __future__ import annotations

import logging
import os
from typing import Any

import click

from fastdht.cli.nodes import Answer, ask_each, check_answers, named_nodes, plain_answer
from fastdht.cli.options import NodeCommand, NodeOptions, Remote, node_options, remote_option
from fastdht.cli.params import INFO_HASH, TARGET
from fastdht.cli.plain import WRITE_COLUMNS, plain_count, plain_lookup, plain_write, unpack_peers, write_rows
from fastdht.cli.render import emit, emit_remark
from fastdht.cli.run import run_async
from fastdht.cli.session import Session, note_lookup, open_session
from fastdht.errors import DHTError, WriteRejected
from fastdht.stats import Swarm, SwarmCount, WriteReport
from fastdht.types import Endpoint, InfoHash, NodeId

log = logging.getLogger(__name__)


@click.command("get-peers", cls=NodeCommand)
@click.argument("info_hash", type=TARGET, metavar="INFOHASH|self")
@remote_option
@node_options
def get_peers(info_hash: NodeId | str, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Find the peers of a torrent, one HOST:PORT a line.

    Fails when there are none. With --remote, peers that those nodes name; --json then shows their tokens and nodes too.
    """
    run_async(run_get_peers(info_hash, remote, options))


async def run_get_peers(info_hash: NodeId | str, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        wanted = session.target(info_hash)
        asked = await session.remotes(remote, wanted)
        if asked is None:
            peers = await look_up_peers(session, wanted)
        else:
            peers = await ask_for_peers(session, asked, wanted)
        if not peers:
            raise DHTError(f"no peers of {wanted} found")
        await session.finish()


async def look_up_peers(session: Session, wanted: NodeId) -> list[Endpoint]:
    report = await session.node.get_peers(wanted)
    note_lookup(report)
    value = {"info_hash": wanted.hex(), "peers": list(map(str, report.values)), "lookup": plain_lookup(report)}
    emit(session.options.as_json, value, ("peer",), [(str(peer),) for peer in report.values])
    return list(report.values)


async def ask_for_peers(session: Session, asked: list[Endpoint], wanted: NodeId) -> list[Endpoint]:
    answers = await ask_each(session, "get_peers", asked, {"info_hash": bytes(wanted)})
    peers = list(dict.fromkeys(
        peer for _, answer in answers if isinstance(answer, dict) for peer in unpack_peers(answer.get(b"values"))))
    value = {"info_hash": wanted.hex(), "peers": list(map(str, peers)),
             "answers": [plain_peers(endpoint, answer) for endpoint, answer in answers]}
    emit(session.options.as_json, value, ("peer",), [(str(peer),) for peer in peers])
    if not session.options.as_json:
        for endpoint, answer in answers:
            if isinstance(answer, dict):
                emit_remark(f"{endpoint}: {len(unpack_peers(answer.get(b'values')))} peers, "
                            f"{len(named_nodes(answer))} nodes")
    check_answers(answers)
    return peers


def plain_peers(endpoint: Endpoint, answer: Answer) -> dict[str, Any]:
    token = answer.get(b"token") if isinstance(answer, dict) else None
    values = unpack_peers(answer.get(b"values")) if isinstance(answer, dict) else []
    return plain_answer(endpoint, answer) | {"token": token.hex() if isinstance(token, bytes) else None,
                                             "peers": list(map(str, values))}


@click.command("announce-peer", cls=NodeCommand)
@click.argument("info_hash", type=TARGET, metavar="INFOHASH|self")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Where peers reach us.")
@click.option("--implied-port", is_flag=True, help="Peers reach us on the port that this command sends from.")
@click.option("--seed", is_flag=True, help="We have the whole torrent (BEP 33).")
@remote_option
@node_options
def announce_peer(info_hash: NodeId | str, port: int | None, implied_port: bool, seed: bool,
                  remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Announce ourselves as a peer of a torrent, at the nodes closest to it or at --remote.

    Nodes forget it after half an hour. Fails when none accepts it.
    """
    if port is None and not implied_port:
        raise click.UsageError("--port N or --implied-port needed")
    run_async(run_announce(info_hash, port, implied_port, seed, remote, options))


async def run_announce(info_hash: NodeId | str, port: int | None, implied_port: bool, seed: bool,
                       remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        wanted = session.target(info_hash)
        asked = await session.remotes(remote, wanted)
        try:
            report = await session.node.announce_peer(
                wanted, port or session.node.endpoints[0].port, implied_port=implied_port, seed=seed, to=asked)
        except WriteRejected as error:
            explain_rejection(error)
            raise
        note_lookup(report.lookup)
        emit(options.as_json, plain_write(report), WRITE_COLUMNS, write_rows(report))
        await session.finish()


def explain_rejection(error: WriteRejected) -> None:
    """Each node's reason; the error itself counts them only."""
    assert isinstance(error.report, WriteReport)
    for _, endpoint, why in write_rows(error.report):
        emit_remark(f"{endpoint}: {why}")


@click.command(cls=NodeCommand)
@click.argument("info_hashes", type=INFO_HASH, metavar="INFOHASH…", nargs=-1, required=True)
@remote_option
@node_options
def scrape(info_hashes: tuple[InfoHash, ...], remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Estimate how many seeds and peers torrents have (BEP 33), with 95% bounds.

    Fails when no node answers for any of them.
    """
    run_async(run_scrape(info_hashes, remote, options))


async def run_scrape(info_hashes: tuple[InfoHash, ...], remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        asked = await session.remotes(remote, info_hashes[0])
        swarms = [await session.node.scrape(each, to=asked) for each in info_hashes]
        value = {"swarms": [plain_swarm(each) for each in swarms]}
        rows = [(str(each.info_hash), show_count(each.seeds), show_count(each.peers), str(each.answered))
                for each in swarms]
        emit(options.as_json, value, ("infohash", "seeds", "peers", "answered"), rows)
        await session.finish()


def plain_swarm(swarm: Swarm) -> dict[str, Any]:
    return {"info_hash": swarm.info_hash.hex(), "seeds": plain_count(swarm.seeds), "peers": plain_count(swarm.peers),
            "answered": swarm.answered, "lookup": plain_lookup(swarm.lookup)}


def show_count(count: SwarmCount) -> str:
    if count.is_saturated:
        return f"over {count.low:.0f}"
    return f"{count.estimate:.0f} ({count.low:.0f} to {count.high:.0f})"


@click.command(cls=NodeCommand)
@click.argument("target", type=TARGET, metavar="[HEX40|self]", required=False)
@remote_option
@node_options
def sample(target: NodeId | str | None, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Ask nodes which torrents they know (BEP 51), one infohash a line.

    The nodes are those on the way to a target, by default a random one. Fails when nobody tells any.
    """
    run_async(run_sample(target, remote, options))


async def run_sample(target: NodeId | str | None, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        wanted = session.target(target) if target is not None else NodeId(os.urandom(20))
        asked = await session.remotes(remote, wanted)
        samples = await session.node.sample_infohashes(wanted, to=asked)
        note_lookup(samples.lookup)
        nodes = [{"id": each.contact.id.hex(), "endpoint": str(each.contact.endpoint), "num": each.num,
                  "interval_s": each.interval, "samples": [found.hex() for found in each.samples]}
                 for each in samples.nodes]
        value = {"target": wanted.hex(), "info_hashes": [each.hex() for each in samples.info_hashes], "nodes": nodes,
                 "lookup": plain_lookup(samples.lookup)}
        emit(options.as_json, value, ("infohash",), [(str(each),) for each in samples.info_hashes])
        if not samples.info_hashes:
            raise DHTError(f"none of {samples.lookup.responses} nodes told an infohash")
        await session.finish()
