"""Commands run on uvloop when it is there, and Ctrl-C cancels them first."""
from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from fastdht.cli.run import loop_factory, run_async


def test_run_async_when_uvloop_is_installed_then_uses_it() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def loop_type() -> type:
        return type(asyncio.get_running_loop())

    assert run_async(loop_type()) is uvloop.Loop


def test_run_async_when_uvloop_is_missing_then_uses_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    async def result() -> int:
        return 7

    assert loop_factory() is None
    assert run_async(result()) == 7


@pytest.fixture
def listening() -> Iterator[None]:
    """Ctrl-C as at a terminal: whoever runs tests in the background has it ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_run_async_when_interrupted_then_cancels_before_it_raises() -> None:
    ended = []

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleanly")

    with pytest.raises(KeyboardInterrupt):
        run_async(wait())
    assert ended == ["cleanly"]
