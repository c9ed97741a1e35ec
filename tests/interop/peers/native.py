"""Peers that are compiled programs: kept on this machine by a small library loaded before theirs (loopback.c)."""
from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop.peers.process import CHILDREN, SETUP, Peer

SHOWN_AS = 11               # 11.0.0.0/8 is a public network to everybody, and of the same size as loopback's


@functools.cache
def loopback_library() -> Path:
    """loopback.c, compiled once per run."""
    folder = Path(tempfile.mkdtemp(prefix="fastdht-loopback-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "loopback.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or "cc"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(CHILDREN / "loopback.c"), "-ldl"],
                   check=True)
    return library


class NativePeer(Peer):
    """A program, not a library."""

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which("cc") is None and shutil.which("gcc") is None:
            return f"a C compiler is not installed: {SETUP}"
        return super().missing()

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, talks: bool = False) -> None:
        preload = " ".join(filter(None, [str(loopback_library()), os.environ.get("LD_PRELOAD")]))
        super().run(command, {"LD_PRELOAD": preload, "HOME": str(self.folder), **(environment or {})}, talks=talks)


def magnet(info_hash: bytes) -> str:
    return f"magnet:?xt=urn:btih:{info_hash.hex()}"
