"""Add one to a number that several programs share: python examples/mutable.py KEYFILE

The key file holds 32 secret bytes, and is made when it is missing. Whoever has it may write; `cas` makes sure that no
write is lost at any node: who comes second reads again.
"""
from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import fastdht
from fastdht.crypto import SigningKey


async def main(node: fastdht.Node, key_file: str) -> None:
    key = load_key(Path(key_file))
    while True:
        try:
            held = await node.get_mutable(key.public_key)
            count, seq = held.value, held.seq
        except fastdht.NotFound:
            count, seq = 0, None
        assert isinstance(count, int)
        try:
            report = await node.put_mutable(key, count + 1, seq=0 if seq is None else seq + 1, cas=seq)
            break
        except fastdht.WriteRejected as error:
            if not error.report.conflicts:
                raise
            print(f"another writer was first; reading again ({error})", file=sys.stderr)
    print(f"{key.public_key.hex()} counts {count + 1} at {report.accepted} nodes, {len(report.conflicts)} disagree")


def load_key(path: Path) -> SigningKey:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(32))
    return SigningKey.from_seed(path.read_bytes())


async def run() -> None:
    async with fastdht.Node() as node:
        await node.joined()
        await main(node, *sys.argv[1:])


if __name__ == "__main__":
    asyncio.run(run())
