"""The public names. A change here is a change for users: it goes into CHANGELOG.md in the same commit."""
from __future__ import annotations

import importlib.metadata

import fastdht

PUBLIC = [
    "Blocklist", "ClosestContact", "ConfigError", "Contact", "DHTError", "DecodeError", "Endpoint", "IncomingQuery",
    "InfoHash", "Item", "ItemCopy", "ItemReport", "KeptAlive", "LocalProtocolError", "Lookup", "LookupConfig",
    "LookupFailed", "LookupReport", "Magnet", "NoResponse", "Node", "NodeClosed", "NodeId", "NodeSamples",
    "NodeStats", "NotFound", "Observer", "PersistError", "Pong", "RemoteError", "Samples", "ScrapeAnswer",
    "SigningKey", "SocketStats", "Swarm", "SwarmCount", "TorrentUpdate", "WriteOutcome", "WriteRejected",
    "WriteReport", "bencode", "load_item", "load_key", "make_item", "save_key", "sign_item",
]


def test_public_names_are_the_listed_ones() -> None:
    assert sorted(fastdht.__all__) == sorted(PUBLIC)


def test_public_names_exist() -> None:
    assert [name for name in fastdht.__all__ if not hasattr(fastdht, name)] == []


def test_version_is_that_of_the_installed_package() -> None:
    assert importlib.metadata.version("fastdht") == fastdht.__version__
