"""fastdht: a Mainline (BitTorrent) DHT for Python. Rate class: command.

A public name is imported when it is first used: whoever needs one of them does not wait for all.
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdht import bencode
    from fastdht.blocklist import Blocklist
    from fastdht.config import LookupConfig
    from fastdht.crypto import SigningKey
    from fastdht.engine.bridge import Lookup
    from fastdht.errors import (
        ConfigError, DecodeError, DHTError, LocalProtocolError, LookupFailed, NodeClosed, NoResponse, NotFound,
        PersistError, RemoteError, WriteRejected)
    from fastdht.items import load_item, make_item, sign_item
    from fastdht.keep.keeper import KeptAlive
    from fastdht.keyfiles import load_key, save_key
    from fastdht.links import Magnet
    from fastdht.node import Node
    from fastdht.ops.updates import TorrentUpdate
    from fastdht.ops.watching import Observer
    from fastdht.stats import (
        ClosestContact, ItemCopy, ItemReport, LookupReport, NodeSamples, NodeStats, Pong, Samples, ScrapeAnswer,
        SocketStats, Swarm, SwarmCount, WriteOutcome, WriteReport)
    from fastdht.types import Contact, Endpoint, IncomingQuery, InfoHash, Item, NodeId

__version__ = "0.1.0.dev0"
__all__ = [
    "Blocklist", "ClosestContact", "ConfigError", "Contact", "DHTError", "DecodeError", "Endpoint", "IncomingQuery",
    "InfoHash", "Item", "ItemCopy", "ItemReport", "KeptAlive", "LocalProtocolError", "Lookup", "LookupConfig",
    "LookupFailed", "LookupReport", "Magnet", "NoResponse", "Node", "NodeClosed", "NodeId", "NodeSamples",
    "NodeStats", "NotFound", "Observer", "PersistError", "Pong", "RemoteError", "Samples", "ScrapeAnswer",
    "SigningKey", "SocketStats", "Swarm", "SwarmCount", "TorrentUpdate", "WriteOutcome", "WriteRejected",
    "WriteReport", "bencode", "load_item", "load_key", "make_item", "save_key", "sign_item",
]

# Module below fastdht → public names that live there.
_HOMES = {
    "blocklist": "Blocklist",
    "config": "LookupConfig",
    "crypto": "SigningKey",
    "engine.bridge": "Lookup",
    "errors": "ConfigError DHTError DecodeError LocalProtocolError LookupFailed NoResponse NodeClosed NotFound "
              "PersistError RemoteError WriteRejected",
    "items": "load_item make_item sign_item",
    "keep.keeper": "KeptAlive",
    "keyfiles": "load_key save_key",
    "links": "Magnet",
    "node": "Node",
    "ops.updates": "TorrentUpdate",
    "ops.watching": "Observer",
    "stats": "ClosestContact ItemCopy ItemReport LookupReport NodeSamples NodeStats Pong Samples ScrapeAnswer "
             "SocketStats Swarm SwarmCount WriteOutcome WriteReport",
    "types": "Contact Endpoint IncomingQuery InfoHash Item NodeId",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:       # a type checker would take any name for one of ours
    def __getattr__(name: str) -> Any:
        if name in _HOME_OF:
            value = getattr(import_module(f"fastdht.{_HOME_OF[name]}"), name)
        elif name == "bencode":
            value = import_module("fastdht.bencode")
        else:
            raise AttributeError(f"module 'fastdht' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
