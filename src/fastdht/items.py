"""Items of BEP 44: made, signed, loaded and checked. Rate class: command and lookup.

Invariant: an Item from here fits its target, its signature is good, and it is small enough for every implementation.
What comes from the network is never refused with an error: it is no item. Source: BEP 44, its limits as
implementations keep them: 999 bytes encoded are sent, as some refuse 1000.
"""
from __future__ import annotations

from typing import Any, Protocol

from fastdht import bencode, crypto
from fastdht.errors import DecodeError, LocalProtocolError
from fastdht.types import Item, NodeId

MAX_VALUE = 999             # bytes of a value we send, bencoded
MAX_SALT = 64
MAX_SEQ = 2**63 - 1
KEY_SIZE = 32
SIGNATURE_SIZE = 64


class Signer(Protocol):
    """Who can sign: fastdht.crypto's SigningKey, or anything with these two."""

    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


def make_item(value: object) -> Item:
    """An immutable item of bytes, text (stored as UTF-8), an integer, a list or a dictionary.

    Raises LocalProtocolError for another type, and for more than 999 bytes once encoded.
    """
    raw = encode_value(value)
    return Item(NodeId(crypto.immutable_target(raw)), decoded(raw), raw)


def sign_item(key: Signer, value: object, *, seq: int, salt: bytes = b"") -> Item:
    """A mutable item: `value` as in make_item, signed by `key`; seq is 0 to 2^63 - 1, the salt at most 64 bytes.

    Never sign two values with one seq: nodes keep either. Raises LocalProtocolError for what is outside its limits.
    """
    check_salt(salt)
    check_seq(seq)
    raw = encode_value(value)
    public_key = bytes(key.public_key)
    signature = key.sign(crypto.signing_buffer(raw, seq, salt))
    target = NodeId(crypto.mutable_target(public_key, salt))
    return Item(target, decoded(raw), raw, public_key, bytes(salt), seq, bytes(signature))


def load_item(raw: bytes, *, public_key: bytes | None = None, signature: bytes | None = None, seq: int | None = None,
              salt: bytes = b"") -> Item:
    """An item whose value is bencoded, and signed if it is mutable, already.

    Raises LocalProtocolError when only some of key, signature and seq are given, something is outside its limits, or
    the signature is not that of this value; DecodeError when `raw` is not canonical bencode.
    """
    bencode.decode(raw)
    check_value(raw)
    if public_key is None and signature is None and seq is None:
        return Item(NodeId(crypto.immutable_target(raw)), decoded(raw), bytes(raw))
    if public_key is None or signature is None or seq is None:
        raise LocalProtocolError("a mutable item needs all of public_key, signature and seq; an immutable one none")
    check_salt(salt)
    check_seq(seq)
    check_size("public key", public_key, KEY_SIZE)
    check_size("signature", signature, SIGNATURE_SIZE)
    if not crypto.verify(signature, crypto.signing_buffer(raw, seq, salt), public_key):
        raise LocalProtocolError(f"the signature is not one of this value, seq {seq} and salt by {public_key.hex()}")
    target = NodeId(crypto.mutable_target(public_key, salt))
    return Item(target, decoded(raw), bytes(raw), bytes(public_key), bytes(salt), seq, bytes(signature))


class ItemReader:
    """Makes items of answers that fit one target; a signature that many nodes repeat is verified once."""

    def __init__(self, target: bytes, salt: bytes) -> None:
        self._target = bytes(target)
        self._salt = salt
        self._known: dict[tuple[bytes, bytes, int, bytes], Item | None] = {}    # at most one for each answer

    def read(self, slots: dict[str, Any]) -> Item | None:
        """The item in an answer as krpc.parse gives it; None when there is none, or not one of this target."""
        raw = slots.get("value")
        if raw is None:
            return None
        if self.holds_immutable(slots):
            return Item(NodeId(self._target), decoded(raw), raw)
        key, signature, seq = slots.get("key"), slots.get("signature"), slots.get("seq", -1)
        if key is None or signature is None or not 0 <= seq <= MAX_SEQ:
            return None
        known = (raw, key, seq, signature)
        if known not in self._known:
            self._known[known] = self._read_signed(*known)
        return self._known[known]

    def holds_immutable(self, slots: dict[str, Any]) -> bool:
        """Whether an answer holds the one value whose hash is the target."""
        return "value" in slots and crypto.immutable_target(slots["value"]) == self._target

    def _read_signed(self, raw: bytes, key: bytes, seq: int, signature: bytes) -> Item | None:
        if crypto.mutable_target(key, self._salt) != self._target:
            return None
        if not crypto.verify(signature, crypto.signing_buffer(raw, seq, self._salt), key):
            return None
        return Item(NodeId(self._target), decoded(raw), raw, key, self._salt, seq, signature)


def encode_value(value: object) -> bytes:
    try:
        raw = bencode.encode(value)
        check_value(raw)
        bencode.decode(raw)             # not deeper than nodes read
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, LocalProtocolError) else LocalProtocolError(f"value: {error}") from None
    return raw


def decoded(raw: bytes) -> object:
    """The value of bencode that need not be canonical; None for one that is not bencode at all."""
    try:
        return bencode.decode(raw, strict=False)
    except DecodeError:
        return None


def check_value(raw: bytes) -> None:
    if len(raw) > MAX_VALUE:
        raise LocalProtocolError(f"value is {len(raw)} bytes; BEP 44 allows 1000, and {MAX_VALUE} suit every node")


def check_salt(salt: bytes) -> None:
    if len(salt) > MAX_SALT:
        raise LocalProtocolError(f"salt is {len(salt)} bytes; BEP 44 allows {MAX_SALT}")


def check_seq(seq: int, name: str = "seq") -> None:
    if not 0 <= seq <= MAX_SEQ:
        raise LocalProtocolError(f"{name} is {seq}; BEP 44 allows 0 to 2^63 - 1")


def check_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise LocalProtocolError(f"{name} is {len(value)} bytes; {size} needed")
