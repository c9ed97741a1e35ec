"""A query of any method to one node: python examples/raw_query.py IP:PORT METHOD"""
from __future__ import annotations

import asyncio
import sys

import fastdht


async def main(node: fastdht.Node, endpoint: str, method: str) -> None:
    try:
        answer = await node.query(method, endpoint, {"target": bytes(node.id)})
    except (fastdht.RemoteError, fastdht.NoResponse) as error:
        print(error)
    else:
        print(sorted(answer))


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
