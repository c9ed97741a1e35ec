"""One or more of our nodes among scripted storing nodes, in virtual time."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from fastdht.node import Node
from fastdht.testing import SimNetwork, builders
from fastdht.testing.testnet import SMALL, FilledNode
from tests.oracle.responder import Responder, responders


@asynccontextmanager
async def stage(count: int = 20, *, clients: int = 1, seed: int = 1,
                loss: float = 0.0) -> AsyncIterator[tuple[Sequence[Node], list[Responder]]]:
    """`clients` nodes whose tables hold all of `count` responders."""
    loop = asyncio.get_running_loop()
    network = SimNetwork(loop, seed, latency=20.0, loss=loss)
    scripted = responders(count, seed)
    for responder in scripted:
        network.act(responder.contact.endpoint, responder.answer)
    rng = Random(seed)
    nodes = [FilledNode(str(builders.endpoint(number)), table=[each.contact for each in scripted], bootstrap=(),
                        config=SMALL, clock=loop.clock, entropy=rng.randbytes, transport=network.open)
             for number in range(clients)]
    for node in nodes:
        await node.start()
    try:
        yield nodes, scripted
    finally:
        for node in nodes:
            await node.close()
