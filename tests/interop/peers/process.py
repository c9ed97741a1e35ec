"""What all peers share: a child process with a log, stopped by its id, and waiting for what it does.

A peer is started on an explicit address, told of some nodes, and is up once it answers a ping.
"""
from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from fastdht import Endpoint
from tests.interop.wire import Asker

ROOT = Path(__file__).resolve().parents[3]
CHILDREN = Path(__file__).resolve().parent / "children"     # what runs beside us, in other languages too
CACHE = Path(os.environ.get("FASTDHT_PEERS_CACHE") or ROOT / ".cache" / "peers")
SETUP = "run tools/interop-setup.sh"
POLL_S = 0.05               # between two looks at something that nobody announces
LOG_TAIL_BYTES = 4000

T = TypeVar("T")


def free_port() -> int:
    """A port that nobody holds on any address of this machine, neither UDP nor TCP."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("0.0.0.0", 0))
            port: int = udp.getsockname()[1]
            try:
                tcp.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free for UDP and TCP alike, after 100 tries")


def until(look: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """Look again and again until it gives something true, which is returned; fails with `what` when time is up."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s; last seen {seen!r}"
        threading.Event().wait(POLL_S)
    return seen


class Peer:
    """A foreign node. Sub-classes say how it is started and how it is told to do something."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]] = ()
    letters: ClassVar[bytes | None] = None          # with which its `v` begins; None for those that send none

    def __init__(self, ip: str, folder: Path) -> None:
        self.endpoint = Endpoint(ip, free_port())
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[str] | None = None
        self.log = folder / "log"

    @classmethod
    def missing(cls) -> str | None:
        """What keeps it from running on this machine, or None."""
        lacking = [program for program in cls.programs if shutil.which(program) is None]
        return f"{', '.join(lacking)} not installed: {SETUP}" if lacking else None

    def start(self, known: Sequence[Endpoint]) -> None:
        """Start it, with these nodes as its only way in."""
        raise NotImplementedError

    def join_torrent(self, info_hash: bytes) -> None:
        """Have it take part in a torrent: it looks up its peers, and announces itself."""
        raise NotImplementedError

    @property
    def peer_endpoint(self) -> Endpoint:
        """Where it says that it takes connections when it announces itself."""
        return self.endpoint

    def wait_until_up(self, asker: Asker, seconds: float = 30.0) -> None:
        def look() -> bool:
            assert self.process is not None and self.process.poll() is None, f"{self.name} has ended: {self.log_tail()}"
            return asker.ask(self.endpoint, "ping", timeout_s=0.3, tries=1) is not None

        until(look, f"{self.name} answers a ping", seconds)

    def stop(self) -> None:
        """End the process, and only this one; its log stays."""
        if self.process is None:
            return
        for end in (self.process.terminate, self.process.kill):
            end()
            try:
                self.process.wait(timeout=5)
                break
            except subprocess.TimeoutExpired:
                continue
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def log_tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if self.log.exists() else ""

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, talks: bool = False) -> None:
        """Start the child with its output in the log; one that `talks` answers lines on its standard output."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, text=True, stderr=log, env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL, stdout=subprocess.PIPE if talks else log)


class ObedientPeer(Peer):
    """A library rather than a program: our child process runs it, and obeys JSON lines."""

    def call(self, do: str, **arguments: Any) -> Any:
        """Have the child do something; bytes travel as hexadecimal digits."""
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        texts = {name: value.hex() if isinstance(value, bytes) else value for name, value in arguments.items()}
        self.process.stdin.write(json.dumps({"do": do, **texts}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"{self.name} has ended: {self.log_tail()}"
        answer = json.loads(line)
        assert "error" not in answer, f"{self.name} could not {do}: {answer['error']}"
        return answer["result"]

    def look_up(self, info_hash: bytes, wanted: Endpoint, seconds: float = 20.0) -> set[Endpoint]:
        """The peers of a torrent that it finds, until the wanted one is among them or time is up."""
        found = self.call("look_up", info_hash=info_hash, wanted=str(wanted), seconds=seconds)
        return {Endpoint.parse(text) for text in found}

    def announce(self, info_hash: bytes, port: int) -> None:
        """Announce a peer on that port; port 0 asks for the port that the datagram comes from (implied_port)."""
        self.call("announce", info_hash=info_hash, port=port)

    def join_torrent(self, info_hash: bytes) -> None:
        self.announce(info_hash, self.peer_endpoint.port)
