"""The same seed gives the same packets: whole nodes in a whole network, lookups and deaths included."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fastdht
from fastdht.testing import Testnet, latency, run

ROOT = Path(__file__).resolve().parent.parent.parent


async def eventful_day() -> str:
    """Join, look up, announce, die, come back, under bad conditions; what was sent, as one digest."""
    net = Testnet(25, latency=latency.log_normal(), loss=0.05, duplicate=0.02, reorder=0.05)
    trace = net.network.capture()
    async with net:
        for _ in range(10):
            await net.node().find_node(net.rng.randbytes(20))
        await net.nodes[3].announce_peer(net.rng.randbytes(20), 51413)
        await net.churn(0.2)
        await net.settle(120)
    assert len(trace) > 2000
    return trace.digest()


def test_network_when_the_seed_is_the_same_then_every_packet_is(fastdht_seed: int) -> None:
    assert run(eventful_day, seed=fastdht_seed) == run(eventful_day, seed=fastdht_seed)


def test_network_when_the_seed_differs_then_packets_do(fastdht_seed: int) -> None:
    assert run(eventful_day, seed=fastdht_seed) != run(eventful_day, seed=fastdht_seed + 1)


def test_network_when_run_by_another_process_then_the_same_packets(fastdht_seed: int) -> None:
    code = ("import sys; from fastdht.testing import run; from tests.sim.test_determinism import eventful_day; "
            "print(run(eventful_day, seed=int(sys.argv[1])))")
    paths = os.pathsep.join([str(ROOT), str(Path(fastdht.__file__).parent.parent)])
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": paths}
    other = subprocess.run([sys.executable, "-c", code, str(fastdht_seed)], env=environment, capture_output=True,
                           text=True, check=True, cwd=ROOT)
    assert other.stdout.strip() == run(eventful_day, seed=fastdht_seed)
