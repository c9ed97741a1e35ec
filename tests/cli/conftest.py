"""Networks that tests of commands share; none of them changes what another sees."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastdht.testing.swarm import Swarm
from tests.cli.network_kit import Neighbours, neighbours

LOGGERS = ("fastdht", "fastdht.traffic")


@pytest.fixture(scope="session")
def village() -> Iterator[Neighbours]:
    """Eight nodes that know each other; without rate limits, as all tests ask from one address."""
    with neighbours(8, 80, limits="off") as started:
        yield started


@pytest.fixture(scope="session")
def city() -> Iterator[Swarm]:
    """2,000 virtual nodes, as the public network."""
    with Swarm(2_000, 11, torrents=4) as swarm:
        yield swarm


@pytest.fixture
def public(city: Swarm, monkeypatch: pytest.MonkeyPatch) -> Swarm:
    """The city, entered by `public`."""
    monkeypatch.setenv("FASTDHT_PUBLIC_BOOTSTRAP", ",".join(city.bootstrap[:3]))
    return city


@pytest.fixture(autouse=True)
def quiet_loggers() -> Iterator[None]:
    """A command sets up logging for its process, which here is that of all tests."""
    before = [(logger, logger.level, list(logger.handlers)) for logger in map(logging.getLogger, LOGGERS)]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands leave files in the working directory and below the user's home; each test has its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path
