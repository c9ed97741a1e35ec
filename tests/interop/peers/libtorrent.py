"""libtorrent (Rasterbar) through its Python binding, one session."""
from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from fastdht import Endpoint
from tests.interop.peers.process import CHILDREN, SETUP, ObedientPeer


class Libtorrent(ObedientPeer):
    name = "libtorrent"
    letters = b"LT"

    @classmethod
    def missing(cls) -> str | None:
        return None if importlib.util.find_spec("libtorrent") else f"libtorrent not installed: {SETUP}"

    def start(self, known: Sequence[Endpoint], *, read_only: bool = False) -> None:
        options = ["--read-only"] if read_only else []
        self.run([sys.executable, str(CHILDREN / "libtorrent_session.py"), str(self.endpoint),
                  ",".join(map(str, known)), *options], talks=True)
