"""`fastdht doctor`: how well the DHT works from here. Rate class: command.

First it asks each entry host by itself, from a socket of its own; then a node joins through them, and for a while it is
watched who asks it: a query of somebody whom we have never sent anything proves that we can be reached.
"""
from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from fastdht import bencode
from fastdht.cli.options import NodeCommand, NodeOptions, node_options
from fastdht.cli.params import TIMEOUT
from fastdht.cli.probe import Probe, Reply
from fastdht.cli.render import Row, emit_json, milliseconds, percent, print_rows
from fastdht.cli.run import run_async
from fastdht.cli.session import entry_hosts, open_session, state_path
from fastdht.cli.traffic import log_datagram
from fastdht.engine.names import HostList
from fastdht.engine.traffic import Watcher
from fastdht.errors import DecodeError, DHTError, NoResponse
from fastdht.node import Node
from fastdht.types import Endpoint, NodeId

PINGS = 5
PAUSE_S = 0.25              # between pings of one host: more of them would be rude
MAX_KNOWN = 65_536          # endpoints remembered; beyond, nobody counts as a stranger


@dataclass(frozen=True, slots=True)
class HostHealth:
    """What one entry host has answered to PINGS pings."""

    name: str
    endpoint: Endpoint | None
    answered: int = 0
    rtt: float | None = None            # median, seconds
    node_id: NodeId | None = None
    told: Endpoint | None = None        # our address, as the host sees it (BEP 42)

    @property
    def is_secure(self) -> bool | None:
        if self.node_id is None or self.endpoint is None:
            return None
        return self.node_id.fits(self.endpoint)

    @property
    def rank(self) -> tuple[int, float]:
        return -self.answered, self.rtt or float("inf")


@click.command(cls=NodeCommand)
@click.option("--watch", type=TIMEOUT, default="20s", show_default=True, metavar="DURATION",
              help="How long to wait for strangers that ask us.")
@node_options
def doctor(watch: float, options: NodeOptions) -> None:
    """Rank the bootstrap hosts, then join and tell how well the DHT works from here.

    Shows loss, our address as others see it, whether others can reach us, and whether ids fit their addresses
    (BEP 42). Fails when no host answers.
    """
    run_async(run_doctor(watch, options))


async def run_doctor(watch: float, options: NodeOptions) -> None:
    hosts = await examine_hosts(options)
    if not any(host.answered for host in hosts):
        show_hosts(hosts, options.as_json)
        raise NoResponse(f"none of {len(hosts)} bootstrap hosts answers")
    options = replace(options, read_only=bool(options.read_only))
    acquaintances = Acquaintances(log_datagram if options.verbose > 1 else None)
    async with open_session(options, told=acquaintances.note) as session:
        await session.join()
        await asyncio.sleep(watch)
        findings = examine_node(session.node, hosts, len(acquaintances.strangers))
    if options.as_json:
        emit_json({"hosts": [plain_host(host) for host in hosts]} | findings)
    else:
        show_hosts(hosts, as_json=False)
        print_rows(("from here", "", ""), summarise(findings))


async def examine_hosts(options: NodeOptions) -> list[HostHealth]:
    """Every entry host, the best first."""
    names = entry_hosts(options, state_path(options, must_save=False))
    if not names:
        raise DHTError("no bootstrap host to examine")
    is_ipv6 = bool(options.listen) and options.listen[0].is_ipv6
    probe = await Probe.open(Endpoint("::" if is_ipv6 else "0.0.0.0", 0), options.query_timeout)
    try:
        found = await asyncio.gather(*(examine_host(probe, name, 6 if is_ipv6 else 4) for name in names))
    finally:
        probe.close()
    return sorted(found, key=lambda host: host.rank)


async def examine_host(probe: Probe, name: str, family: int) -> HostHealth:
    packed = await HostList([name])(family)
    if not packed:
        return HostHealth(name, None)
    endpoint = Endpoint.unpack(packed[0])
    replies: list[Reply] = []
    for number in range(PINGS):
        if number:
            await asyncio.sleep(PAUSE_S)
        reply = await probe.ask(endpoint, b"ping")
        if reply is not None:
            replies.append(reply)
    if not replies:
        return HostHealth(name, endpoint)
    node_id, told = replies[-1].results.get(b"id"), replies[-1].message.get(b"ip")
    return HostHealth(
        name, endpoint, len(replies), statistics.median(reply.rtt for reply in replies),
        NodeId(node_id) if isinstance(node_id, bytes) and len(node_id) == 20 else None,
        Endpoint.unpack(told) if isinstance(told, bytes) and len(told) in (6, 18) else None)


class Acquaintances:
    """Whom we have sent anything, and who asked us before that."""

    def __init__(self, pass_on: Watcher | None) -> None:
        self.strangers: set[bytes] = set()
        self._known: set[bytes] = set()
        self._pass_on = pass_on

    def note(self, is_sent: bool, data: bytes, remote: bytes) -> None:
        if len(self._known) < MAX_KNOWN:
            if not is_sent and remote not in self._known and is_query(data):
                self.strangers.add(remote)
            self._known.add(remote)
        if self._pass_on is not None:
            self._pass_on(is_sent, data, remote)


def is_query(data: bytes) -> bool:
    try:
        message = bencode.decode(data, strict=False)
    except DecodeError:
        return False
    return isinstance(message, dict) and message.get(b"y") == b"q"


def examine_node(node: Node, hosts: Sequence[HostHealth], strangers: int) -> dict[str, Any]:
    told = [host.told for host in hosts if host.told is not None]
    votes = Counter(each.ip for each in told)
    address, agreed = votes.most_common(1)[0] if votes else (None, 0)
    ports = {each.port for each in told}
    contacts = node.contacts()
    counters = node.stats().sockets[0].counters
    asked = counters["sent_queries"]
    fitting = sum(each.id.fits(each.endpoint) for each in contacts)
    return {
        "external_ip": address, "external_votes": len(told), "external_agreed": agreed,
        "is_port_stable": len(ports) == 1 if len(told) > 1 else None,
        "id": node.id.hex(),
        "is_id_secure": node.id.fits(Endpoint(address, 1)) if address is not None else None,
        "contacts": len(contacts), "secure_contacts": fitting,
        "queries": asked, "timeouts": counters["timeouts"],
        "loss": round(counters["timeouts"] / asked, 4) if asked else None,
        "strangers": strangers, "is_reachable": True if strangers else None}


def plain_host(host: HostHealth) -> dict[str, Any]:
    return {"host": host.name, "endpoint": str(host.endpoint) if host.endpoint else None, "asked": PINGS,
            "answered": host.answered, "rtt_s": round(host.rtt, 6) if host.rtt is not None else None,
            "id": host.node_id.hex() if host.node_id else None, "is_id_secure": host.is_secure,
            "external": str(host.told) if host.told else None}


def show_hosts(hosts: Sequence[HostHealth], as_json: bool) -> None:
    if as_json:
        emit_json({"hosts": [plain_host(host) for host in hosts]})
        return
    print_rows(("host", "answered", "rtt", "id fits", "sees us at"), [
        (host.name, f"{host.answered}/{PINGS}" if host.endpoint else "unknown name",
         milliseconds(host.rtt) if host.rtt is not None else "-",
         {None: "-", True: "yes", False: "no"}[host.is_secure], str(host.told or "-")) for host in hosts])


def summarise(findings: dict[str, Any]) -> list[Row]:
    known = {True: "yes", False: "no", None: "unknown"}
    contacts, loss = findings["contacts"], findings["loss"]
    return [
        Row("our address", findings["external_ip"] or "unknown",
            f"{findings['external_agreed']} of {findings['external_votes']} hosts agree"),
        Row("same port for all", known[findings["is_port_stable"]], "if not, a NAT in between hides us from strangers"),
        Row("reachable", known[findings["is_reachable"]], f"{findings['strangers']} strangers have asked us"),
        Row("own id fits", known[findings["is_id_secure"]], "BEP 42"),
        Row("contacts", str(contacts), "verified"),
        Row("their ids fit", percent(findings["secure_contacts"] / contacts) if contacts else "-", "BEP 42"),
        Row("unanswered", percent(loss) if loss is not None else "-",
            f"{findings['timeouts']} of {findings['queries']} queries: dead contacts and loss"),
    ]
