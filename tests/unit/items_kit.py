"""Puts and gets of BEP 44 for tests: queries built byte by byte where they must be wrong, and a key to sign with."""
from __future__ import annotations

import hashlib
from typing import Any

import pysodium

from fastdht._ext import krpc
from fastdht.bencode import encode
from fastdht.types import Contact
from tests.unit.core_kit import ASKER, Kit

VALUE = b"12:Hello World!"
PUBLIC_KEY, SECRET_KEY = pysodium.crypto_sign_seed_keypair(bytes(range(32)))


def signed_part(value: bytes, seq: int, salt: bytes = b"") -> bytes:
    """BEP 44, "Signature Verification"."""
    head = b"4:salt%d:%s" % (len(salt), salt) if salt else b""
    return head + b"3:seqi%de1:v%s" % (seq, value)


def sign(value: bytes, seq: int, salt: bytes = b"") -> bytes:
    signature: bytes = pysodium.crypto_sign_detached(signed_part(value, seq, salt), SECRET_KEY)
    return signature


def is_signed(signature: bytes, message: bytes, public_key: bytes) -> bool:
    try:
        pysodium.crypto_sign_verify_detached(signature, message, public_key)
    except ValueError:
        return False
    return True


def immutable_target(value: bytes) -> bytes:
    return hashlib.sha1(value).digest()


def mutable_target(salt: bytes = b"", key: bytes = PUBLIC_KEY) -> bytes:
    return hashlib.sha1(key + salt).digest()


class Raw(bytes):
    """A value that is bencoded already, right or wrong."""


def put_query(arguments: dict[bytes, Any], sender: Contact = ASKER) -> bytes:
    """A put with exactly these arguments; a Raw one goes in as it is."""
    packed = {b"id": bytes(sender.id), **arguments}
    body = b"".join(encode(key) + (packed[key] if isinstance(packed[key], Raw) else encode(packed[key]))
                    for key in sorted(packed))
    return b"d1:ad" + body + b"e1:q3:put1:t2:pp1:y1:qe"


def mutable(value: bytes, seq: int, salt: bytes = b"", changes: dict[str, Any] | None = None) -> dict[bytes, Any]:
    """The arguments of a good mutable put but for its token; `changes` replace some, None removes one."""
    arguments = {b"k": PUBLIC_KEY, b"seq": seq, b"sig": sign(value, seq, salt), b"v": Raw(value)}
    if salt:
        arguments[b"salt"] = salt
    arguments |= {name.encode(): changed for name, changed in (changes or {}).items()}
    return {name: part for name, part in arguments.items() if part is not None}


class ItemKit(Kit):
    """A Core, and both sides of what BEP 44 asks of it."""

    def get(self, target: bytes, sender: Contact = ASKER, **arguments: Any) -> dict[str, Any]:
        [answer] = self.send(krpc.build_query("get", id=bytes(sender.id), tid=7, target=target, **arguments),
                             sender.endpoint)
        return answer

    def token(self, target: bytes, sender: Contact = ASKER) -> bytes:
        token: bytes = self.get(target, sender)["token"]
        return token

    def put(self, arguments: dict[bytes, Any], target: bytes, sender: Contact = ASKER) -> list[dict[str, Any]]:
        """Send a put with a good token for `target`; the answers, once what is parked has been verified."""
        query = put_query({b"token": self.token(target, sender), **arguments}, sender)
        return self.send(query, sender.endpoint) + self.verify()

    def put_value(self, value: bytes, sender: Contact = ASKER) -> dict[str, Any]:
        [answer] = self.put({b"v": Raw(value)}, immutable_target(value), sender)
        return answer

    def put_signed(self, value: bytes, seq: int, salt: bytes = b"", sender: Contact = ASKER,
                   **changes: Any) -> dict[str, Any]:
        [answer] = self.put(mutable(value, seq, salt, changes), mutable_target(salt), sender)
        return answer

    def verify(self) -> list[dict[str, Any]]:
        """Do the engine's part: verify what is parked."""
        for slot, public_key, signature, message in self.core.take_parked(1000, self.now):
            self.core.finish_put(slot, is_signed(signature, message, public_key), self.now)
        return self.sent()
