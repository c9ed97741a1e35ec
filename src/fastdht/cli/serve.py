"""`fastdht serve`: one node, until a signal. Rate class: command."""
from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterable
from typing import Literal

import click

from fastdht.cli.params import BOOTSTRAP, LISTEN, NETWORK, HostPort
from fastdht.cli.run import run_async
from fastdht.node import Node
from fastdht.types import Endpoint


@click.command()
@click.option("--listen", type=LISTEN, default="0.0.0.0:6881", show_default=True,
              help="Address to listen on; [::]:6881 for IPv6, port 0 for any.")
@click.option("--bootstrap", type=BOOTSTRAP, default="public", show_default=True,
              help="Hosts to join through, HOST:PORT,…; `none` for no host.")
@click.option("--allow-net", type=NETWORK, multiple=True,
              help="Address range that counts as public, such as 127.0.0.0/8 for tests; may be repeated.")
@click.option("--limits", type=click.Choice(["node", "off"]), default="node", show_default=True,
              help="`off` lifts every rate limit; the bounds on memory stay.")
def serve(listen: Endpoint, bootstrap: str | tuple[HostPort, ...], allow_net: tuple[str, ...],
          limits: Literal["node", "off"]) -> None:
    """Run a node until a signal; prints one JSON line with its endpoint and id when it is up."""
    run_async(serve_until_signal(listen, bootstrap_hosts(bootstrap), allow_net, limits))


def bootstrap_hosts(chosen: str | tuple[HostPort, ...]) -> Literal["public"] | list[str]:
    """What Node takes: "public", or host:port strings."""
    if chosen == "public":
        return "public"
    return [] if isinstance(chosen, str) else [f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in chosen]


async def serve_until_signal(listen: Endpoint, bootstrap: Literal["public"] | Iterable[str],
                             allow_net: tuple[str, ...], limits: Literal["node", "off"]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Node(str(listen), bootstrap=bootstrap, allow_net=allow_net, limits=limits) as node:
        click.echo(json.dumps({"endpoint": str(node.endpoints[0]), "id": node.id.hex()}))
        await stop.wait()
