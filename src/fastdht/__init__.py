"""fastdht: a Mainline (BitTorrent) DHT for Python. Rate class: command."""
from __future__ import annotations

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
