"""A node that serves, prints the queries it handles and its statistics: python examples/serve.py [SECONDS]"""
from __future__ import annotations

import asyncio
import sys

import fastdht


async def main(node: fastdht.Node, seconds: str = "60") -> None:
    print(f"serving at {node.endpoints[0]} as {node.id}")
    with node.observe(lambda query: print(query.method, query.source, query.target or "")):
        await asyncio.sleep(float(seconds))
    stats = node.stats()
    print(f"{stats.total('queries_handled')} queries handled, {stats.contacts} contacts, {stats.peers} peers stored")


async def run() -> None:
    async with fastdht.Node("0.0.0.0:6881") as node:
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
