"""The public names. A change here is a change for users: it goes into CHANGELOG.md in the same commit."""
from __future__ import annotations

import importlib.metadata

import fastdht

PUBLIC = [
    "ClosestContact", "ConfigError", "Contact", "DHTError", "DecodeError", "Endpoint", "InfoHash", "LocalProtocolError",
    "Lookup", "LookupConfig", "LookupFailed", "LookupReport", "Node", "NodeClosed", "NoResponse", "NodeId",
    "PersistError", "Pong", "RemoteError", "WriteOutcome", "WriteRejected", "WriteReport", "bencode",
]


def test_public_names_are_the_listed_ones() -> None:
    assert sorted(fastdht.__all__) == sorted(PUBLIC)


def test_public_names_exist() -> None:
    assert [name for name in fastdht.__all__ if not hasattr(fastdht, name)] == []


def test_version_is_that_of_the_installed_package() -> None:
    assert importlib.metadata.version("fastdht") == fastdht.__version__
