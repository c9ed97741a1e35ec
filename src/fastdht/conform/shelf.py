"""The items we make up for an examination (BEP 44): random values, a key to throw away. Rate class: command."""
from __future__ import annotations

from functools import cached_property
from random import Random
from typing import Any

from fastdht import bencode
from fastdht.crypto import SigningKey, immutable_target, mutable_target, signing_buffer

LARGEST = 999               # bytes, bencoded, that no reading of BEP 44 refuses; above 1,000 all of them do
TOO_LARGE = 1001
SALT = b"salt"
LONG_SALT = bytes(65)
OTHER_SALT = b"other"       # for a put whose signature is bad: what it leaves behind disturbs no other check


class Shelf:
    """What is put and asked for. Making the first mutable item raises SodiumMissing where nothing can sign."""

    def __init__(self, rng: Random) -> None:
        self._seed = rng.randbytes(32)
        self.first, self.second, self.third = (b"fastdht conform " + rng.randbytes(8) for _ in range(3))
        self.large = rng.randbytes(LARGEST - len("995:"))
        self.too_large = rng.randbytes(TOO_LARGE - len("997:"))
        # Two keys in the wrong order: bencode has one form for each value, and this is none.
        self.unsorted = b"d1:b8:" + rng.randbytes(8) + b"1:a1:xe"

    @cached_property
    def key(self) -> SigningKey:
        return SigningKey.from_seed(self._seed)

    def target(self, value: bytes) -> bytes:
        """Of an immutable byte string."""
        return immutable_target(bencode.encode(value))

    def mutable(self, salt: bytes = b"") -> bytes:
        """The target of our key's item with this salt."""
        return mutable_target(self.key.public_key, salt)

    def signed(self, value: bytes, seq: int, salt: bytes = b"", cas: int | None = None) -> dict[str, Any]:
        """The arguments of a mutable put, all but the token; None where there is none."""
        buffer = signing_buffer(bencode.encode(value), seq, salt)
        return {"k": self.key.public_key, "seq": seq, "sig": self.key.sign(buffer), "v": value, "cas": cas,
                "salt": salt or None}
