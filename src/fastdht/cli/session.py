"""A node for one command: opened as the options say, joined, asked, closed. Rate class: command.

A command opens a Session, lets it find whom to ask (`remotes`), asks, prints, and ends with `finish`, which waits for
a signal where --wait was given. Only `serve` and `bootstrap` write the state file: a command that took its id while a
server runs with it would be taken for that server, and heard by nobody.
"""
from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fastdht.blocklist import Blocklist, parse_lines, read_ranges
from fastdht.cli.options import MAX_LIST, NodeOptions, Remote
from fastdht.cli.params import CLOSEST_PEERS, CLOSEST_STORES, SELF, HostPort
from fastdht.cli.traffic import log_datagram, set_up_logging
from fastdht.config import LookupConfig, public_bootstrap
from fastdht.engine.names import HostList
from fastdht.engine.traffic import Watcher, watched
from fastdht.engine.transport import open_transport
from fastdht.errors import ConfigError, DHTError
from fastdht.node import Node
from fastdht.persist.state import load_state
from fastdht.stats import ClosestContact, LookupReport
from fastdht.types import Endpoint, NodeId

log = logging.getLogger(__name__)

ANY_V4, ANY_V6 = Endpoint("0.0.0.0", 0), Endpoint("::", 0)
DEFAULT_STATE = Path("~/.local/state/fastdht/node")
SAVED_HOSTS = 64            # contacts of the state file that a command may start from
LOCAL_NETS = tuple(map(ipaddress.ip_network, (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7",
    "fe80::/10")))
CLOSEST = 8                 # nodes that closest-stores and closest-peers stand for


class Session:
    """An open node, and what the user wants of it."""

    def __init__(self, node: Node, options: NodeOptions, hosts: Sequence[str]) -> None:
        self.node = node
        self.options = options
        self._hosts = hosts

    def target(self, given: NodeId | str) -> NodeId:
        """A target; `self` is our own id."""
        if isinstance(given, NodeId):
            return given
        assert given == SELF
        return self.node.id

    async def join(self) -> None:
        """Wait for the first neighbours. Raises ConfigError when nobody can be asked, DHTError when nobody answers."""
        if not self._hosts:
            raise ConfigError("nobody to ask: " + (
                "no contacts are saved; `fastdht bootstrap` saves some" if "saved" in self.options.bootstrap
                else "no bootstrap host and no --remote; give one of them"))
        log.info("dht bootstrap, %d hosts", len(self._hosts))
        try:
            async with asyncio.timeout(self.options.join_timeout):
                await self.node.joined()
        except TimeoutError:
            shown = ", ".join(self._hosts[:4]) + (", …" if len(self._hosts) > 4 else "")
            raise DHTError(f"no bootstrap host answered within {self.options.join_timeout:g} s: {shown}") from None
        log.info("self id after bootstrap %s, %d contacts", self.node.id, len(self.node.contacts()))

    async def remotes(self, given: Iterable[Remote], target: NodeId | None = None) -> list[Endpoint] | None:
        """Whom to ask: None for an iterative lookup. Joins first where a lookup is needed."""
        chosen = list(given)
        if not chosen:
            await self.join()
            return None
        found: list[Endpoint] = []
        if any(isinstance(each, str) for each in chosen):
            await self.join()
        for each in chosen:
            if isinstance(each, str):
                found += [close.contact.endpoint for close in await self.closest(each, target or self.node.id, CLOSEST)]
            else:
                found += await resolve(each, self.node)
        return list(dict.fromkeys(found))

    async def closest(self, kind: str, target: NodeId, count: int) -> list[ClosestContact]:
        """The closest nodes that keep peers, or items, for a target: those that gave a write token for it."""
        if kind == CLOSEST_PEERS:
            report = await self.node.get_peers(target)
        else:
            assert kind == CLOSEST_STORES
            report = (await self.node.find_item(target)).lookup
        note_lookup(report)
        return [each for each in report.closest if each.token is not None][:count]

    async def finish(self) -> None:
        """Go on serving until a signal, where --wait was given."""
        if self.options.wait:
            log.info("waiting at %s", self.node.endpoints[0])
            await wait_for_signal()


@contextlib.asynccontextmanager
async def open_session(options: NodeOptions, remote: Sequence[Remote] = (), *, is_server: bool = False,
                       must_save: bool = False, lookup_width: int = 0,
                       limits: Literal["node", "off"] = "node", save_stores: bool = False,
                       told: Watcher | None = None) -> AsyncIterator[Session]:
    """Start the node of a command.

    must_save: the command is there to write the state file. told: is shown every datagram, instead of the log.
    """
    set_up_logging(options.verbose)
    state = state_path(options, must_save)
    is_saver = (is_server or must_save) and options.save and state is not None
    hosts = [] if is_direct(options, remote) and not is_server else entry_hosts(options, state)
    told = told or (log_datagram if options.verbose > 1 else None)
    node = Node(**node_arguments(options, remote, hosts, is_server=is_server, lookup_width=lookup_width),
                state=state if is_saver else None, save_stores=save_stores and is_saver, limits=limits,
                transport=watched(told) if told else open_transport)
    async with node:
        log.info("self id %s at %s", node.id, ", ".join(map(str, node.endpoints)))
        yield Session(node, options, hosts)


def node_arguments(options: NodeOptions, remote: Sequence[Remote], hosts: Sequence[str], *, is_server: bool,
                   lookup_width: int = 0) -> dict[str, Any]:
    """What Node takes, but for its state file."""
    lookup = LookupConfig(alpha=options.alpha)
    read_only = options.read_only if options.read_only is not None else not (is_server or options.wait)
    return {
        "bind": [str(each) for each in listening(options, remote)], "bootstrap": hosts,
        "allow_net": [*options.allow_net, *own_nets(options, remote, hosts)],
        "node_id": options.node_id, "read_only": read_only,
        "k": options.bucket_size, "query_timeout": options.query_timeout,
        "query_concurrency": options.query_concurrency, "bucket_refresh": options.bucket_refresh,
        "enforce_node_id": options.enforce_node_id, "public_ip": options.public_ip,
        "token_secret": token_secret(options), "blocklist": blocklist(options),
        "lookup": replace(lookup, width=max(lookup.width, lookup_width))}


def listening(options: NodeOptions, remote: Sequence[Remote]) -> tuple[Endpoint, ...]:
    """Where to bind: as the user says, else any port, of IPv6 too where a remote needs it."""
    if options.listen:
        return options.listen
    hosts = [host for each in remote if not isinstance(each, str) for host, _ in each]
    families = {":" in host for host in hosts} or {False}
    return tuple(ANY_V6 if is_ipv6 else ANY_V4 for is_ipv6 in sorted(families))


def own_nets(options: NodeOptions, remote: Sequence[Remote], hosts: Iterable[str]) -> list[str]:
    """Ranges that are not public but of which the user has named an address: he means them."""
    named = [each.ip for each in options.listen] + [each.rpartition(":")[0].strip("[]") for each in hosts]
    named += [host for each in remote if not isinstance(each, str) for host, _ in each]
    return [str(net) for net in LOCAL_NETS if any(is_inside(name, net) for name in named)]


def is_inside(name: str, net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(name) in net
    except ValueError:                  # a host name
        return False


def is_direct(options: NodeOptions, remote: Sequence[Remote]) -> bool:
    """Whether the command asks named nodes only, and need not join."""
    return bool(remote) and not any(isinstance(each, str) for each in remote) and not options.wait


def state_path(options: NodeOptions, must_save: bool) -> Path | None:
    if options.state_file is not None or not (must_save or "saved" in options.bootstrap):
        return options.state_file
    return DEFAULT_STATE.expanduser()


def entry_hosts(options: NodeOptions, state: Path | None) -> list[str]:
    """Host:port of whom to join through, saved contacts first."""
    if "none" in options.bootstrap:
        if len(options.bootstrap) > 1:
            raise ConfigError("--bootstrap none stands alone")
        return []
    hosts = []
    if state is not None:
        saved = load_state(state)
        known = [each.endpoint for socket in saved.sockets for each in socket.contacts]
        hosts += [str(each) for each in [*known, *(each.endpoint for each in saved.strangers)]][:SAVED_HOSTS]
    for each in options.bootstrap:
        if each == "public":
            hosts += public_bootstrap()
        elif not isinstance(each, str):
            hosts += [show_host(host) for host in each]
    return list(dict.fromkeys(hosts))


def token_secret(options: NodeOptions) -> bytes | None:
    if options.token_secret_file is None:
        return options.token_secret.encode() if options.token_secret is not None else None
    if options.token_secret is not None:
        raise ConfigError("--token-secret and --token-secret-file; one of them")
    try:
        with options.token_secret_file.open("rb") as file:
            return file.read(MAX_LIST).strip()
    except OSError as error:
        raise ConfigError(f"token secret {options.token_secret_file}: {error.strerror}") from None


def blocklist(options: NodeOptions) -> Blocklist | None:
    """Every list of --blocklist and --block as one."""
    if not options.blocklist and not options.block:
        return None
    inline = [found for text in options.block for found in parse_lines(text.splitlines(), "--block")]
    return Blocklist([*inline, *(found for path in options.blocklist for found in read_ranges(path))])


async def resolve(hosts: Iterable[HostPort], node: Node) -> list[Endpoint]:
    """Endpoints of hosts in a family that the node is bound to. Raises DHTError for a name that is not found."""
    family: Literal[4, 6] = 6 if all(each.is_ipv6 for each in node.endpoints) else 4
    found = []
    for host in hosts:
        names = HostList([show_host(host)])
        packed = names.numeric() or await names(family)
        if not packed:
            raise DHTError(f"{show_host(host)}: no such host")
        found.append(Endpoint.unpack(packed[0]))
    return found


def show_host(host: HostPort) -> str:
    return f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}"


def note_lookup(report: LookupReport) -> None:
    """What a lookup did, for -v."""
    log.info("lookup of %s: %s, %d of %d answered, %d failed, %d hops, %.3f s", report.target, report.outcome,
             report.responses, report.queries, report.failures, report.hops, report.elapsed)
    for found in report.closest:
        log.info("closest %s, %.0f ms, hop %d", found.contact, found.rtt * 1000, found.hops)


async def wait_for_signal() -> None:
    """Return at the first SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM) if os.name == "posix" else ()
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
