"""Commands about nodes: bootstrap, ping, find-node, closest-stores, closest-peers. Rate class: command."""
from __future__ import annotations

import asyncio
import logging
from typing import Any

import click

from fastdht.cli.options import NodeCommand, NodeOptions, Remote, node_options, remote_option
from fastdht.cli.params import CLOSEST_PEERS, CLOSEST_STORES, REMOTE, SELF, TARGET
from fastdht.cli.plain import CLOSEST_COLUMNS, closest_rows, plain_closest, plain_lookup, shared_bits, unpack_nodes
from fastdht.cli.render import emit, emit_remark, milliseconds
from fastdht.cli.run import run_async
from fastdht.cli.session import Session, note_lookup, open_session
from fastdht.errors import DHTError, RemoteError
from fastdht.stats import Pong
from fastdht.types import Endpoint, NodeId

log = logging.getLogger(__name__)

MOST_CLOSEST = 16           # that a lookup keeps


@click.command(cls=NodeCommand)
@node_options
def bootstrap(options: NodeOptions) -> None:
    """Join the network and save the contacts found, for `--bootstrap saved`.

    They go to --state-file, by default ~/.local/state/fastdht/node. Fails when nobody answers.
    """
    run_async(run_bootstrap(options))


async def run_bootstrap(options: NodeOptions) -> None:
    async with open_session(options, must_save=True) as session:
        if options.bootstrap != ("none",):
            await session.join()
        node = session.node
        contacts = node.contacts()
        value = {"id": node.id.hex(), "endpoint": str(node.endpoints[0]),
                 "contacts": [{"id": each.id.hex(), "endpoint": str(each.endpoint)} for each in contacts]}
        emit(options.as_json, value, ("id", "endpoint"), [(str(each.id), str(each.endpoint)) for each in contacts])
        if not options.as_json:
            emit_remark(f"joined with {len(contacts)} contacts as {node.id}")
        await session.finish()


@click.command(cls=NodeCommand)
@click.argument("remotes", metavar="HOST:PORT…", type=REMOTE, nargs=-1, required=True)
@click.option("--target", type=TARGET, default=SELF, show_default=True, metavar="HEX40|self",
              help="Of which the closest nodes are meant by closest-stores and closest-peers.")
@node_options
def ping(remotes: tuple[Remote, ...], target: NodeId | str, options: NodeOptions) -> None:
    """Ask nodes who they are: id, round-trip time, client.

    A node is HOST:PORT, or closest-stores or closest-peers: those that a lookup of --target finds. Fails when none
    answers.
    """
    run_async(run_ping(remotes, target, options))


async def run_ping(remotes: tuple[Remote, ...], target: NodeId | str, options: NodeOptions) -> None:
    async with open_session(options, remotes) as session:
        asked = await session.remotes(remotes, session.target(target)) or []
        pongs = await asyncio.gather(*(try_ping(session, endpoint) for endpoint in asked))
        value = {"pongs": [plain_pong(endpoint, pong) for endpoint, pong in zip(asked, pongs, strict=True)]}
        rows = [(str(endpoint), str(pong.id), milliseconds(pong.rtt), show_version(pong.version))
                if isinstance(pong, Pong) else (str(endpoint), "-", "-", str(pong))
                for endpoint, pong in zip(asked, pongs, strict=True)]
        emit(options.as_json, value, ("endpoint", "id", "rtt", "client"), rows)
        if not any(isinstance(pong, Pong) for pong in pongs):
            raise DHTError(f"none of {len(asked)} nodes answered")
        await session.finish()


async def try_ping(session: Session, endpoint: Endpoint) -> Pong | DHTError:
    try:
        return await session.node.ping(endpoint)
    except DHTError as error:
        return error


def plain_pong(endpoint: Endpoint, pong: Pong | DHTError) -> dict[str, Any]:
    if isinstance(pong, Pong):
        return {"endpoint": str(endpoint), "id": pong.id.hex(), "rtt_s": round(pong.rtt, 6),
                "version": pong.version.hex() if pong.version is not None else None, "error": None}
    return {"endpoint": str(endpoint), "id": None, "rtt_s": None, "version": None, "error": str(pong)}


def show_version(version: bytes | None) -> str:
    """Two letters name the client, two bytes its version (BEP 5, `v`)."""
    if version is None:
        return "-"
    is_usual = len(version) == 4 and version[:2].isalpha()
    return f"{version[:2].decode()} {version[2:].hex()}" if is_usual else version.hex()


@click.command("find-node", cls=NodeCommand)
@click.argument("target", type=TARGET, metavar="HEX40|self")
@remote_option
@node_options
def find_node(target: NodeId | str, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    """Find the nodes closest to an id.

    With --remote, shows which nodes each of those names; else looks up the closest in the whole network.
    """
    run_async(run_find_node(target, remote, options))


async def run_find_node(target: NodeId | str, remote: tuple[Remote, ...], options: NodeOptions) -> None:
    async with open_session(options, remote) as session:
        wanted = session.target(target)
        asked = await session.remotes(remote, wanted)
        if asked is None:
            report = await session.node.find_node(wanted)
            note_lookup(report)
            value = {"target": wanted.hex(), "closest": [plain_closest(each, wanted) for each in report.closest],
                     "lookup": plain_lookup(report)}
            emit(options.as_json, value, CLOSEST_COLUMNS, closest_rows(report.closest, wanted))
        else:
            await show_named(session, asked, wanted)
        await session.finish()


async def show_named(session: Session, asked: list[Endpoint], target: NodeId) -> None:
    """Which nodes each of those asked names."""
    answers = await ask_each(session, "find_node", asked, {"target": bytes(target)})
    value = {"target": target.hex(), "answers": [plain_answer(endpoint, answer) for endpoint, answer in answers]}
    rows = [(str(endpoint), str(node_id), str(place), str(shared_bits(node_id, target)))
            for endpoint, answer in answers for node_id, place in named_nodes(answer)]
    emit(session.options.as_json, value, ("told by", "id", "endpoint", "shared bits"), rows)
    check_answers(answers)


Answer = dict[bytes, Any] | DHTError


async def ask_each(session: Session, method: str, asked: list[Endpoint],
                   arguments: dict[str, object]) -> list[tuple[Endpoint, Answer]]:
    """One query to each; an answer is its results, or why there are none."""
    async def ask(endpoint: Endpoint) -> Answer:
        try:
            return await session.node.query(method, endpoint, arguments)
        except DHTError as error:
            return error

    return list(zip(asked, await asyncio.gather(*map(ask, asked)), strict=True))


def check_answers(answers: list[tuple[Endpoint, Answer]]) -> None:
    """Say who did not answer; raises DHTError when nobody did."""
    for endpoint, answer in answers:
        if isinstance(answer, RemoteError):
            emit_remark(f"{endpoint}: {answer}")
        elif isinstance(answer, DHTError):
            emit_remark(str(answer))
    if all(isinstance(answer, DHTError) for _, answer in answers):
        raise DHTError(f"none of {len(answers)} nodes answered")


def named_nodes(answer: Answer) -> list[tuple[NodeId, Endpoint]]:
    if isinstance(answer, DHTError):
        return []
    return unpack_nodes(answer.get(b"nodes"), 26) + unpack_nodes(answer.get(b"nodes6"), 38)


def plain_answer(endpoint: Endpoint, answer: Answer) -> dict[str, Any]:
    if isinstance(answer, DHTError):
        return {"endpoint": str(endpoint), "id": None, "nodes": [], "error": str(answer)}
    node_id = answer.get(b"id")
    return {"endpoint": str(endpoint), "id": node_id.hex() if isinstance(node_id, bytes) else None,
            "nodes": [{"id": each.hex(), "endpoint": str(place)} for each, place in named_nodes(answer)], "error": None}


@click.command("closest-stores", cls=NodeCommand)
@click.argument("target", type=TARGET, metavar="HEX40|self")
@click.option("-n", "count", type=click.IntRange(1, MOST_CLOSEST), default=MOST_CLOSEST, show_default=True,
              metavar="N", help="How many at most, 1 to 16.")
@node_options
def closest_stores(target: NodeId | str, count: int, options: NodeOptions) -> None:
    """Find the nodes closest to a target that would store an item there (BEP 44)."""
    run_async(run_closest(CLOSEST_STORES, target, count, options))


@click.command("closest-peers", cls=NodeCommand)
@click.argument("target", type=TARGET, metavar="HEX40|self")
@click.option("-n", "count", type=click.IntRange(1, MOST_CLOSEST), default=MOST_CLOSEST, show_default=True,
              metavar="N", help="How many at most, 1 to 16.")
@node_options
def closest_peers(target: NodeId | str, count: int, options: NodeOptions) -> None:
    """Find the nodes closest to an infohash that would keep peers for it (BEP 5)."""
    run_async(run_closest(CLOSEST_PEERS, target, count, options))


async def run_closest(kind: str, target: NodeId | str, count: int, options: NodeOptions) -> None:
    async with open_session(options, lookup_width=count) as session:
        wanted = session.target(target)
        await session.join()
        closest = await session.closest(kind, wanted, count)
        value = {"target": wanted.hex(), "closest": [plain_closest(each, wanted) for each in closest]}
        emit(options.as_json, value, CLOSEST_COLUMNS, closest_rows(closest, wanted))
        if not closest:
            raise DHTError(f"no node near {wanted} gives write tokens")
        await session.finish()
