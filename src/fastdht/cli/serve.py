"""`fastdht serve`: one node, until a signal. Rate class: command."""
from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Literal

import click

from fastdht.cli.options import NodeCommand, NodeOptions, node_options
from fastdht.cli.params import HostPort
from fastdht.cli.render import emit_json
from fastdht.cli.run import run_async
from fastdht.cli.session import Session, open_session, show_host
from fastdht.cli.watching import metrics_option
from fastdht.types import Endpoint

LISTEN = Endpoint("0.0.0.0", 6881)


@click.command(cls=NodeCommand)
@click.option("--limits", type=click.Choice(["node", "off"]), default="node", show_default=True,
              help="`off` lifts every rate limit; the bounds on memory stay.")
@metrics_option
@click.option("--save-stores", is_flag=True, help="Keep what others store here as well, beside the state file.")
@node_options
def serve(limits: Literal["node", "off"], metrics: Endpoint | None, save_stores: bool, options: NodeOptions) -> None:
    """Run a node until Ctrl-C or SIGTERM.

    Prints one JSON line when it is up: where it listens and its id; with --metrics, where those are.
    """
    options = replace(options, listen=options.listen or (LISTEN,), wait=True)
    if save_stores and options.state_file is None:
        raise click.UsageError("--save-stores needs --state-file")
    run_async(serve_until_signal(options, limits, metrics, save_stores))


def bootstrap_hosts(chosen: str | tuple[HostPort, ...]) -> Literal["public"] | list[str]:
    """What Node takes: "public", or host:port strings."""
    if chosen == "public":
        return "public"
    return [] if isinstance(chosen, str) else [show_host(host) for host in chosen]


async def serve_until_signal(options: NodeOptions, limits: Literal["node", "off"], metrics: Endpoint | None,
                             save_stores: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(
            options, is_server=True, limits=limits, save_stores=save_stores))
        node = session.node
        ready: dict[str, object] = {"endpoint": str(node.endpoints[0]), "id": node.id.hex()}
        if len(node.endpoints) > 1:
            ready["sockets"] = [{"endpoint": str(endpoint), "id": node_id.hex()}
                                for endpoint, node_id in zip(node.endpoints, node.ids, strict=True)]
        if metrics is not None:
            ready["metrics"] = await stack.enter_async_context(open_metrics(session, metrics))
        emit_json(ready)
        await session.finish()


def open_metrics(session: Session, where: Endpoint) -> contextlib.AbstractAsyncContextManager[str]:
    """Loaded when it is wanted: it needs an extra."""
    from fastdht.cli.metrics import NodeCollector, serve_metrics

    return serve_metrics(NodeCollector(session.node), where)
