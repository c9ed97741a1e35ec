"""The plugin's fixtures, here with the one seed of the run, whether or not the plugin is installed."""
from __future__ import annotations

import pytest

from fastdht.testing.plugin import sim_network, testnet, virtual_loop

__all__ = ["fastdht_seed", "sim_network", "testnet", "virtual_loop"]


@pytest.fixture
def fastdht_seed(seed: int) -> int:
    """The seed that the header prints."""
    return seed
