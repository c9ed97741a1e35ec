"""aria2c: its DHT runs only while there is a torrent, so one that nobody has keeps it alive."""
from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence

from fastdht import Endpoint
from tests.interop.peers.native import NativePeer, magnet
from tests.interop.peers.process import free_port, until

IDLE_TORRENT = b"nobody has this one."


class Aria2(NativePeer):
    name = "aria2"
    letters = b"A2"
    programs = ("aria2c",)

    def start(self, known: Sequence[Endpoint]) -> None:
        self.rpc_port = free_port()
        ip, port = self.endpoint
        self.run([
            "aria2c", "--no-conf", "--console-log-level=info", "--log-level=info", "--show-console-readout=false",
            "--enable-dht=true", "--enable-dht6=false", "--disable-ipv6=true", "--bt-enable-lpd=false",
            "--enable-peer-exchange=false", f"--interface={ip}", f"--dht-listen-port={port}", f"--listen-port={port}",
            f"--dht-entry-point={known[0]}", f"--dht-file-path={self.folder / 'dht.dat'}", f"--dir={self.folder}",
            "--bt-stop-timeout=0", "--enable-rpc=true", "--rpc-listen-all=false", f"--rpc-listen-port={self.rpc_port}",
            magnet(IDLE_TORRENT)])

    def join_torrent(self, info_hash: bytes) -> None:
        until(lambda: self.add(magnet(info_hash)), "aria2 takes commands")

    def add(self, uri: str) -> bool:
        body = json.dumps({"jsonrpc": "2.0", "id": "1", "method": "aria2.addUri", "params": [[uri]]}).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rpc_port}/jsonrpc", body, timeout=5) as response:
                return "result" in json.load(response)
        except OSError:
            return False
