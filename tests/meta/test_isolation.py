"""No test reaches the public network, and fastdht can be imported without what only some of it needs."""
from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

import fastdht

FORBIDDEN = ["pysodium", "nacl", "dns", "uvloop", "pyarrow", "rich", "click"]


def test_name_lookup_when_blocking_then_fails() -> None:
    with pytest.raises(socket.gaierror, match="look up no names"):
        socket.getaddrinfo("router.bittorrent.com", 6881)


def test_name_lookup_when_numeric_then_works() -> None:
    assert socket.getaddrinfo("127.0.0.1", 6881, type=socket.SOCK_DGRAM)[0][4] == ("127.0.0.1", 6881)


@pytest.mark.parametrize("module", ["asyncio", "uvloop"])
def test_name_lookup_when_on_a_loop_then_fails(module: str) -> None:
    loop = pytest.importorskip(module).new_event_loop()
    try:
        with pytest.raises(socket.gaierror, match="look up no names"):
            loop.run_until_complete(loop.getaddrinfo("router.bittorrent.com", 6881))
    finally:
        loop.close()


def test_public_bootstrap_when_in_tests_then_is_nobody() -> None:
    assert os.environ["FASTDHT_PUBLIC_BOOTSTRAP"].startswith("127.")


def test_import_when_extras_are_missing_then_works() -> None:
    block = f"import sys; sys.modules.update(dict.fromkeys({FORBIDDEN!r})); import fastdht; print(*fastdht.__all__)"
    done = subprocess.run([sys.executable, "-P", "-c", block], capture_output=True, text=True, check=False)
    assert done.stdout.split() == fastdht.__all__, done.stderr


