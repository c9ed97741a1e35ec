"""Values of the public API: ids, endpoints, contacts, items. Rate class: lookup and command.

All are immutable. An id is 20 bytes; an endpoint knows its compact form (BEP 5: 6 bytes; BEP 32: 18 bytes); an item
is a value of BEP 44 with all that proves it.
"""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple, Self

from fastdht._ext.endpoints import unpack_endpoint
from fastdht._ext.ids import is_secure
from fastdht.errors import DecodeError

ID_SIZE = 20


class NodeId(bytes):
    """20 bytes that name a node or a target. Raises DecodeError for any other size."""

    __slots__ = ()

    def __new__(cls, value: bytes) -> Self:
        if len(value) != ID_SIZE:
            raise DecodeError(f"{cls.__name__} is {len(value)} bytes; {ID_SIZE} needed")
        return bytes.__new__(cls, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From 40 hexadecimal digits."""
        try:
            value = bytes.fromhex(text)
        except ValueError:
            raise DecodeError(f"{cls.__name__} {text!r} is not hexadecimal; 40 digits needed") from None
        if len(value) != ID_SIZE:
            raise DecodeError(f"{cls.__name__} {text!r} has {len(text)} digits; 40 needed")
        return cls(value)

    def fits(self, endpoint: Endpoint) -> bool:
        """Whether the id of a node at this endpoint is one that BEP 42 accepts there; no address is exempt."""
        return is_secure(bytes(self), endpoint.pack())

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"


class InfoHash(NodeId):
    """20 bytes that name a torrent; of a v2 torrent the first 20 of its SHA-256 (BEP 52)."""

    __slots__ = ()


class Endpoint(NamedTuple):
    """An address and a UDP port in 1 … 65535."""

    ip: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `1.2.3.4:6881` or `[2001:db8::1]:6881`; names are not looked up. Raises DecodeError."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise DecodeError(f"endpoint {text!r}: an IPv6 address needs brackets, as in [::1]:6881")
        if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise DecodeError(f"endpoint {text!r}: a port of 1 to 65535 must follow the last colon")
        try:
            return cls(str(ipaddress.ip_address(host)), int(port))
        except ValueError:
            raise DecodeError(f"endpoint {text!r}: {host!r} is not an IP address") from None

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """From 6 (IPv4) or 18 (IPv6) bytes in network order. Raises DecodeError."""
        if len(packed) not in (6, 18):
            raise DecodeError(f"compact endpoint is {len(packed)} bytes; 6 (IPv4) or 18 (IPv6)")
        return unpack_endpoint(cls, packed)

    def pack(self) -> bytes:
        """The compact form: 6 bytes for IPv4 (BEP 5), 18 for IPv6 (BEP 32)."""
        return ipaddress.ip_address(self.ip).packed + self.port.to_bytes(2, "big")

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.ip

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.is_ipv6 else f"{self.ip}:{self.port}"


class Contact(NamedTuple):
    """A remote node: who it says it is, and where it is."""

    id: NodeId
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{self.id} {self.endpoint}"


@dataclass(frozen=True, slots=True)
class Item:
    """A value that the DHT stores (BEP 44): immutable, under its hash, or mutable, signed and numbered by its owner.

    target: the 20 bytes it is found under. value: as fastdht.bencode decodes it. raw: the value bencoded, as it
    travels and as it was signed. public_key: 32 bytes, seq: 0 to 2^63 - 1 and signature: 64 bytes, all None for an
    immutable item; salt: at most 64 bytes. Made by make_item, sign_item and load_item, which check it.
    """

    target: NodeId
    value: object
    raw: bytes
    public_key: bytes | None = None
    salt: bytes = b""
    seq: int | None = None
    signature: bytes | None = None

    @property
    def is_mutable(self) -> bool:
        return self.public_key is not None


class IncomingQuery(NamedTuple):
    """A query that another node has put to us: `method` is its name, or "unknown"; `target` or infohash, if any."""

    method: str
    source: Endpoint
    id: NodeId
    target: NodeId | None
