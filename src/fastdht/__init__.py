"""fastdht: a Mainline (BitTorrent) DHT for Python. Rate class: command."""
from __future__ import annotations

from fastdht.errors import DHTError
from fastdht.types import Contact, Endpoint, InfoHash, NodeId

__version__ = "0.1.0.dev0"
__all__ = ["Contact", "DHTError", "Endpoint", "InfoHash", "NodeId"]
