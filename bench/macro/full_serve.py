"""A node with every store full: python -m bench.macro.full_serve IP:PORT BOOTSTRAP. One JSON line when it is up.

Peers and items come in as datagrams, through the same path as any others, so that what keeps count of sources is full,
too. Its block list has 300,000 ranges.
"""
from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from random import Random
from typing import Any

from fastdht._ext import krpc
from fastdht._ext.core import Core
from fastdht.blocklist import Blocklist
from fastdht.cli.run import run_async
from fastdht.config import CoreConfig
from fastdht.node import Node

BLOCKED_RANGES = 300_000
VALUE_SIZE = 990            # the largest but for its length
SEED = 9


def source(rng: Random) -> bytes:
    """Anywhere in 127.128.0.0/9: the load asks from elsewhere."""
    return bytes((127, 128 + rng.randrange(128), rng.randrange(256), rng.randrange(1, 255))) + b"\x1a\xe1"


def write(core: Core, method: str, asked: str, target: bytes, at: bytes, now_us: int, **arguments: Any) -> None:
    """Ask for a token, then write with it."""
    core.receive(krpc.build_query(asked, id=bytes(20), tid=1, target=target), at, now_us)
    [(answer, _)] = core.drain()
    token = answer.index(b"5:token8:") + 9
    core.receive(krpc.build_query(method, id=bytes(20), tid=1, target=target, token=answer[token:token + 8],
                                  **arguments), at, now_us)
    core.drain()


def fill(core: Core, config: CoreConfig, now_us: int) -> dict[str, int]:
    """Write until every store is at its bound; returns what was written."""
    rng = Random(SEED)
    torrents = [rng.randbytes(20) for _ in range(config.peers.max_info_hashes)]
    for number in range(config.peers.max_peers):
        write(core, "announce_peer", "get_peers", torrents[number % len(torrents)], source(rng), now_us, port=6881)
    for _ in range(config.items.max_items):
        value = b"%d:%s" % (VALUE_SIZE, rng.randbytes(VALUE_SIZE))
        write(core, "put", "get", hashlib.sha1(value).digest(), source(rng), now_us, value=value)
    return {"peers": config.peers.max_peers, "items": core.items.item_count}


def block_list() -> Blocklist:
    """Ranges that hold nobody of this bench, so that each look-up runs to its end."""
    first = 20 << 24
    return Blocklist((4, first + 256 * i, first + 256 * i + 127) for i in range(BLOCKED_RANGES))


async def serve(listen: str, bootstrap: str) -> None:
    async with Node(listen, bootstrap=[bootstrap], allow_net=["127.0.0.0/8"], limits="off",
                    blocklist=block_list()) as node:
        [engine] = node._engines        # to fill its stores without a socket between
        written = fill(engine.core, CoreConfig().limits_off(), engine.clock())
        print(json.dumps({"endpoint": str(node.endpoints[0]), **written}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run_async(serve(*sys.argv[1:3]))
