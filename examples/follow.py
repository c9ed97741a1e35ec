"""Tell which torrent a key names, now and whenever that changes: python examples/follow.py 'magnet:?xs=urn:btpk:…'"""
from __future__ import annotations

import asyncio
import sys

import fastdht


async def main(node: fastdht.Node, link: str, count: str = "0") -> None:
    magnet = fastdht.Magnet.parse(link)
    if magnet.public_key is None:
        raise SystemExit("the link names no key: xs=urn:btpk:… is missing")
    seen = 0
    async for update in node.follow(magnet.public_key, salt=magnet.salt):
        print(f"{fastdht.Magnet(update.info_hash)} since seq {update.seq}")
        seen += 1
        if seen == int(count):          # 0: for ever
            return


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
