"""A pytest plugin: fixtures for tests in virtual time. Rate class: command (tests).

Installed with fastdht. The seed of a run is `--fastdht-seed`, else FASTDHT_TEST_SEED, else random; a failing test that
used it prints it. Fixtures are plain, so they need no other plugin: `virtual_loop.run_until_complete(...)`.
"""
from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastdht.testing.clock import VirtualLoop
    from fastdht.testing.network import SimNetwork
    from fastdht.testing.testnet import Testnet

SEED_VARIABLE = "FASTDHT_TEST_SEED"
SEED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("fastdht").addoption(
        "--fastdht-seed", type=int, default=None, metavar="N", help="seed of simulated networks, to repeat a run")


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("fastdht_seed", None)
    named = os.environ.get(SEED_VARIABLE)
    config.stash[SEED] = given if given is not None else int(named or random.SystemRandom().randrange(2**31))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed and "fastdht_seed" in getattr(item, "fixturenames", ()):
        seed = item.config.stash[SEED]
        report.sections.append(("fastdht", f"--fastdht-seed={seed} or {SEED_VARIABLE}={seed} repeats this run"))
    return report


@pytest.fixture
def fastdht_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run; printed when the test fails."""
    return request.config.stash[SEED]


@pytest.fixture
def virtual_loop(fastdht_seed: int) -> Generator[VirtualLoop]:
    """An event loop in virtual time, seeded, closed after the test with all its tasks cancelled."""
    from fastdht.testing.clock import VirtualLoop

    loop = VirtualLoop(fastdht_seed)
    yield loop
    close_loop(loop)


@pytest.fixture
def sim_network(virtual_loop: VirtualLoop) -> SimNetwork:
    """A network on `virtual_loop`: 20 ms one way, no loss; change its attributes for other conditions."""
    from fastdht.testing.network import SimNetwork

    return SimNetwork(virtual_loop)


@pytest.fixture
def testnet(virtual_loop: VirtualLoop) -> Generator[Callable[..., Testnet]]:
    """A factory: `net = testnet(50)` gives a joined Testnet on `virtual_loop`; arguments as Testnet's."""
    made: list[Testnet] = []

    async def start(*args: Any, **options: Any) -> Testnet:
        from fastdht.testing.testnet import Testnet

        made.append(Testnet(*args, **options))
        return await made[-1].__aenter__()

    yield lambda *args, **options: virtual_loop.run_until_complete(start(*args, **options))
    for net in made:
        virtual_loop.run_until_complete(net.close())


def close_loop(loop: VirtualLoop) -> None:
    """Cancel what still runs, then close: no "Task was destroyed" warnings."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
