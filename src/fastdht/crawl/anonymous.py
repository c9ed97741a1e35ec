"""Peers' addresses as a crawl keeps them: cut to their network, hashed with a key that is thrown away, or whole.

Rate class: lookup. An IPv4 address is cut to its /24, an IPv6 one to its /48, both without the port. A hash tells
whether two rows of one run are the same peer, and nothing else once the run has ended.
"""
from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable

from fastdht.errors import ConfigError
from fastdht.types import Endpoint

KINDS = ("truncate", "hmac", "none")
V4_BITS, V6_BITS = 24, 48
HASH_SIZE = 12


def anonymizer(kind: str, key: bytes) -> Callable[[Endpoint], str]:
    """What makes text of a peer; `key` (16 to 64 bytes) is for hmac. Raises ConfigError."""
    if kind == "truncate":
        return network_of
    if kind == "none":
        return str
    if kind != "hmac":
        raise ConfigError(f"anonymize is {kind!r}; one of {', '.join(KINDS)}")
    return lambda peer: hashlib.blake2b(peer.pack(), key=key, digest_size=HASH_SIZE).hexdigest()


def network_of(peer: Endpoint) -> str:
    """The network of a peer, as 192.0.2.0/24."""
    return str(ipaddress.ip_network((peer.ip, V6_BITS if peer.is_ipv6 else V4_BITS), strict=False))
