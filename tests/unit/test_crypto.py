"""Signatures, targets and keys of BEP 44, with each library that can make them."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fastdht import crypto, sodium
from fastdht.crypto import BEP44_TEST, SigningKey
from fastdht.errors import ConfigError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())
BEP44 = VECTORS["bep44"]
SIGNED = [each for each in BEP44["bep_vectors"] + BEP44["constructed"] if each["kind"] == "mutable"]
IMMUTABLE = [each for each in BEP44["bep_vectors"] if each["kind"] == "immutable"]
FORGED = [each for each in BEP44["negative"] if each["expect_error"] == 206]
# RFC 8032 §7.1, TEST 2: seed, public key, message, signature.
RFC8032 = [bytes.fromhex(text) for text in (
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    ("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"))]
SEED, PUBLIC_KEY, MESSAGE, SIGNATURE = RFC8032


@pytest.fixture(params=["pysodium", "nacl.bindings"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(request.param)
    chosen = sodium.Pysodium(module) if request.param == "pysodium" else sodium.PyNaCl(module)
    monkeypatch.setattr(crypto, "backend", lambda: chosen)


def unhex(vector: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(vector[name])


def key_of(vector: dict[str, Any]) -> SigningKey:
    if "seed" in vector:
        return SigningKey.from_seed(unhex(vector, "seed"))
    return SigningKey.from_expanded(unhex(vector, "private_key_expanded_64"))


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", SIGNED, ids=by_name)
def test_sign_when_vector_then_buffer_signature_and_target_are_its(vector: dict[str, Any]) -> None:
    salt = unhex(vector, "salt_hex")
    message = crypto.signing_buffer(unhex(vector, "value_hex"), vector["seq"], salt)
    key = key_of(vector)
    assert message == unhex(vector, "signing_buffer_hex")
    assert key.public_key == unhex(vector, "public_key")
    assert key.sign(message) == unhex(vector, "signature")
    assert crypto.verify(unhex(vector, "signature"), message, key.public_key)
    assert crypto.mutable_target(key.public_key, salt) == unhex(vector, "target")


@pytest.mark.parametrize("vector", [each for each in SIGNED if "seed" in each], ids=by_name)
def test_sign_when_expanded_from_seed_then_signature_is_the_seeds(vector: dict[str, Any]) -> None:
    expanded = SigningKey.from_expanded(unhex(vector, "private_key_expanded_64"))
    assert expanded.sign(unhex(vector, "signing_buffer_hex")) == unhex(vector, "signature")
    assert expanded == SigningKey.from_seed(unhex(vector, "seed"))


@pytest.mark.parametrize("vector", [each for each in SIGNED if "immutable_target_of_same_value" in each], ids=by_name)
def test_immutable_target_when_constructed_then_is_the_listed(vector: dict[str, Any]) -> None:
    assert crypto.immutable_target(unhex(vector, "value_hex")) == unhex(vector, "immutable_target_of_same_value")


@pytest.mark.parametrize("vector", IMMUTABLE, ids=by_name)
def test_immutable_target_when_of_the_bep_then_is_its(vector: dict[str, Any]) -> None:
    assert crypto.immutable_target(unhex(vector, "value_hex")) == unhex(vector, "target")


def test_sign_when_rfc_8032_then_signature_is_its() -> None:
    key = SigningKey.from_seed(SEED)
    assert key.public_key == PUBLIC_KEY
    assert key.sign(MESSAGE) == SIGNATURE


@pytest.mark.parametrize("vector", FORGED, ids=by_name)
def test_verify_when_forged_vector_then_false(vector: dict[str, Any]) -> None:
    message = crypto.signing_buffer(unhex(vector, "value_hex"), vector["seq"], unhex(vector, "salt_hex"))
    assert not crypto.verify(unhex(vector, "signature"), message, unhex(vector, "public_key"))


@pytest.mark.parametrize("changed", range(0, 64, 7))
def test_verify_when_a_bit_of_the_signature_differs_then_false(changed: int) -> None:
    forged = bytearray(SIGNATURE)
    forged[changed] ^= 1
    assert not crypto.verify(bytes(forged), MESSAGE, PUBLIC_KEY)


def test_verify_when_message_or_key_is_another_then_false() -> None:
    assert crypto.verify(SIGNATURE, MESSAGE, PUBLIC_KEY)
    assert not crypto.verify(SIGNATURE, MESSAGE + b"\0", PUBLIC_KEY)
    assert not crypto.verify(SIGNATURE, MESSAGE, BEP44_TEST.public_key)
    assert not crypto.verify(SIGNATURE, b"", PUBLIC_KEY)


def test_verify_when_response_is_not_reduced_then_false() -> None:
    """RFC 8032 §5.1.7: S + L would be a second valid signature of the same message."""
    response = int.from_bytes(SIGNATURE[32:], "little") + crypto.L
    assert not crypto.verify(SIGNATURE[:32] + response.to_bytes(32, "little"), MESSAGE, PUBLIC_KEY)


@pytest.mark.parametrize("sizes", [(0, 32), (63, 32), (65, 32), (64, 0), (64, 31), (64, 33)])
def test_verify_when_sizes_are_wrong_then_false(sizes: tuple[int, int]) -> None:
    assert not crypto.verify((SIGNATURE * 2)[:sizes[0]], MESSAGE, (PUBLIC_KEY * 2)[:sizes[1]])


def test_bep44_test_key_when_made_anew_then_public_key_is_the_listed() -> None:
    assert SigningKey.from_expanded(BEP44_TEST.secret).public_key == BEP44_TEST.public_key
    assert BEP44_TEST.seed is None


def test_from_bytes_when_seed_and_public_key_then_is_the_seeds() -> None:
    assert SigningKey.from_bytes(SEED + PUBLIC_KEY).seed == SEED
    assert SigningKey.from_bytes(SEED).seed == SEED


def test_from_bytes_when_expanded_then_is_the_expanded() -> None:
    assert SigningKey.from_bytes(BEP44_TEST.secret).public_key == BEP44_TEST.public_key


def test_from_bytes_when_neither_then_error_says_why_without_the_secret() -> None:
    secret = b"\xff" * 64
    with pytest.raises(ConfigError, match="neither") as caught:
        SigningKey.from_bytes(secret)
    assert secret.hex() not in str(caught.value)


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65])
def test_key_when_size_is_wrong_then_refused(size: int) -> None:
    for make in (SigningKey.from_seed, SigningKey.from_expanded, SigningKey.from_bytes):
        with pytest.raises(ConfigError, match=f"is {size} bytes"):
            make(bytes(size))


@pytest.mark.parametrize("scalar", [0, crypto.L, 8 * crypto.L])
def test_from_expanded_when_scalar_is_nothing_then_refused(scalar: int) -> None:
    with pytest.raises(ConfigError, match="scalar is 0"):
        SigningKey.from_expanded(scalar.to_bytes(32, "little") + bytes(32))


def test_from_expanded_when_scalar_is_beyond_the_order_then_signatures_verify() -> None:
    scalar = hashlib.sha256(b"scalar").digest()[:31] + b"\xff"
    key = SigningKey.from_expanded(scalar + hashlib.sha256(b"prefix").digest())
    assert crypto.verify(key.sign(b"message"), b"message", key.public_key)


def test_generate_when_twice_then_keys_differ_and_work() -> None:
    first, second = SigningKey.generate(), SigningKey.generate()
    assert first != second and first.seed != second.seed
    assert crypto.verify(first.sign(b""), b"", first.public_key)


def test_repr_when_shown_then_holds_no_secret() -> None:
    for key in (SigningKey.from_seed(SEED), BEP44_TEST):
        assert key.public_key.hex() in repr(key)
        assert key.secret.hex()[:16] not in repr(key)


def test_mutable_target_when_key_is_short_then_refused() -> None:
    with pytest.raises(ConfigError, match="31 bytes"):
        crypto.mutable_target(bytes(31))
