"""The options that every command with a node has, and the classes that show them apart in --help. Rate class: command.

`node_options` adds them after the sub-command and hands them over as one NodeOptions. Each can be set by the
environment too: --query-timeout by FASTDHT_QUERY_TIMEOUT.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from fastdht.cli.params import (
    BOOTSTRAP, DURATION, LISTEN, NETWORK, NODE_ID, PUBLIC_IP, REMOTE, TIMEOUT, HostPort)
from fastdht.config import LookupConfig
from fastdht.engine.upkeep import PINGS_PER_TICK
from fastdht.types import Endpoint, NodeId

Command = TypeVar("Command", bound=Callable[..., Any])
Remote = str | tuple[HostPort, ...]

BUCKET_SIZE = 20            # those four are the defaults of the program that gave these options their names
QUERY_CONCURRENCY = 24
QUERY_TIMEOUT = "1s"
MAX_LIST = 1 << 20          # bytes of a secret's file


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What the user said about the node; the names are those of the options."""

    listen: tuple[Endpoint, ...]
    node_id: NodeId | None
    public_ip: str | None
    bootstrap: tuple[str | tuple[HostPort, ...], ...]
    join_timeout: float
    state_file: Path | None
    save: bool
    query_concurrency: int
    query_timeout: float
    bucket_refresh: int
    bucket_size: int
    alpha: int
    token_secret: str | None
    token_secret_file: Path | None
    blocklist: tuple[str, ...]
    block: tuple[str, ...]
    read_only: bool | None
    enforce_node_id: bool
    allow_net: tuple[str, ...]
    wait: bool
    as_json: bool
    verbose: int


class NodeOption(click.Option):
    """An option of the node rather than of the command; FASTDHT_<NAME> sets it too."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        longest = max(self.opts, key=len)
        self.envvar = f"FASTDHT_{longest.lstrip('-').replace('-', '_').upper()}"


class NodeCommand(click.Command):
    """A command that lists its own options before those of its node."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, is_shared in (("Options", False), ("Node options", True)):
            records = [record for parameter in self.get_params(ctx)
                       if isinstance(parameter, click.Option) and isinstance(parameter, NodeOption) == is_shared
                       and (record := parameter.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        formatter.write_paragraph()
        formatter.write_text("Node options are read from the environment too: --query-timeout from "
                             "FASTDHT_QUERY_TIMEOUT.")


def node_option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=NodeOption, **attributes)


NODE_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    node_option("--listen", type=LISTEN, multiple=True, metavar="HOST:PORT",
                help="Address to listen on; port 0 for any. May be repeated. Default: any port, of serve 6881."),
    node_option("--node-id", type=NODE_ID, metavar="HEX40",
                help="Own id. Default: one that fits the address (BEP 42)."),
    node_option("--public-ip", type=PUBLIC_IP, metavar="IP[:PORT]",
                help="Own address as others see it. Default: what they say."),
    node_option("--bootstrap", type=BOOTSTRAP, multiple=True, default=("public",), metavar="HOSTS",
                help="Whom to join through: HOST:PORT,… or public (the well-known hosts), saved (contacts of the state "
                     "file), none. May be repeated. Default: public."),
    node_option("--join-timeout", type=TIMEOUT, default="10s", show_default=True, metavar="DURATION",
                help="How long to wait for the first neighbours."),
    node_option("--state-file", type=click.Path(dir_okay=False, path_type=Path), metavar="PATH",
                help="Where ids and contacts are kept. serve and bootstrap write it, every command reads it."),
    node_option("--no-save", "save", is_flag=True, flag_value=False, default=True, help="Do not write the state file."),
    node_option("--query-concurrency", type=click.IntRange(1, 131_072), default=QUERY_CONCURRENCY, show_default=True,
                metavar="N", help="Most queries out at a time."),
    node_option("--query-timeout", type=TIMEOUT, default=QUERY_TIMEOUT, show_default=True, metavar="DURATION",
                help="When a query has failed: 300ms, 1.5s, 1m30s, or plain seconds."),
    node_option("--bucket-refresh", "--kconcurrency", type=click.IntRange(1, 1000), default=PINGS_PER_TICK,
                show_default=True, metavar="N", help="Most silent or new contacts pinged a second."),
    node_option("--bucket-size", "--ksize", type=click.IntRange(1, 128), default=BUCKET_SIZE, show_default=True,
                metavar="N", help="Contacts per bucket of the routing table."),
    node_option("--alpha", type=click.IntRange(1, 64), default=LookupConfig().alpha, show_default=True, metavar="N",
                help="Queries of a lookup out at a time, late ones not counted."),
    node_option("--token-secret", metavar="TEXT",
                help="Makes write tokens outlive a restart; nodes that share it accept each other's."),
    node_option("--token-secret-file", type=click.Path(dir_okay=False, path_type=Path), metavar="PATH",
                help="The same from a file, which others cannot see in a list of processes."),
    node_option("--blocklist", multiple=True, metavar="FILE|-",
                help="Addresses to neither hear nor ask: PeerGuardian lines or CIDR ranges. May be repeated."),
    node_option("--block", multiple=True, metavar="DESC:FIRST-LAST",
                help="One such line, or several. May be repeated."),
    node_option("--read-only/--no-read-only", default=None,
                help="Ask, but serve nobody (BEP 43). Default: yes, unless the command is serve or has --wait."),
    node_option("--enforce-node-id/--no-enforce-node-id", default=False,
                help="Keep no contact whose id does not fit its address (BEP 42)."),
    node_option("--allow-net", type=NETWORK, multiple=True, metavar="CIDR",
                help="Range that counts as public, such as 127.0.0.0/8 for tests. May be repeated."),
    node_option("--wait", is_flag=True, help="Then go on serving until Ctrl-C or SIGTERM."),
    node_option("--json", "as_json", is_flag=True, help="The result as one JSON object on stdout."),
    node_option("-v", "--verbose", count=True, help="Say on stderr what is done; -vv: each datagram."),
)

NAMES = tuple(each.name for each in fields(NodeOptions))


def node_options(command: Command) -> Callable[..., Any]:
    """Add the options of a node; the command gets them as `options`."""
    @functools.wraps(command)
    def packed(**values: Any) -> Any:
        taken = {name: values.pop(name) for name in NAMES}
        return command(options=NodeOptions(**taken), **values)

    wrapped: Callable[..., Any] = packed
    for add in reversed(NODE_OPTIONS):
        wrapped = add(wrapped)
    return wrapped


remote_option = click.option(
    "--remote", type=REMOTE, multiple=True, metavar="NODES",
    help="Ask exactly HOST:PORT,… or those that a lookup finds first: closest-stores, closest-peers. May be repeated. "
         "Default: an iterative lookup.")
json_option = click.option("--json", "as_json", is_flag=True, help="The result as one JSON object on stdout.")
every_option = functools.partial(click.option, "--every", type=DURATION)
