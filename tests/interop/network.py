"""One peer among eight nodes of ours, and nobody else: whatever it knows, it has from us."""
from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from fastdht import Endpoint
from fastdht.stats import WriteReport
from tests.interop import wire
from tests.interop.our_nodes import OurNodes
from tests.interop.peers import KINDS
from tests.interop.peers.process import until
from tests.interop.wire import Asker

OURS = 8                    # k: each is among the closest to everything
JOIN_S = 90.0               # Transmission, asked little, needs most of a minute on a busy machine


class Door:
    """A TCP port that notes who knocks: a torrent client has found it by looking up a torrent."""

    def __init__(self, ip: str) -> None:
        self._server = socket.create_server((ip, 0))
        self.endpoint = Endpoint(*self._server.getsockname())
        self.visitors: set[str] = set()
        threading.Thread(target=self._watch, name="door", daemon=True).start()

    def _watch(self) -> None:
        while True:
            try:
                connection, address = self._server.accept()
            except OSError:                                     # closed
                return
            connection.close()
            self.visitors.add(address[0])

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class Network:
    """`torrent` is announced at all of our nodes, with a door as its only peer, and the peer takes part in it."""

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name = name
        self._net = f"127.{100 + number}"
        self._hashes = self._new_hashes()
        self._askers: list[Asker] = []
        self.trouble: str | None = None                         # why it has not joined
        self.announced: set[bytes] = set()                      # infohashes that the peer has been given
        self.torrent = self.new_hash()
        self.by_peer = {self.torrent}                           # infohashes that it announces
        self.peer = KINDS[name](f"{self._net}.100.1", folder / name)
        self.ours = OurNodes([f"{self._net}.{index}.1" for index in range(1, OURS + 1)])
        self.door = Door(f"{self._net}.200.1")
        self.asker = self.new_asker()
        self.peer.start(self.ours.endpoints)

    def try_to_settle(self) -> None:
        """As `settle`; a failure is kept in `trouble`, and is that of this peer's tests alone."""
        try:
            self.settle()
        except (AssertionError, OSError) as error:
            self.trouble = str(error)

    def settle(self) -> None:
        """Wait until it has joined; then store the torrent at our nodes and let the peer take part in it."""
        self.peer.wait_until_up(self.asker)
        until(lambda: len(self.named(b"\0" * 20) & set(self.ours.endpoints)) >= OURS // 2,
              f"{self.name} knows our nodes", JOIN_S)
        announcer = self.new_asker(self.door.endpoint.ip)
        for node in self.ours.endpoints:
            token = announcer.reply_of(node, "get_peers", {"info_hash": self.torrent})[b"token"]
            announcer.reply_of(node, "announce_peer", {
                "info_hash": self.torrent, "port": self.door.endpoint.port, "token": token})
        self.peer.join_torrent(self.torrent)

    def close(self) -> None:
        self.peer.stop()
        self.ours.close()
        self.door.close()
        for asker in self._askers:
            asker.close()

    def new_hash(self) -> bytes:
        return next(self._hashes)

    def new_asker(self, ip: str | None = None) -> Asker:
        asker = Asker(ip or f"{self._net}.101.{len(self._askers) + 1}")
        self._askers.append(asker)
        return asker

    def named(self, target: bytes) -> set[Endpoint]:
        """The nodes that the peer names for a target."""
        answer = self.asker.ask(self.peer.endpoint, "find_node", {"target": target}) or {}
        return wire.named(answer.get(b"r", {}).get(b"nodes", b""))

    def announce(self, info_hash: bytes, port: int, **options: bool) -> WriteReport:
        """Our first node announces itself at the peer, and nowhere else."""
        self.announced.add(info_hash)
        return self.ours.do(lambda node: node.announce_peer(info_hash, port, to=[self.peer.endpoint], **options))

    def values(self, info_hash: bytes) -> set[Endpoint]:
        """The peers that it names to our first node."""
        report = self.ours.do(lambda node: node.get_peers(info_hash, to=[self.peer.endpoint]))
        return set(report.values)

    def stored_by_us(self, info_hash: bytes) -> set[Endpoint]:
        """The peers that our nodes have in store, asked by hand."""
        replies = [self.asker.reply_of(node, "get_peers", {"info_hash": info_hash}) for node in self.ours.endpoints]
        return set().union(*(wire.endpoints(reply.get(b"values", [])) for reply in replies))

    def _new_hashes(self) -> Iterator[bytes]:
        for number in range(1 << 32):
            yield hashlib.sha1(f"{self.name} {number}".encode()).digest()
