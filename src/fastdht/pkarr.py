"""DNS records under a public key, as pkarr keeps them in the DHT. Rate class: command.

A signed packet is a mutable item without salt: seq is the time of signing in microseconds, the value a byte string
with a compressed DNS answer whose owner names end in the key, in z-base-32. dnspython builds and reads the records; it
comes with the extra `pkarr`. Packets of 995 bytes at most: larger ones fit pkarr's limit, but not that of most nodes.
Source: pkarr, design/base.md; BEP 44; z-base-32 (Wilcox-O'Hearn).
"""
from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastdht import crypto
from fastdht.engine.clock import wall_s
from fastdht.errors import ConfigError, DecodeError, DHTError, LocalProtocolError
from fastdht.items import KEY_SIZE, MAX_SEQ, SIGNATURE_SIZE, Signer, load_item, sign_item
from fastdht.node import Node
from fastdht.stats import WriteReport
from fastdht.types import Item

ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
NAME_SIZE = 52              # characters of a key
MAX_PACKET = 995            # bytes: "995:" and these are 999, which every node takes
MAX_READ = 1000             # what pkarr itself allows
HEADER = KEY_SIZE + SIGNATURE_SIZE + 8
ANSWER_FLAGS = 0x8000       # QR alone, id 0: as pkarr writes them
SCHEME = "pk:"


class DnsMissing(DHTError, ImportError):
    """dnspython is not installed; the message names its package."""


def encode_key(public_key: bytes) -> str:
    """The 52 characters of a 32-byte key."""
    if len(public_key) != KEY_SIZE:
        raise ConfigError(f"public key is {len(public_key)} bytes; {KEY_SIZE} needed")
    bits = int.from_bytes(public_key, "big") << 4           # 256 bits and four 0: 52 groups of five
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(255, -1, -5))


def decode_key(text: str) -> bytes:
    """The 32-byte key of 52 characters, with or without `pk:` before, or as the last label of a name or a URI's host.

    Raises DecodeError.
    """
    name = text.strip().lower().removeprefix(SCHEME)
    host = name.partition("://")[2] or name
    label = host.lstrip("/").partition("/")[0].partition(":")[0].rstrip(".").rpartition(".")[2]
    if len(label) != NAME_SIZE or any(letter not in ALPHABET for letter in label):
        raise DecodeError(f"{text[:100]!r}: no key in z-base-32 ({NAME_SIZE} of {ALPHABET})")
    bits = 0
    for letter in label:
        bits = bits << 5 | ALPHABET.index(letter)
    if bits & 15:
        raise DecodeError(f"{text[:100]!r}: the last letter has bits beyond the key's {KEY_SIZE} bytes")
    return (bits >> 4).to_bytes(KEY_SIZE, "big")


@dataclass(frozen=True, slots=True)
class SignedPacket:
    """A DNS packet signed by a key; `timestamp` is microseconds since 1970. Made by `sign` and the `from_` methods."""

    public_key: bytes
    signature: bytes
    timestamp: int
    packet: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedPacket:
        """From key (32) ‖ signature (64) ‖ timestamp (8, big-endian) ‖ packet. Raises DecodeError for any fault."""
        if not HEADER < len(data) <= HEADER + MAX_READ:
            raise DecodeError(f"signed packet is {len(data)} bytes; {HEADER + 1} to {HEADER + MAX_READ}")
        return cls(data[:32], data[32:96], int.from_bytes(data[96:104], "big"), data[104:])._verified()

    @classmethod
    def from_relay(cls, public_key: bytes, payload: bytes) -> SignedPacket:
        """From what relays send: the same without the key."""
        return cls.from_bytes(public_key + payload)

    @classmethod
    def from_item(cls, item: Item) -> SignedPacket:
        """From a verified mutable item. Raises DecodeError when it holds no DNS packet."""
        if item.public_key is None or item.signature is None or item.seq is None or item.salt:
            raise DecodeError(f"{item.target} is no mutable item without salt")
        if not isinstance(item.value, bytes) or len(item.value) > MAX_READ:
            raise DecodeError(f"{item.target} holds no packet of at most {MAX_READ} bytes")
        found = cls(item.public_key, item.signature, item.seq, item.value)
        found.message()
        return found

    def __bytes__(self) -> bytes:
        return self.public_key + self.to_relay()

    def to_relay(self) -> bytes:
        return self.signature + self.timestamp.to_bytes(8, "big") + self.packet

    @property
    def name(self) -> str:
        """The key in z-base-32: the top-level domain of every record."""
        return encode_key(self.public_key)

    def item(self) -> Item:
        """What is put into the DHT. Raises LocalProtocolError when it is too large for most nodes."""
        check_packet(self.packet)
        raw = b"%d:%b" % (len(self.packet), self.packet)
        return load_item(raw, public_key=self.public_key, signature=self.signature, seq=self.timestamp)

    def message(self) -> Any:
        """The packet as dnspython's Message. Raises DecodeError when it is none."""
        dns = load_dns("dns.message", "dns.exception")
        try:
            return dns.message.from_wire(self.packet)
        except (dns.exception.DNSException, ValueError) as error:
            raise DecodeError(f"no DNS packet: {error!r}") from None

    def records(self, name: str = "@") -> list[Any]:
        """The RRsets of a name below the key ("@": the key itself), as dnspython's."""
        wanted = full_name(name, self.public_key)
        return [rrset for rrset in self.message().answer if rrset.name == wanted]

    def _verified(self) -> SignedPacket:
        if self.timestamp > MAX_SEQ:
            raise DecodeError(f"timestamp {self.timestamp} is beyond a seq of BEP 44")
        raw = b"%d:%b" % (len(self.packet), self.packet)
        if not crypto.verify(self.signature, crypto.signing_buffer(raw, self.timestamp), self.public_key):
            raise DecodeError("the signature is not the key's")
        self.message()
        return self


def sign(key: Signer, rrsets: Iterable[Any], *, timestamp: int | None = None) -> SignedPacket:
    """Sign DNS records: dnspython's RRsets, whose owner names are made to end in the key.

    timestamp: microseconds since 1970, now by default. Raises LocalProtocolError for more than 995 bytes.
    """
    public_key = bytes(key.public_key)
    dns = load_dns("dns.message", "dns.rrset")
    message = dns.message.Message(id=0)
    message.flags = ANSWER_FLAGS
    for rrset in rrsets:
        owned = dns.rrset.from_rdata_list(full_name(rrset.name, public_key), rrset.ttl, list(rrset))
        message.answer.append(owned)
    packet = message.to_wire(max_size=65535)
    check_packet(packet)
    item = sign_item(key, packet, seq=int(wall_s() * 1e6) if timestamp is None else timestamp)
    assert item.signature is not None and item.seq is not None
    return SignedPacket(public_key, item.signature, item.seq, packet)


async def publish(node: Node, key: Signer, rrsets: Iterable[Any], *, timestamp: int | None = None) -> WriteReport:
    """Sign records and store them; node.keep_published(packet.item()) keeps them. Raises as sign and put_item."""
    return await node.put_item(sign(key, rrsets, timestamp=timestamp).item())


async def resolve(node: Node, key: bytes | str, *, timestamp: int | None = None) -> SignedPacket:
    """The newest records of a key (32 bytes, or as decode_key reads it); `timestamp`: no older ones.

    Raises NotFound, LookupFailed, and DecodeError when what is stored is no DNS packet.
    """
    public_key = decode_key(key) if isinstance(key, str) else key
    return SignedPacket.from_item(await node.get_mutable(public_key, seq=timestamp))


def full_name(name: Any, public_key: bytes) -> Any:
    """A name (text, or dnspython's) that ends in the key: "@", "." and "" are the key itself."""
    dns = load_dns("dns.name")
    labels = [label for label in (dns.name.from_text(name, None) if isinstance(name, str) else name).labels if label]
    origin = encode_key(public_key).encode()
    if labels and labels[-1].lower() == origin:
        labels.pop()
    if labels == [b"@"]:
        labels = []
    return dns.name.Name([*labels, origin, b""])


def check_packet(packet: bytes) -> None:
    if len(packet) > MAX_PACKET:
        raise LocalProtocolError(f"DNS packet is {len(packet)} bytes; {MAX_PACKET} fit what every node stores")


def load_dns(*modules: str) -> Any:
    """dnspython with these modules loaded. Raises DnsMissing."""
    try:
        for module in modules:
            importlib.import_module(module)
        return importlib.import_module("dns")
    except ImportError as error:
        raise DnsMissing("dnspython is not installed; DNS records need it: pip install 'fastdht[pkarr]'") from error
