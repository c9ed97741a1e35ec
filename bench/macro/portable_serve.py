"""A node on the portable path, as macOS and Windows run it: python -m bench.macro.portable_serve IP:PORT BOOTSTRAP.

asyncio's DatagramProtocol feeds the same core; there is no command for it, since Linux never needs it. One JSON line.
"""
from __future__ import annotations

import asyncio
import functools
import json
import sys

from fastdht.cli.run import run_async
from fastdht.engine.transport import open_transport
from fastdht.node import Node


async def serve(listen: str, bootstrap: str) -> None:
    async with Node(listen, bootstrap=[bootstrap], allow_net=["127.0.0.0/8"], limits="off",
                    transport=functools.partial(open_transport, portable=True)) as node:
        print(json.dumps({"endpoint": str(node.endpoints[0]), "id": node.id.hex()}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run_async(serve(*sys.argv[1:3]))
