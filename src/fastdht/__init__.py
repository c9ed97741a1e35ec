"""fastdht: a Mainline (BitTorrent) DHT for Python. Rate class: command."""
from __future__ import annotations

from fastdht import bencode
from fastdht.config import LookupConfig
from fastdht.engine.bridge import Lookup
from fastdht.errors import (
    ConfigError, DecodeError, DHTError, LocalProtocolError, LookupFailed, NodeClosed, NoResponse, PersistError,
    RemoteError, WriteRejected)
from fastdht.node import Node
from fastdht.stats import ClosestContact, LookupReport, Pong, WriteOutcome, WriteReport
from fastdht.types import Contact, Endpoint, InfoHash, NodeId

__version__ = "0.1.0.dev0"
__all__ = [
    "ClosestContact", "ConfigError", "Contact", "DHTError", "DecodeError", "Endpoint", "InfoHash", "LocalProtocolError",
    "Lookup", "LookupConfig", "LookupFailed", "LookupReport", "Node", "NodeClosed", "NoResponse", "NodeId",
    "PersistError", "Pong", "RemoteError", "WriteOutcome", "WriteRejected", "WriteReport", "bencode",
]
