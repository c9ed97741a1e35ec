"""Every program in examples/ does on a loopback network what it says."""
from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from pathlib import Path

import pytest

from fastdht import Endpoint, Magnet, Node, SigningKey

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
NET = ["127.0.0.0/8"]
NODES = 10
INFO_HASH = bytes(range(20))


def example_lines(name: str, capsys: pytest.CaptureFixture[str], *arguments: str, prepare=None,
                  passes: bool = True) -> list[str]:
    """The lines that an example prints, run on one of ten nodes after `prepare` has worked on another.

    What `prepare` returns is the example's first argument if it `passes`.
    """
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    async def body() -> None:
        async with contextlib.AsyncExitStack() as stack:
            nodes: list[Node] = []
            for number in range(NODES):
                bootstrap = [str(nodes[0].endpoints[0])] if nodes else []
                node = Node(f"127.97.{number}.1:0", bootstrap=bootstrap, allow_net=NET, limits="off")
                nodes.append(await stack.enter_async_context(node))
            await asyncio.gather(*(node.joined() for node in nodes[1:]))
            await until_all_meet(nodes)
            words = [await prepare(nodes[1])] if prepare else []
            await example.main(nodes[2], *(words if passes else []), *arguments)

    asyncio.run(asyncio.wait_for(body(), 60))
    return capsys.readouterr().out.splitlines()


async def until_all_meet(nodes: list[Node]) -> None:
    """Those that joined together come to know each other once the first has verified them, which takes it a second."""
    while min(len(node.contacts()) for node in nodes) < 8:
        await asyncio.gather(*(node.find_node(node.id) for node in nodes[1:]))
        await asyncio.sleep(0.1)


async def announced(node: Node) -> str:
    await node.announce_peer(INFO_HASH, 4242, seed=True)
    return INFO_HASH.hex()


def test_examples_when_listed_then_each_has_a_test() -> None:
    tested = {name.removeprefix("test_").removesuffix("_example") for name in globals() if name.endswith("_example")}
    assert tested == set(NAMES)
    assert all(f"({name}.py)" in (ROOT / "examples" / "README.md").read_text() for name in NAMES)


def test_get_peers_example(capsys) -> None:
    assert example_lines("get_peers", capsys, prepare=announced) == [str(Endpoint("127.97.1.1", 4242))]


def test_announce_example(capsys) -> None:
    lines = example_lines("announce", capsys, INFO_HASH.hex(), "4242")
    assert len(lines) == 8
    assert {line.split()[-1] for line in lines} == {"accepted"}


def test_put_get_example(capsys) -> None:
    first, second = example_lines("put_get", capsys, "Hello World!")
    assert first == "e5f96f6f38320f0f33959cb4d3d656452117aadb stored by 8 nodes"        # BEP 44, test 3
    assert second == "Hello World!"


def test_mutable_example(capsys, tmp_path) -> None:
    key = tmp_path / "key"
    for count in (1, 2):        # two networks: nobody has counted in the second
        [line] = example_lines("mutable", capsys, str(key))
        assert " counts 1 at 8 nodes, 0 disagree" in line, count
    assert key.stat().st_mode & 0o777 == 0o600


async def published(node: Node) -> str:
    key = SigningKey.generate()
    await node.publish(key, INFO_HASH, salt=b"n", seq=7)
    return str(Magnet(public_key=key.public_key, salt=b"n"))


def test_follow_example(capsys) -> None:
    assert example_lines("follow", capsys, "1", prepare=published) == [f"{Magnet(INFO_HASH)} since seq 7"]


def test_scrape_example(capsys) -> None:
    assert example_lines("scrape", capsys, prepare=announced) == [f"{INFO_HASH.hex()} seeds 1 to 1, peers 0 to 0"]


def test_sample_example(capsys) -> None:
    assert example_lines("sample", capsys, prepare=announced, passes=False) == [INFO_HASH.hex()]


def test_serve_example(capsys) -> None:
    lines = example_lines("serve", capsys, "0.5")
    assert lines[0].startswith("serving at 127.97.2.1:")
    assert lines[-1].endswith(" contacts, 0 peers stored")


def test_raw_query_example(capsys) -> None:
    async def endpoint(node: Node) -> str:
        return str(node.endpoints[0])

    assert example_lines("raw_query", capsys, "vote", prepare=endpoint) == ["[b'id', b'nodes']"]
