"""Magnet links of torrents and of keys that name one. Rate class: command.

`magnet:?xt=urn:btih:…` names a torrent by its SHA-1 (40 hexadecimal or 32 base-32 digits, BEP 9), `xt=urn:btmh:…` by
its SHA-256 as a multihash (BEP 52), `xs=urn:btpk:…&s=…` names the key and salt under which the present infohash is
found (BEP 46). Strict where it counts, blind to every other parameter; one link may hold all three.
"""
from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from fastdht.errors import DecodeError
from fastdht.types import ID_SIZE, InfoHash

MAX_LINK = 16_384               # characters; trackers make links long, nothing makes them this long
MAX_FIELDS = 256
MAX_SALT = 64                   # bytes (BEP 44)
KEY_SIZE = 32
SHA256_MULTIHASH = "1220"       # sha2-256, 32 bytes
HEX = re.compile(r"[0-9a-fA-F]*")


@dataclass(frozen=True, slots=True)
class Magnet:
    """What a link names; at least one of the first three is there.

    info_hash: 20 bytes (v1). info_hash_v2: 32 bytes. public_key: 32 bytes, with `salt` (0 to 64) for BEP 46.
    """

    info_hash: InfoHash | None = None
    info_hash_v2: bytes | None = None
    public_key: bytes | None = None
    salt: bytes = b""
    name: str | None = None
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.info_hash is None and self.info_hash_v2 is None and self.public_key is None:
            raise DecodeError("magnet link without xt=urn:btih:, xt=urn:btmh: or xs=urn:btpk:")
        for name, value, size in (("info_hash", self.info_hash, ID_SIZE), ("info_hash_v2", self.info_hash_v2, KEY_SIZE),
                                  ("public_key", self.public_key, KEY_SIZE)):
            if value is not None and len(value) != size:
                raise DecodeError(f"{name} is {len(value)} bytes; {size} needed")
        if len(self.salt) > MAX_SALT:
            raise DecodeError(f"salt is {len(self.salt)} bytes; BEP 44 allows {MAX_SALT}")
        if self.salt and self.public_key is None:
            raise DecodeError("magnet link with a salt (s=) but without a key (xs=urn:btpk:)")

    @classmethod
    def parse(cls, text: str) -> Magnet:
        """From a link. Raises DecodeError, which names the parameter."""
        scheme, _, query = text.strip().partition("?")
        if scheme.lower() != "magnet:":
            raise DecodeError(f"{shorten(text)}: a magnet link begins with magnet:?")
        if len(text) > MAX_LINK:
            raise DecodeError(f"magnet link is {len(text)} characters; at most {MAX_LINK}")
        try:
            fields = parse_qsl(query, max_num_fields=MAX_FIELDS)
        except ValueError:
            raise DecodeError(f"magnet link has more than {MAX_FIELDS} parameters") from None
        topics = [value for key, value in fields if topic_key(key) == "xt"]
        sources = [value for key, value in fields if topic_key(key) == "xs"]
        btih, btmh = only(topics, "urn:btih:", "xt"), only(topics, "urn:btmh:", "xt")
        btpk = only(sources, "urn:btpk:", "xs")
        salts = [value for key, value in fields if key == "s"] if btpk is not None else []
        if len(set(salts)) > 1:
            raise DecodeError("magnet link with two different salts (s=)")
        names = [value for key, value in fields if key == "dn"]
        return cls(
            info_hash=None if btih is None else parse_btih(btih),
            info_hash_v2=None if btmh is None else parse_btmh(btmh),
            public_key=None if btpk is None else parse_hex(btpk, KEY_SIZE, "xs=urn:btpk:"),
            salt=parse_hex(salts[0], None, "s=") if salts else b"",
            name=names[0] if names else None,
            trackers=tuple(value for key, value in fields if topic_key(key) == "tr"))

    @property
    def dht_hashes(self) -> tuple[InfoHash, ...]:
        """What to look up in the DHT: the v1 infohash, and the first 20 bytes of the v2 one (BEP 52)."""
        found = [] if self.info_hash is None else [InfoHash(self.info_hash)]
        return tuple(found + ([InfoHash(self.info_hash_v2[:ID_SIZE])] if self.info_hash_v2 is not None else []))

    def __str__(self) -> str:
        parts = []
        if self.info_hash is not None:
            parts.append(f"xt=urn:btih:{self.info_hash.hex()}")
        if self.info_hash_v2 is not None:
            parts.append(f"xt=urn:btmh:{SHA256_MULTIHASH}{self.info_hash_v2.hex()}")
        if self.public_key is not None:
            parts.append(f"xs=urn:btpk:{self.public_key.hex()}")
        if self.salt:
            parts.append(f"s={self.salt.hex()}")
        if self.name is not None:
            parts.append(f"dn={quote(self.name)}")
        parts += [f"tr={quote(tracker, safe='')}" for tracker in self.trackers]
        return "magnet:?" + "&".join(parts)


def topic_key(key: str) -> str:
    """A parameter's name without its number: several of a kind may be written xt.1, xt.2."""
    name, dot, number = key.partition(".")
    return name if dot and number.isascii() and number.isdigit() else key


def only(values: list[str], prefix: str, parameter: str) -> str | None:
    """The one value with this prefix, without it; the same value twice is one."""
    found = {value[len(prefix):].lower() for value in values if value.lower().startswith(prefix)}
    if len(found) > 1:
        raise DecodeError(f"magnet link with {len(found)} different {parameter}={prefix}")
    return found.pop() if found else None


def parse_btih(text: str) -> InfoHash:
    if len(text) == 32:
        try:
            return InfoHash(base64.b32decode(text.upper()))
        except ValueError:
            raise DecodeError(f"xt=urn:btih:{text}: 32 characters that are not base-32") from None
    return InfoHash(parse_hex(text, ID_SIZE, "xt=urn:btih:"))


def parse_btmh(text: str) -> bytes:
    if not text.startswith(SHA256_MULTIHASH):
        raise DecodeError(f"xt=urn:btmh:{shorten(text)}: only SHA-256 ({SHA256_MULTIHASH}…) names a torrent")
    return parse_hex(text[len(SHA256_MULTIHASH):], KEY_SIZE, f"xt=urn:btmh:{SHA256_MULTIHASH}")


def parse_hex(text: str, size: int | None, what: str) -> bytes:
    if not HEX.fullmatch(text) or len(text) % 2:
        raise DecodeError(f"{what}{shorten(text)}: not hexadecimal")
    if size is not None and len(text) != 2 * size:
        raise DecodeError(f"{what}{shorten(text)}: {len(text)} digits; {2 * size} needed")
    return bytes.fromhex(text)


def shorten(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "…")
