"""bittorrent-dht, the DHT of WebTorrent, under Node.js."""
from __future__ import annotations

from collections.abc import Sequence

from fastdht import Endpoint
from tests.interop.peers.process import CACHE, CHILDREN, SETUP, ObedientPeer


class BittorrentDht(ObedientPeer):
    name = "bittorrent-dht"
    programs = ("node",)

    @classmethod
    def missing(cls) -> str | None:
        if not (CACHE / "node_modules" / "bittorrent-dht").is_dir():
            return f"bittorrent-dht not installed: {SETUP}"
        return super().missing()

    def start(self, known: Sequence[Endpoint]) -> None:
        ip, port = self.endpoint
        self.run(["node", str(CHILDREN / "bittorrent_dht.mjs"), str(CACHE), ip, str(port), ",".join(map(str, known))],
                 talks=True)
