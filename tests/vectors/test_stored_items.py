"""The items of dht.json, BEP 44 and BEP 46, through the server's whole path: every put with the answer it must get."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastdht import crypto
from tests.unit.core_kit import ASKER
from tests.unit.items_kit import ItemKit, Raw, immutable_target, mutable_target, put_query

VECTORS = json.loads((Path(__file__).parent / "dht.json").read_text())
BEP44 = VECTORS["bep44"]
MUTABLE = [vector for vector in BEP44["bep_vectors"] + BEP44["constructed"] if vector["kind"] == "mutable"]
IMMUTABLE = [vector for vector in BEP44["bep_vectors"] if vector["kind"] == "immutable"]
KEY, SIGNATURE = BEP44["bep_vectors"][0]["public_key"], BEP44["bep_vectors"][0]["signature"]
DEFAULT_VALUE = BEP44["bep_vectors"][0]["value_hex"]


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def arguments_of(vector: dict[str, Any]) -> dict[bytes, Any]:
    """A put of the vector; what a negative one leaves out is taken from the first of BEP 44."""
    arguments = {b"k": bytes.fromhex(vector.get("public_key", KEY)), b"seq": vector.get("seq", 1),
                 b"sig": bytes.fromhex(vector.get("signature", SIGNATURE)),
                 b"v": Raw(bytes.fromhex(vector.get("value_hex", DEFAULT_VALUE)))}
    salt = bytes.fromhex(vector.get("salt_hex", ""))
    return arguments | ({b"salt": salt} if salt else {})


def verify(kit: ItemKit) -> list[dict[str, Any]]:
    """The engine's part, with the real thing."""
    for slot, public_key, signature, message in kit.core.take_parked(9, kit.now):
        kit.core.finish_put(slot, crypto.verify(signature, message, public_key), kit.now)
    return kit.sent()


def put(kit: ItemKit, arguments: dict[bytes, Any], target: bytes) -> list[dict[str, Any]]:
    return kit.send(put_query({b"token": kit.token(target), **arguments})) + verify(kit)


@pytest.mark.parametrize("vector", MUTABLE, ids=name_of)
def test_mutable_item_is_signed_as_printed_and_found_under_its_target(vector: dict[str, Any]):
    kit = ItemKit()
    target = bytes.fromhex(vector["target"])
    assert kit.send(put_query({b"token": kit.token(target), **arguments_of(vector)})) == []
    [(slot, public_key, signature, message)] = kit.core.take_parked(9, kit.now)
    assert message.hex() == vector["signing_buffer_hex"]
    kit.core.finish_put(slot, crypto.verify(signature, message, public_key), kit.now)
    [answer] = kit.sent()
    assert answer["kind"] == "r"
    found = kit.get(target)
    assert (found["value"].hex(), found["key"].hex(), found["signature"].hex(), found["seq"]) == (
        vector["value_hex"], vector["public_key"], vector["signature"], vector["seq"])


@pytest.mark.parametrize("vector", IMMUTABLE + BEP44["constructed"], ids=name_of)
def test_immutable_item_is_found_under_its_target(vector: dict[str, Any]):
    kit = ItemKit()
    target = bytes.fromhex(vector.get("immutable_target_of_same_value", vector["target"]))
    [answer] = put(kit, {b"v": Raw(bytes.fromhex(vector["value_hex"]))}, target)
    assert answer["kind"] == "r"
    assert kit.get(target)["value"].hex() == vector["value_hex"]


def assert_refused(vector: dict[str, Any], arguments: dict[bytes, Any], target: bytes) -> None:
    kit = ItemKit()
    [answer] = put(kit, arguments, target)
    assert (answer["kind"], answer["error_code"]) == ("e", vector["expect_error"])
    assert kit.core.items.item_count == 0


@pytest.mark.parametrize("vector", BEP44["negative"], ids=name_of)
def test_negative_is_refused_with_its_error(vector: dict[str, Any]):
    arguments = arguments_of(vector)
    assert_refused(vector, arguments, mutable_target(arguments.get(b"salt", b""), arguments[b"k"]))


UNSIGNED = [vector for vector in BEP44["negative"] if "signature" not in vector]


@pytest.mark.parametrize("vector", UNSIGNED, ids=name_of)
def test_negative_that_needs_no_signature_is_refused_of_an_immutable_item_too(vector: dict[str, Any]):
    arguments = {name: part for name, part in arguments_of(vector).items() if name in (b"v", b"salt")}
    assert_refused(vector, arguments, immutable_target(arguments[b"v"]))


@pytest.mark.parametrize("vector", VECTORS["bep46"], ids=lambda vector: vector["salt_hex"] or "no salt")
def test_torrent_that_can_change_is_stored_under_the_target_of_bep46(vector: dict[str, Any]):
    """Its private key is not known: the signature passes for good."""
    kit = ItemKit()
    target = bytes.fromhex(vector["target"])
    value = b"d2:ih20:" + bytes(20) + b"e"
    arguments = {b"k": bytes.fromhex(vector["public_key"]), b"seq": 1, b"sig": bytes(64), b"v": Raw(value)}
    if vector["salt_hex"]:
        arguments[b"salt"] = bytes.fromhex(vector["salt_hex"])
    kit.send(put_query({b"token": kit.token(target), **arguments}, ASKER))
    [(slot, *_)] = kit.core.take_parked(9, kit.now)
    kit.core.finish_put(slot, True, kit.now)
    [answer] = kit.sent()
    assert answer["kind"] == "r"
    assert kit.get(target)["value"] == value
