"""BEP 44 with peers that have it, in both directions: each check says in a word what it saw, as in asked_by_us.

What is put in one direction is put at the peer alone, or at our nodes alone, so that no other copy can be found.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from fastdht import WriteRejected, bencode, sign_item
from fastdht.crypto import SigningKey, immutable_target, mutable_target, signing_buffer
from tests.interop.asked_by_us import code_word
from tests.interop.matrix import YES
from tests.interop.network import Network

SALT = b"a salt"


def key_for(net: Network) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(net.new_hash()).digest())


# We ask

def get_and_put(net: Network) -> str:
    """Every kind of value comes back as it was."""
    unlike = []
    for value in (b"bytes", 44, [b"a", [1]], {b"key": b"value"}):
        report = net.ours.do(lambda node, value=value: node.put(value, to=[net.peer.endpoint]))
        item = net.ours.do(lambda node, report=report: node.get(report.target, to=[net.peer.endpoint]))
        if item.value != value:
            unlike.append(type(value).__name__)
    return f"not {', '.join(unlike)}" if unlike else YES


def get_miss(net: Network) -> str:
    """Not there is an answer with a token, or no token could be had for the first put."""
    target = net.new_hash()
    report = net.ours.do(lambda node: node.find_item(target, to=[net.peer.endpoint]))
    assert not report.copies
    return YES if report.lookup.closest[0].token else "no token"


def mutable(net: Network, salt: bytes = b"") -> str:
    key = key_for(net)
    for turn, value in enumerate([b"first", b"second"], start=1):
        report = net.ours.do(lambda node, value=value: node.put_mutable(key, value, salt=salt, to=[net.peer.endpoint]))
        assert (report.accepted, report.seq) == (1, turn)
        item = net.ours.do(lambda node: node.get_mutable(key.public_key, salt=salt, to=[net.peer.endpoint]))
        assert (item.value, item.seq) == (value, turn)
    return YES


def mutable_with_salt(net: Network) -> str:
    """Two salts of one key are two items."""
    key = key_for(net)
    for salt in (SALT, b"another"):
        net.ours.do(lambda node, salt=salt: node.put_mutable(key, salt, salt=salt, to=[net.peer.endpoint]))
    for salt in (SALT, b"another"):
        item = net.ours.do(lambda node, salt=salt: node.get_mutable(key.public_key, salt=salt, to=[net.peer.endpoint]))
        assert item.value == salt
    return mutable(net, SALT)


def refusal_code(net: Network, key: SigningKey, value: bytes, seq: int, cas: int | None = None) -> int | None:
    try:
        net.ours.do(lambda node: node.put_mutable(key, value, seq=seq, cas=cas, salt=SALT, to=[net.peer.endpoint]))
    except WriteRejected as rejected:
        (outcome,) = rejected.report.outcomes
        return outcome.code
    return 0


def cas_mismatch(net: Network) -> str:
    """A cas that fits is let through, one that does not fit is 301 and leaves the item alone."""
    key = key_for(net)
    assert refusal_code(net, key, b"one", 1) == 0
    assert refusal_code(net, key, b"two", 2, cas=1) == 0
    code = refusal_code(net, key, b"three", 3, cas=1)
    item = net.ours.do(lambda node: node.get_mutable(key.public_key, salt=SALT, to=[net.peer.endpoint]))
    assert item.value == (b"three" if code == 0 else b"two")
    return code_word(code, 301)


def older_seq(net: Network) -> str:
    key = key_for(net)
    assert refusal_code(net, key, b"five", 5) == 0
    return code_word(refusal_code(net, key, b"four", 4), 302)


def put_by_hand(net: Network, arguments: dict[str, Any], target: bytes) -> int | None:
    token = net.asker.reply_of(net.peer.endpoint, "get", {"target": target})[b"token"]
    return net.asker.error_of(net.peer.endpoint, "put", {"token": token, **arguments})


def bad_signature(net: Network) -> str:
    key = key_for(net)
    signature = bytes(64)
    return code_word(put_by_hand(net, {"k": key.public_key, "seq": 1, "sig": signature, "v": b"value"},
                                 mutable_target(key.public_key)), 206)


def large_value(net: Network) -> str:
    """1,001 bytes once encoded."""
    value = b"v" * 996
    raw = bencode.encode(value)
    assert len(raw) == 1000
    assert put_by_hand(net, {"v": value}, immutable_target(raw)) == 0
    value += b"v"
    return code_word(put_by_hand(net, {"v": value}, immutable_target(bencode.encode(value))), 205)


def large_salt(net: Network) -> str:
    key, salt = key_for(net), b"s" * 65
    signature = key.sign(signing_buffer(b"1:v", 1, salt))
    return code_word(put_by_hand(net, {"k": key.public_key, "seq": 1, "sig": signature, "salt": salt, "v": b"v"},
                                 mutable_target(key.public_key, salt)), 207)


def get_newer_only(net: Network) -> str:
    """A get with the seq that is stored is answered without the value."""
    key = key_for(net)
    net.ours.do(lambda node: node.put_mutable(key, b"value", seq=3, to=[net.peer.endpoint]))
    target = mutable_target(key.public_key)
    reply = net.asker.reply_of(net.peer.endpoint, "get", {"target": target, "seq": 3})
    assert net.asker.reply_of(net.peer.endpoint, "get", {"target": target, "seq": 2})[b"v"] == b"value"
    return "value all the same" if b"v" in reply else YES


# They ask

def they_get(net: Network) -> str:
    report = net.ours.do(lambda node: node.put(b"for the peer", to=net.ours.endpoints))
    assert report.accepted
    found = net.peer.call("get", target=bytes(report.target))
    return YES if found and bytes.fromhex(found["v"]) == b"for the peer" else "not found"


def they_put(net: Network) -> str:
    done = net.peer.call("put", v=b"from the peer")
    target = immutable_target(bencode.encode(b"from the peer"))
    assert bytes.fromhex(done["target"]) == target and done["stored"] > 0
    item = net.ours.do(lambda node: node.get(target, to=net.ours.endpoints))
    return YES if item.value == b"from the peer" else "another value"


def they_get_mutable(net: Network, salt: bytes = b"") -> str:
    """With the signature that we gave it."""
    key = key_for(net)
    item = sign_item(key, b"signed by us", seq=7, salt=salt)
    net.ours.do(lambda node: node.put_item(item, to=net.ours.endpoints))
    found = get_mutable(net, key, salt)
    if found is None:
        return "not found"
    assert bytes.fromhex(found["v"]) == b"signed by us" and found["seq"] == 7
    assert bytes.fromhex(found["sig"]) == item.signature
    return YES


def they_put_mutable(net: Network, salt: bytes = b"") -> str:
    """Twice: our nodes store the first and let the second replace it."""
    key = key_for(net)
    for seq, value in enumerate([b"first", b"second"], start=1):
        done = put_mutable(net, key, value, seq, salt)
        assert done["stored"] > 0, done
        item = net.ours.do(lambda node: node.get_mutable(key.public_key, salt=salt, to=net.ours.endpoints))
        assert (item.value, item.seq) == (value, seq)
    return YES


def they_cas(net: Network) -> str:
    """Our nodes let a cas that fits through, and refuse one that does not."""
    key = key_for(net)
    put_mutable(net, key, b"one", 1, SALT)
    put_mutable(net, key, b"two", 2, SALT, cas=1)
    put_mutable(net, key, b"three", 3, SALT, cas=1)
    sent = [heard.arguments.get(b"cas") for heard in list(net.ours.heard)
            if heard.source == net.peer.endpoint and heard.arguments.get(b"k") == key.public_key]
    assert set(sent) == {None, 1}
    item = net.ours.do(lambda node: node.get_mutable(key.public_key, salt=SALT, to=net.ours.endpoints))
    return YES if (item.value, item.seq) == (b"two", 2) else "overwritten"


def put_mutable(net: Network, key: SigningKey, value: bytes, seq: int, salt: bytes, **cas: int) -> dict[str, Any]:
    """libtorrent wants the expanded key, and counts seq itself; bittorrent-dht wants the seed, and is told seq."""
    assert key.seed is not None
    if net.name == "libtorrent":
        return net.peer.call("put_mutable", v=value, key=expanded(key.seed), k=key.public_key, salt=salt)
    return net.peer.call("put_mutable", v=value, seed=key.seed, k=key.public_key, salt=salt, seq=seq, **cas)


def get_mutable(net: Network, key: SigningKey, salt: bytes) -> dict[str, Any] | None:
    if net.name == "libtorrent":
        return net.peer.call("get_mutable", k=key.public_key, salt=salt)
    return net.peer.call("get", target=mutable_target(key.public_key, salt), salt=salt)


def expanded(seed: bytes) -> bytes:
    """The scalar, clamped, and the prefix (RFC 8032)."""
    half = bytearray(hashlib.sha512(seed).digest())
    half[0] &= 248
    half[31] = half[31] & 63 | 64
    return bytes(half)


WE_ASK: dict[str, Callable[[Network], str]] = {
    "get, miss": get_miss,
    "put and get": get_and_put,
    "mutable": mutable,
    "mutable, salt": mutable_with_salt,
    "cas mismatch: 301": cas_mismatch,
    "older seq: 302": older_seq,
    "1,001 bytes: 205": large_value,
    "bad signature: 206": bad_signature,
    "salt of 65 bytes: 207": large_salt,
    "get with seq": get_newer_only,
}
THEY_ASK: dict[str, Callable[[Network], str]] = {
    "get": they_get,
    "put": they_put,
    "get mutable": they_get_mutable,
    "get mutable, salt": lambda net: they_get_mutable(net, SALT),
    "put mutable": they_put_mutable,
    "put mutable, salt": lambda net: they_put_mutable(net, SALT),
}
