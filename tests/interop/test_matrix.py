"""Each peer, each method, both directions: it does what the BEPs say, or what it is known to do instead."""
from __future__ import annotations

import pytest

from tests.interop import asked_by_us, asking_us, items_of_peers
from tests.interop.known import CLIENT, SERVER
from tests.interop.matrix import Matrix
from tests.interop.network import Network
from tests.interop.peers import KINDS

PEERS = list(KINDS)
BY_COMMAND = [(peer, feature) for peer, checks in asking_us.WHO_OBEYS.items() for feature in checks]


@pytest.mark.parametrize("feature", asked_by_us.CHECKS)
@pytest.mark.parametrize("peer", PEERS)
def test_peer_when_asked_then_answers_as_known(net: Network, peer: str, feature: str, matrix: Matrix) -> None:
    matrix.check(SERVER, feature, peer, asked_by_us.CHECKS[feature](net))


@pytest.mark.parametrize("feature", items_of_peers.WE_ASK)
@pytest.mark.parametrize("peer", ["libtorrent", "bittorrent-dht"])
def test_peer_when_asked_for_items_then_answers_as_known(net: Network, peer: str, feature: str, matrix: Matrix) -> None:
    matrix.check(SERVER, feature, peer, items_of_peers.WE_ASK[feature](net))


@pytest.mark.parametrize(("peer", "feature"), BY_COMMAND)
def test_peer_when_told_to_ask_us_then_does_as_known(net: Network, peer: str, feature: str, matrix: Matrix) -> None:
    matrix.check(CLIENT, feature, peer, asking_us.WHO_OBEYS[peer][feature](net))


@pytest.mark.parametrize("feature", asking_us.EVERYBODY)
@pytest.mark.parametrize("peer", PEERS)
def test_peer_when_it_asks_us_then_does_as_known(net: Network, peer: str, feature: str, matrix: Matrix) -> None:
    matrix.check(CLIENT, feature, peer, asking_us.EVERYBODY[feature](net))
