"""Peers started once for the whole ring, all at the same time, and the matrix of what was seen of them."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.matrix import Matrix
from tests.interop.network import Network
from tests.interop.peers import KINDS

REQUIRE_VARIABLE = "FASTDHT_REQUIRE_PEERS"      # set by CI: a peer that is not installed is a failure there
MATRIX_VARIABLE = "FASTDHT_MATRIX"              # a file that gets the matrix
MATRIX = pytest.StashKey[Matrix]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MATRIX] = Matrix()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs the peers waits for all of them to join."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(600))


def demand(*names: str) -> None:
    """Go on only if these peers are installed: else skip, or fail where they are required."""
    lacking = [reason for name in names if (reason := KINDS[name].missing())]
    if lacking and os.environ.get(REQUIRE_VARIABLE):
        pytest.fail("; ".join(lacking), pytrace=False)
    if lacking:
        pytest.skip("; ".join(lacking))


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config) -> Matrix:
    return pytestconfig.stash[MATRIX]


@pytest.fixture(scope="session")
def networks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Network]]:
    """A network per peer that some test of this run wants, and this machine has."""
    wanted = {item.callspec.params.get("peer") for item in request.session.items if hasattr(item, "callspec")}
    running: dict[str, Network] = {}
    try:
        for number, (name, kind) in enumerate(KINDS.items(), start=1):
            if name in wanted and kind.missing() is None:
                running[name] = Network(name, number, tmp_path_factory.mktemp("peers"))
        for network in running.values():
            network.try_to_settle()
        yield running
    finally:
        for network in running.values():
            network.close()


@pytest.fixture
def net(request: pytest.FixtureRequest, peer: str) -> Network:
    """The network of the test's `peer`."""
    demand(peer)
    network: Network = request.getfixturevalue("networks")[peer]
    if network.trouble is not None:
        pytest.fail(f"{peer} has not joined: {network.trouble}")
    request.node.stash[PEER_LOG] = network
    return network


PEER_LOG = pytest.StashKey[Network]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test brings the end of the peer's log."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed and PEER_LOG in item.stash:
        peer = item.stash[PEER_LOG].peer
        report.sections.append((f"log of {peer.name}", peer.log_tail()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that runs a part of the tests leaves what it saw to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["matrix"] = session.config.stash[MATRIX].cells()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for cell in getattr(node, "workeroutput", {}).get("matrix", ()):
        node.config.stash[MATRIX].note(*cell)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    matrix = config.stash[MATRIX]
    if not matrix:
        return
    terminalreporter.section("interop matrix")
    lines = list(matrix.lines())
    for line in lines:
        terminalreporter.write_line(line)
    if path := os.environ.get(MATRIX_VARIABLE):
        Path(path).write_text("\n".join(lines) + "\n")
