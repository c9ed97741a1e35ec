"""Real nodes and scripted ones on loopback for tests of commands, and ways to run a command."""
from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
from click.testing import CliRunner, Result

from fastdht import Node, cli
from fastdht.cli.options import NAMES, NodeOptions
from tests.oracle import wire

NET = ["127.0.0.0/8"]
OWN_ID = b"a scripted neighbour"
WAIT_S = 30


def invoke(*words: str, env: dict[str, str] | None = None, text: str | None = None) -> Result:
    """A command in this process; its failures are exit codes, as for a user."""
    return CliRunner().invoke(cli.main, list(words), env=env, input=text, prog_name="fastdht")


def compat(*flags: str, env: dict[str, str] | None = None) -> Result:
    return invoke("compat", *flags, env=env)


def lines(result: Result) -> list[list[str]]:
    """Fields of each line of a result that must have succeeded."""
    assert result.exit_code == 0, result.stderr
    return [line.split("\t") for line in result.stdout.splitlines()]


def free_port(ip: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((ip, 0))
        port: int = taken.getsockname()[1]
        return port


def options_of(name: str, *words: str) -> NodeOptions:
    """What a command is told about its node."""
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    context = command.make_context(name, list(words))
    return NodeOptions(**{each: context.params[each] for each in NAMES})


class Neighbours:
    """Nodes on addresses of their own, each in the others' tables, on a loop in another thread."""

    def __init__(self, count: int, net: int, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.nodes: list[Node] = self.call(self._start(count, net, options))

    async def _start(self, count: int, net: int, options: dict[str, Any]) -> list[Node]:
        nodes: list[Node] = []
        for number in range(count):
            entry = [str(nodes[0].endpoints[0])] if nodes else []
            node = Node(f"127.{net}.{number}.1:0", bootstrap=entry, allow_net=NET, **options)
            await node.start()
            nodes.append(node)
        await asyncio.gather(*(node.joined() for node in nodes[1:]))
        for node in nodes[1:]:
            await asyncio.gather(*(node.ping(other.endpoints[0]) for other in nodes if other is not node))
        if len(nodes) > 1:
            await asyncio.gather(*(nodes[0].ping(other.endpoints[0]) for other in nodes[1:]))
        return nodes

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def close(self) -> None:
        async def close() -> None:
            for node in self.nodes:
                await node.close()

        self.call(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def endpoint(self, number: int = 0) -> str:
        return str(self.nodes[number].endpoints[0])

    def counters(self, number: int = 0) -> dict[str, Any]:
        async def count() -> dict[str, Any]:
            return self.nodes[number].counters()

        counted: dict[str, Any] = self.call(count())
        return counted


@contextmanager
def neighbours(count: int, net: int, **options: Any) -> Iterator[Neighbours]:
    started = Neighbours(count, net, **options)
    try:
        yield started
    finally:
        started.close()


Query = dict[bytes, Any]
Answer = Callable[[Query], dict[bytes, Any] | None]


class Scripted:
    """A socket that notes every query and answers with what `results` says, or not at all."""

    def __init__(self, results: Answer | None = None, ip: str = "127.0.0.1", error: bytes = b"") -> None:
        self._error = error
        self.queries: list[Query] = []
        self.sources: list[tuple[str, int]] = []
        self._results = results or (lambda query: {})
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ip, 0))
        self._socket.settimeout(0.1)
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        ip, port = self._socket.getsockname()
        return f"{ip}:{port}"

    def _serve(self) -> None:
        while self._is_open:
            try:
                data, source = self._socket.recvfrom(2048)
                query = wire.decode(data)
            except (TimeoutError, ValueError):
                continue
            if not isinstance(query, dict) or b"q" not in query:
                continue
            self.queries.append(query)
            self.sources.append(source)
            results = self._results(query)
            if self._error:
                self._socket.sendto(wire.encode({b"t": query[b"t"], b"y": b"e", b"e": [201, self._error]}), source)
            elif results is not None:
                self._socket.sendto(wire.encode({b"t": query[b"t"], b"y": b"r", b"r": {b"id": OWN_ID} | results}),
                                    source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self._thread.join(WAIT_S)
        self._socket.close()

    def asked(self, method: bytes) -> list[dict[bytes, Any]]:
        """The arguments of each query of that method."""
        return [query[b"a"] for query in self.queries if query[b"q"] == method]


@contextmanager
def process(words: Sequence[str], folder: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, ended by SIGINT."""
    started = subprocess.Popen([sys.executable, "-P", "-c", HEAR_CTRL_C, *words], text=True, cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"COLUMNS": "200"})
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGINT)
        try:
            started.communicate(timeout=WAIT_S)
        except (subprocess.TimeoutExpired, ValueError):
            started.kill()
            started.wait()


# Whoever runs tests in the background has Ctrl-C ignored, and children inherit that.
HEAR_CTRL_C = ("import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
               "sys.argv[0] = 'fastdht'; from fastdht.cli import main; main()")


def ask(endpoint: str, method: bytes, source: str = "127.0.0.1", **arguments: Any) -> dict[bytes, Any]:
    """One raw query from `source`, up to twenty times, and its answer."""
    ip, _, port = endpoint.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.settimeout(0.5)
        for _ in range(20):
            client.sendto(wire.query(method, **arguments), (ip, int(port)))
            try:
                answer: dict[bytes, Any] = wire.decode(client.recv(2048))
            except (TimeoutError, ConnectionRefusedError):
                continue
            return answer
    raise AssertionError(f"{endpoint} never answered")
