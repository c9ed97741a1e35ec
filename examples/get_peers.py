"""The peers of a torrent, as they are found: python examples/get_peers.py INFOHASH"""
from __future__ import annotations

import asyncio
import sys

import fastdht


async def main(node: fastdht.Node, info_hash: str) -> None:
    lookup = node.get_peers(fastdht.InfoHash.parse(info_hash))
    async for peer in lookup:
        print(peer)
    report = await lookup
    print(f"{report.queries} queries, {report.elapsed:.1f} s", file=sys.stderr)


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
