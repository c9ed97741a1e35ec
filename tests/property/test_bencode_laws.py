"""Laws of both bencode readers: they agree with the oracle on any bytes, and encoding is undone by decoding."""
from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastdht import bencode
from fastdht._ext.bencode import canonical, scan
from fastdht.errors import DecodeError
from tests.oracle import bencode as oracle

ALPHABET = [b"i", b"e", b"l", b"d", b":", b"-", b"0", b"1", b"2", b"9", b"a", b"1:a", b"1:b", b"i1e", b"0:", b"\x00"]
VALUES = st.recursive(
    st.binary(max_size=12) | st.integers(-2**70, 2**70) | st.integers(-300, 300),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.binary(max_size=4), inner, max_size=6),
    max_leaves=30,
)
NEAR_BENCODE = st.lists(st.sampled_from(ALPHABET), max_size=24).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Bencode with a few bytes replaced, cut out or put in."""
    data = bytearray(oracle.encode(draw(VALUES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at:at + draw(st.integers(0, 2))] = draw(st.sampled_from(ALPHABET) | st.binary(max_size=2))
    return bytes(data)


ANY_BYTES = damaged() | NEAR_BENCODE | st.binary(max_size=60)


@given(ANY_BYTES, st.integers(0, 70), st.integers(0, 40))
@example(b"l" * 65 + b"e" * 65, 70, 100)
def test_scanner_agrees_with_the_oracle(data: bytes, max_depth: int, max_tokens: int) -> None:
    assert scan(data, max_depth, max_tokens) == oracle.scanned_size(data, min(max_depth, 64), max_tokens)


@given(ANY_BYTES)
def test_canonical_agrees_with_the_oracle(data: bytes) -> None:
    assert canonical(data) == oracle.is_canonical(data, 64, 1024)


@given(ANY_BYTES, st.booleans(), st.integers(1, 8))
def test_codec_agrees_with_the_oracle(data: bytes, strict: bool, max_depth: int) -> None:
    try:
        expected: Any = oracle.decode(data, strict, max_depth)
    except ValueError:
        with pytest.raises(DecodeError):
            bencode.decode(data, strict=strict, max_depth=max_depth)
        return
    assert bencode.decode(data, strict=strict, max_depth=max_depth) == expected


@given(ANY_BYTES)
def test_strict_takes_what_lax_takes_in_canonical_form(data: bytes) -> None:
    try:
        value = bencode.decode(data, strict=False)
    except DecodeError:
        with pytest.raises(DecodeError):
            bencode.decode(data)
        return
    if bencode.encode(value) == data:
        assert bencode.decode(data) == value
    else:
        with pytest.raises(DecodeError):
            bencode.decode(data)


@given(VALUES)
def test_encoding_is_the_oracles_and_decoding_undoes_it(value: Any) -> None:
    data = bencode.encode(value)
    assert data == oracle.encode(value)
    assert bencode.decode(data) == value


@given(VALUES, st.integers(0, 2**32))
def test_order_of_insertion_does_not_matter(value: Any, seed: int) -> None:
    shuffled = shuffle(value, random.Random(seed))
    assert bencode.encode(shuffled) == bencode.encode(value)


def shuffle(value: Any, rng: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffle(item, rng) for item in value]
    if isinstance(value, dict):
        return {key: shuffle(value[key], rng) for key in rng.sample(list(value), len(value))}
    return value


@given(VALUES)
def test_encoding_is_canonical_when_it_fits_the_scanner(value: Any) -> None:
    data = bencode.encode(value)
    if scan(data, 64, 1024) == len(data):
        assert canonical(data)
