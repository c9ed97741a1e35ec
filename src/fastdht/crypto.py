"""Keys, signatures and targets of signed items. Rate class: command; `verify` once per signed item.

A key is a 32-byte seed (RFC 8032) or a 64-byte expanded key, scalar ‖ prefix, as BEP 44's sample keys are; a seed's
scalar cannot be told from its expansion, so both kinds stay what they are. libsodium signs for seeds. For expanded
keys it multiplies points, and arithmetic mod L is done here, in Python integers whose time depends on their value:
sign with an expanded key where nobody can measure that. Secrets appear in no repr and no error.
Source: RFC 8032 §5.1.6; BEP 44, "Mutable items".
"""
from __future__ import annotations

import hashlib
import os
from typing import Self

from fastdht.errors import ConfigError
from fastdht.sodium import SodiumMissing, backend

__all__ = ["BEP44_TEST", "SigningKey", "SodiumMissing", "immutable_target", "mutable_target", "signing_buffer",
           "verify"]

SEED_SIZE = PUBLIC_KEY_SIZE = 32
EXPANDED_SIZE = SIGNATURE_SIZE = 64
L = 2**252 + 27742317777372353535851937790883648493     # the order of the base point


def verify(signature: bytes, message: bytes, public_key: bytes) -> bool:
    """Whether the 64-byte Ed25519 signature of `message` is the 32-byte public key's; False for other sizes.

    Raises SodiumMissing when no library is there to tell.
    """
    if len(signature) != SIGNATURE_SIZE or len(public_key) != PUBLIC_KEY_SIZE:
        return False
    return backend().verify(bytes(signature), bytes(message), bytes(public_key))


def signing_buffer(value: bytes, seq: int, salt: bytes = b"") -> bytes:
    """What the signature of a mutable item covers; `value` is bencoded, exactly as it travels (BEP 44).

    Limits are not checked here: whoever sends or stores an item has checked them.
    """
    prefix = b"4:salt%d:%b" % (len(salt), salt) if salt else b""
    return b"%b3:seqi%de1:v%b" % (prefix, seq, value)


def mutable_target(public_key: bytes, salt: bytes = b"") -> bytes:
    """The 20 bytes under which a key's item is found. Raises ConfigError unless the key is 32 bytes."""
    if len(public_key) != PUBLIC_KEY_SIZE:
        raise ConfigError(f"public key is {len(public_key)} bytes; {PUBLIC_KEY_SIZE} needed")
    return hashlib.sha1(public_key + salt).digest()


def immutable_target(value: bytes) -> bytes:
    """The 20 bytes under which a bencoded value is found."""
    return hashlib.sha1(value).digest()


class SigningKey:
    """A secret Ed25519 key: made by `generate`, `from_seed`, `from_expanded` or `from_bytes`; equal if its public is.

    seed: its 32 bytes, None for an expanded key. public_key: 32 bytes. secret: what `from_seed` or `from_expanded`
    takes, 32 or 64 bytes.
    """

    __slots__ = ("_scalar", "public_key", "secret")

    def __init__(self, secret: bytes, public_key: bytes, scalar: int | None) -> None:
        """For the constructors below; `scalar` is an expanded key's, mod L."""
        self.secret = secret
        self.public_key = public_key
        self._scalar = scalar

    @classmethod
    def generate(cls) -> Self:
        """A new random key. Raises SodiumMissing, as everything below does."""
        return cls.from_seed(os.urandom(SEED_SIZE))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """From 32 bytes (RFC 8032). Raises ConfigError for any other size."""
        if len(seed) != SEED_SIZE:
            raise ConfigError(f"seed is {len(seed)} bytes; {SEED_SIZE} needed")
        return cls(bytes(seed), backend().public_key(bytes(seed)), None)

    @classmethod
    def from_expanded(cls, expanded: bytes) -> Self:
        """From 64 bytes, scalar ‖ prefix, clamped or not. Raises ConfigError for any other size and for scalar 0."""
        if len(expanded) != EXPANDED_SIZE:
            raise ConfigError(f"expanded key is {len(expanded)} bytes; {EXPANDED_SIZE} needed")
        scalar = int.from_bytes(expanded[:32], "little") % L
        if scalar == 0:
            raise ConfigError("the expanded key's scalar is 0 modulo the group order; it signs nothing")
        return cls(bytes(expanded), multiply_base(scalar), scalar)

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """From a seed (32 bytes), seed ‖ public key as NaCl keeps it, or a clamped expanded key (64 bytes).

        The two kinds of 64 are told apart by computing the public key anew. Raises ConfigError for anything else.
        """
        if len(secret) == SEED_SIZE:
            return cls.from_seed(secret)
        if len(secret) != EXPANDED_SIZE:
            raise ConfigError(f"secret key is {len(secret)} bytes; {SEED_SIZE} (seed) or {EXPANDED_SIZE} needed")
        key = cls.from_seed(secret[:SEED_SIZE])
        if key.public_key == secret[SEED_SIZE:]:
            return key
        if not is_clamped(secret[:32]):
            raise ConfigError("secret key is neither seed and public key (the second half is not the first one's "
                              "public key) nor expanded (its scalar is not clamped)")
        return cls.from_expanded(secret)

    @property
    def seed(self) -> bytes | None:
        return self.secret if self._scalar is None else None

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`; the same message gives the same signature."""
        if self._scalar is None:
            return backend().sign(self.secret, self.public_key, message)
        nonce = hash_mod_l(self.secret[32:], message)
        point = multiply_base(nonce)
        response = nonce + hash_mod_l(point, self.public_key, message) * self._scalar
        return point + (response % L).to_bytes(32, "little")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and other.public_key == self.public_key

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"SigningKey(public_key={self.public_key.hex()})"


def is_clamped(scalar: bytes) -> bool:
    """Whether 32 bytes are as RFC 8032 makes a scalar: lowest three bits and highest one 0, second highest 1."""
    return scalar[0] & 7 == 0 and scalar[31] & 0xC0 == 0x40


def multiply_base(scalar: int) -> bytes:
    return backend().multiply_base(scalar.to_bytes(32, "little"))


def hash_mod_l(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


BEP44_EXPANDED = bytes.fromhex(
    "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d"
    "b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d")
BEP44_PUBLIC_KEY = bytes.fromhex("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548")
# The key of BEP 44's test vectors, which everybody knows; its public key is given, so that importing needs no library.
BEP44_TEST = SigningKey(BEP44_EXPANDED, BEP44_PUBLIC_KEY, int.from_bytes(BEP44_EXPANDED[:32], "little") % L)
