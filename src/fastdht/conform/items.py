"""BEP 44: immutable and mutable items, salt, seq and cas. Rate class: command.

Each put is signed properly unless its check is about that, and each that must be refused has a target of its own or
leaves what is stored as it was: a node that takes it fails that check, and none that follow.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastdht import bencode
from fastdht.conform.checks import Ask, Check, Judge, accepts, holds, refusal, refuses, shown
from fastdht.conform.scene import Answer, Message, Raw, Scene
from fastdht.conform.shelf import LARGEST, LONG_SALT, OTHER_SALT, SALT, TOO_LARGE, Shelf
from fastdht.conform.verdicts import CONFORMS, Outcome, deviates, unsupported
from fastdht.crypto import immutable_target

PLACE = b"the place of a value that has no encoding"

Target = Callable[[Shelf], bytes]


def ask_item(target: Target, **arguments: Any) -> Ask:
    return lambda scene: scene.query("get", target=target(scene.shelf), **arguments)


def first(shelf: Shelf) -> bytes:
    return shelf.target(shelf.first)


def large(shelf: Shelf) -> bytes:
    return shelf.target(shelf.large)


def too_large(shelf: Shelf) -> bytes:
    return shelf.target(shelf.too_large)


def unsorted(shelf: Shelf) -> bytes:
    return immutable_target(shelf.unsorted)


def mutable(salt: bytes = b"") -> Target:
    return lambda shelf: shelf.mutable(salt)


def put(scene: Scene, target: bytes, **arguments: Any) -> Message:
    """`target` is no argument of BEP 44; some nodes demand it, and all others ignore it."""
    return scene.query("put", target=target, **{"token": scene.token(target), **arguments})


def put_value(target: Target, name: str, **arguments: Any) -> Ask:
    """Put the shelf's immutable value of this name."""
    return lambda scene: put(scene, target(scene.shelf), v=getattr(scene.shelf, name), **arguments)


def put_signed(name: str, seq: int, salt: bytes = b"", cas: int | None = None) -> Ask:
    def ask(scene: Scene) -> Message:
        signed = scene.shelf.signed(getattr(scene.shelf, name), seq, salt, cas)
        return put(scene, scene.shelf.mutable(salt), **signed)

    return ask


def put_forged(scene: Scene) -> Message:
    signed = scene.shelf.signed(scene.shelf.first, 1, OTHER_SALT)
    signature = bytes([signed["sig"][0] ^ 1]) + signed["sig"][1:]
    return put(scene, scene.shelf.mutable(OTHER_SALT), **{**signed, "sig": signature})


def put_unsorted(scene: Scene) -> Raw:
    message = put(scene, unsorted(scene.shelf), v=PLACE)
    datagram = bencode.encode(message).replace(bencode.encode(PLACE), scene.shelf.unsorted)
    return Raw(datagram, message["t"])


def judge_miss(scene: Scene, answer: Answer) -> Outcome:
    if answer.is_error:
        return unsupported(f"error {answer.error_text}")
    if not answer.bytes_of("token"):
        return unsupported("answered as find_node, without a token")
    return deviates("`v` is there; nobody has stored it") if b"v" in answer.body else CONFORMS


def look_nodes(scene: Scene) -> Outcome:
    return holds(scene.by_check["get"], scene.own_key, bytes) or CONFORMS


def judge_immutable(scene: Scene, answer: Answer) -> Outcome:
    if wrong := refusal(answer):
        return wrong
    return same(answer, "v", scene.shelf.first) or CONFORMS


def judge_signed(name: str, seq: int, salt: bytes = b"") -> Judge:
    def judge(scene: Scene, answer: Answer) -> Outcome:
        stored = scene.shelf.signed(getattr(scene.shelf, name), seq, salt)
        if wrong := refusal(answer):
            return wrong
        for key in ("v", "seq", "k", "sig"):
            if different := same(answer, key, stored[key]):
                return different
        return CONFORMS

    return judge


def same(answer: Answer, key: str, stored: object) -> Outcome | None:
    """Ed25519 signs one message with one signature, so that a stored one comes back as it is."""
    told = answer.body.get(key.encode())
    return None if told == stored else deviates(f"`{key}` is {shown(told)}; {shown(stored)} is stored")


def judge_withheld(scene: Scene, answer: Answer) -> Outcome:
    told = [key for key in ("v", "k", "sig") if key.encode() in answer.body]
    if wrong := refusal(answer):
        return wrong
    if told:
        return deviates(f"`{'`, `'.join(told)}` sent, though the asker has them")
    return same(answer, "seq", 2) or CONFORMS


def reading(name: str, rule: str, ask: Ask, judge: Judge, *needs: str) -> Check:
    return Check(44, name, rule, ask, judge, needs=needs, writes=True)


def writing(name: str, rule: str, target: Target, ask: Ask, judge: Judge, *needs: str) -> Check:
    """A put, and before it a get for the token."""
    return Check(44, name, rule, ask, judge, before=(ask_item(target),), needs=needs or ("get",), writes=True)


READS = (
    Check(44, "get", "get of what is not there gives a token, and no value", ask_item(first), judge_miss),
    Check(44, "get-nodes", "get is answered with nodes, too", look=look_nodes, needs=("get",)),
)
WRITES = (
    writing("put-forged-token", "a put with a wrong token is refused with 203", first,
            put_value(first, "first", token=b"none"), refuses(203)),
    writing("put", "an immutable item is stored", first, put_value(first, "first"), accepts),
    reading("get-immutable", "the immutable item is returned as it was put", ask_item(first), judge_immutable, "put"),
    writing("put-large", f"a value of {LARGEST} bytes is accepted", large, put_value(large, "large"), accepts),
    writing("put-too-large", f"a value of {TOO_LARGE} bytes is refused with 205", too_large,
            put_value(too_large, "too_large"), refuses(205)),
    writing("put-unsorted", "a value that is no proper bencode is refused", unsorted, put_unsorted, refuses()),
    writing("put-forged", "a put with a bad signature is refused with 206", mutable(OTHER_SALT), put_forged,
            refuses(206)),
    writing("put-long-salt", "a salt of 65 bytes is refused with 207", mutable(LONG_SALT),
            put_signed("first", 1, LONG_SALT), refuses(207)),
    writing("put-mutable", "a mutable item is stored", mutable(), put_signed("first", 1), accepts),
    reading("get-mutable", "the mutable item is returned with key, seq and signature", ask_item(mutable()),
            judge_signed("first", 1), "put-mutable"),
    writing("put-salt", "a mutable item with a salt is stored", mutable(SALT), put_signed("second", 1, SALT), accepts),
    reading("get-salt", "the salted item is returned under its own target", ask_item(mutable(SALT)),
            judge_signed("second", 1, SALT), "put-salt"),
    writing("put-lower-seq", "a lower seq is refused with 302", mutable(), put_signed("second", 0), refuses(302),
            "put-mutable"),
    writing("put-equal-seq", "another value with an equal seq is refused with 302", mutable(), put_signed("second", 1),
            refuses(302), "put-mutable"),
    writing("cas-wrong", "a cas that is not the stored seq is refused with 301", mutable(),
            put_signed("second", 2, cas=7), refuses(301), "put-mutable"),
    writing("cas-and-seq", "a wrong cas with a lower seq is refused with 301 or 302", mutable(),
            put_signed("second", 0, cas=7), refuses(301, 302), "put-mutable"),
    writing("cas", "a put whose cas is the stored seq is accepted", mutable(), put_signed("third", 2, cas=1), accepts,
            "put-mutable"),
    reading("get-updated", "after that the new value is returned", ask_item(mutable()), judge_signed("third", 2),
            "cas"),
    reading("get-seq", "get with the stored seq is answered with seq alone", ask_item(mutable(), seq=2), judge_withheld,
            "get-updated"),
    reading("get-older-seq", "get with a lower seq is answered with the value", ask_item(mutable(), seq=1),
            judge_signed("third", 2), "get-updated"),
)
