"""What holds for every test: one printed seed, no name look-up, and the installed package where that is tested."""
from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import fastdht

ROOT = Path(__file__).resolve().parent.parent
IN_CI = bool(os.environ.get("CI"))
SEED_IN_CI = 5              # the same inputs for each change; developers' machines explore others
SEED = int(os.environ.get("FASTDHT_TEST_SEED") or (SEED_IN_CI if IN_CI else random.SystemRandom().randrange(2**31)))

hypothesis.settings.register_profile(
    "fastdht",
    deadline=None,          # a shared machine stalls now and then; time is measured in bench/, never in tests
    print_blob=True,
    derandomize=False,      # the printed seed repeats a run
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("fastdht")


def pytest_configure(config: pytest.Config) -> None:
    package = Path(fastdht.__file__).resolve()
    if os.environ.get("FASTDHT_TEST_INSTALLED") and package.is_relative_to(ROOT / "src"):
        pytest.exit(f"fastdht comes from {package}, not from an installed wheel; run `make test`", returncode=4)
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)
    refuse_names()


def pytest_report_header() -> str:
    folder = Path(fastdht.__file__).parent
    return f"fastdht {fastdht.__version__} of {folder}; FASTDHT_TEST_SEED={SEED} repeats this run"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"FASTDHT_TEST_SEED={SEED} repeats this run")


def refuse_names() -> None:
    """Let every look-up of a host name fail, here and in child processes: no test may reach the public network."""
    os.environ["FASTDHT_PUBLIC_BOOTSTRAP"] = "127.0.0.1:9"     # the discard port: nobody answers
    socket.getaddrinfo = numeric_only(socket.getaddrinfo)       # asyncio's own loops call this one
    try:
        import uvloop
    except ImportError:
        return
    uvloop.Loop.getaddrinfo = refusing_getaddrinfo(uvloop.Loop.getaddrinfo)


def check_numeric(host: object) -> None:
    if host is None:
        return
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host).partition("%")[0])
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, f"tests look up no names, and {host!r} is one") from None


def numeric_only(original: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: object, *rest: Any, **options: Any) -> Any:
        check_numeric(host)
        return original(host, *rest, **options)

    return getaddrinfo


def refusing_getaddrinfo(original: Callable[..., Any]) -> Callable[..., Any]:
    async def getaddrinfo(loop: asyncio.AbstractEventLoop, host: object, *rest: Any, **options: Any) -> Any:
        check_numeric(host)
        return await original(loop, host, *rest, **options)

    return getaddrinfo


@pytest.fixture
def seed() -> int:
    """The seed of this run; the header prints it."""
    return SEED


@pytest.fixture(scope="session")
def source_root() -> Path:
    """The root of the source tree, for tests that read it."""
    return ROOT
