"""Other people's DHT programs, each behind the same few verbs, on an address of its own in 127.0.0.0/8.

None is ever given a public bootstrap host, and those that would look one up by themselves are kept from it.
"""
from __future__ import annotations

from tests.interop.peers.aria2 import Aria2
from tests.interop.peers.bittorrent_dht import BittorrentDht
from tests.interop.peers.libtorrent import Libtorrent
from tests.interop.peers.process import Peer
from tests.interop.peers.rtorrent import RTorrent
from tests.interop.peers.transmission import Transmission

KINDS: dict[str, type[Peer]] = {
    kind.name: kind for kind in (Libtorrent, Transmission, RTorrent, Aria2, BittorrentDht)
}
