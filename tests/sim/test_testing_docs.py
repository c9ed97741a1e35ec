"""What docs/testing-api.md shows to users runs as it stands there."""
from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from fastdht.node import Node
from fastdht.testing import SimNetwork, VirtualLoop

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "testing-api.md"
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_first_example_when_run_then_its_asserts_hold() -> None:
    exec(compile(PYTHON.search(PAGE.read_text())[1], str(PAGE), "exec"), {"__name__": "docs"})


def test_fixture_example_when_collected_by_pytest_then_passes(testnet, virtual_loop: VirtualLoop) -> None:
    space: dict[str, object] = {"my_application": joins}
    exec(compile(PYTHON.findall(PAGE.read_text())[1], str(PAGE), "exec"), space)
    space["test_my_application"](testnet, virtual_loop)


async def joins(node: Node) -> None:
    assert len(node.contacts()) >= 8


def test_node_when_given_a_transport_clock_and_entropy_then_lives_on_the_network(virtual_loop: VirtualLoop) -> None:
    async def main() -> bytes:
        network = SimNetwork(virtual_loop)
        nodes = [Node(f"11.0.{number}.1:6881", transport=network.open, clock=virtual_loop.clock,
                      entropy=random.Random(number).randbytes, bootstrap=()) for number in range(2)]
        async with nodes[0], nodes[1]:
            return (await nodes[0].ping(nodes[1].endpoints[0])).id == nodes[1].id

    assert virtual_loop.run_until_complete(main())


@pytest.fixture(autouse=True)
def no_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this may open a socket."""
    monkeypatch.setattr("socket.socket.bind", refuse)


def refuse(*_: object) -> None:
    raise AssertionError("a simulated network opened a socket")
