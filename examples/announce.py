"""Announce a port as a peer of a torrent: python examples/announce.py INFOHASH PORT"""
from __future__ import annotations

import asyncio
import sys

import fastdht


async def main(node: fastdht.Node, info_hash: str, port: str) -> None:
    report = await node.announce_peer(fastdht.InfoHash.parse(info_hash), int(port))
    for outcome in report.outcomes:
        print(outcome.contact, outcome.error or "accepted")


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
