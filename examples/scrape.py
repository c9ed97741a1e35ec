"""How many seeds and other peers torrents have: python examples/scrape.py INFOHASH…"""
from __future__ import annotations

import asyncio
import sys

import fastdht


async def main(node: fastdht.Node, *info_hashes: str) -> None:
    async for swarm in node.scrape_many(map(fastdht.InfoHash.parse, info_hashes)):
        seeds, peers = swarm.seeds, swarm.peers
        print(f"{swarm.info_hash} seeds {seeds.low:.0f} to {seeds.high:.0f}, peers {peers.low:.0f} to {peers.high:.0f}")


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
