"""The public names. A change here is a change for users: it goes into CHANGELOG.md in the same commit."""
from __future__ import annotations

import importlib.metadata

import fastdht

PUBLIC = [
    "Blocklist", "ClosestContact", "ConfigError", "Contact", "DHTError", "DecodeError", "Endpoint", "IncomingQuery", "InfoHash",
    "Item", "ItemCopy", "ItemReport", "LocalProtocolError", "Lookup", "LookupConfig", "LookupFailed",
    "LookupReport", "Node", "NodeClosed", "NoResponse", "NodeId", "NodeSamples", "NodeStats", "NotFound",
    "Observer", "PersistError", "Pong", "RemoteError", "Samples", "ScrapeAnswer", "SocketStats", "Swarm",
    "SwarmCount", "WriteOutcome", "WriteRejected", "WriteReport", "bencode", "load_item", "make_item", "sign_item",
]


def test_public_names_are_the_listed_ones() -> None:
    assert sorted(fastdht.__all__) == sorted(PUBLIC)


def test_public_names_exist() -> None:
    assert [name for name in fastdht.__all__ if not hasattr(fastdht, name)] == []


def test_version_is_that_of_the_installed_package() -> None:
    assert importlib.metadata.version("fastdht") == fastdht.__version__
