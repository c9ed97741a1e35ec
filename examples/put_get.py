"""Store a text under its hash and read it back: python examples/put_get.py TEXT"""
from __future__ import annotations

import asyncio
import sys

import fastdht


async def main(node: fastdht.Node, text: str) -> None:
    report = await node.put(text)
    print(f"{report.target} stored by {report.accepted} nodes")
    item = await node.get(report.target)
    assert isinstance(item.value, bytes)
    print(item.value.decode())


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
