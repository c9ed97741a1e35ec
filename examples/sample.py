"""Which torrents the nodes around a random place know: python examples/sample.py"""
from __future__ import annotations

import asyncio
import os
import sys

import fastdht


async def main(node: fastdht.Node) -> None:
    samples = await node.sample_infohashes(os.urandom(20))
    for known in samples.nodes:
        print(f"{known.contact.endpoint} knows {known.num}; ask again in {known.interval} s", file=sys.stderr)
    for info_hash in samples.info_hashes:
        print(info_hash)


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
