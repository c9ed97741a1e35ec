"""rTorrent, as a daemon: it needs no terminal, and takes torrents from a folder that it watches."""
from __future__ import annotations

import os
from collections.abc import Sequence

from fastdht import Endpoint, bencode
from tests.interop.peers.native import NativePeer, magnet

CONFIGURATION = """\
directory.default.set = {folder}
session.path.set = {folder}
network.bind_address.set = {ip}
network.local_address.set = {ip}
network.port_range.set = {port}-{port}
network.port_random.set = no
dht.mode.set = on
dht.port.set = {port}
protocol.pex.set = no
protocol.encryption.set = none
trackers.use_udp.set = no
system.daemon.set = true
schedule2 = bootstrap, 1, 3, "{known}"
schedule2 = torrents, 1, 1, "load.start={folder}/watch/*.torrent"
"""


class RTorrent(NativePeer):
    name = "rtorrent"
    letters = b"lt"
    programs = ("rtorrent",)

    def start(self, known: Sequence[Endpoint]) -> None:
        ip, port = self.endpoint
        (self.folder / "watch").mkdir(exist_ok=True)
        settings = self.folder / "rtorrent.rc"
        settings.write_text(CONFIGURATION.format(
            folder=self.folder, ip=ip, port=port, known=";".join(f"dht.add_node={each}" for each in known)))
        self.run(["rtorrent", "-n", "-o", f"import={settings}"])

    def join_torrent(self, info_hash: bytes) -> None:
        """A file that holds a magnet link is a torrent to it; renamed into place, so that it is read whole."""
        hidden = self.folder / f"{info_hash.hex()}.part"
        hidden.write_bytes(bencode.encode({"magnet-uri": magnet(info_hash)}))
        os.replace(hidden, self.folder / "watch" / f"{info_hash.hex()}.torrent")
