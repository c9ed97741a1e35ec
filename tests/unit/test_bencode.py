"""The public codec: what each mode takes, what errors say, and its limits."""
from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any

import pytest

from fastdht import bencode
from fastdht.errors import DecodeError, DHTError
from fastdht.types import NodeId

PLAIN = [
    (b"i0e", 0), (b"i-1e", -1), (b"i256e", 256), (b"0:", b""), (b"1:a", b"a"), (b"5:hello", b"hello"), (b"le", []),
    (b"de", {}), (b"l4:spam4:eggse", [b"spam", b"eggs"]),
    (b"d3:cow3:moo4:spam4:eggse", {b"cow": b"moo", b"spam": b"eggs"}), (b"d4:spaml1:a1:bee", {b"spam": [b"a", b"b"]}),
    (b"i999999999999999999e", 10**18 - 1), (b"i1000000000000000000e", 10**18), (b"i9223372036854775807e", 2**63 - 1),
    (b"i9223372036854775808e", 2**63), (b"i-9223372036854775808e", -2**63), (b"i-9223372036854775809e", -2**63 - 1),
    (b"i%de" % 10**500, 10**500),
]
LAX_ONLY = [
    (b"i01e", 1), (b"i-0e", 0), (b"i-05e", -5), (b"i00e", 0), (b"03:abc", b"abc"), (b"00:", b""),
    (b"d1:bi1e1:ai2ee", {b"a": 2, b"b": 1}), (b"d1:ai1e1:ai2ee", {b"a": 1}), (b"d2:aai1e1:ai2ee", {b"aa": 1, b"a": 2}),
]
MALFORMED = [
    (b"", "offset 0: the data ends inside a value"),
    (b"x", "offset 0: byte 0x78 starts no value"),
    (b"e", "offset 0: byte 0x65 starts no value"),
    (b"-1:a", "offset 0: byte 0x2d starts no value"),
    (b"ie", "offset 1: an integer is i, digits, e, not byte 0x65"),
    (b"i-e", "offset 2: an integer is"),
    (b"i+1e", "offset 1: an integer is"),
    (b"i 1e", "offset 1: an integer is"),
    (b"i1_0e", "offset 2: an integer is"),
    (b"i1", "offset 2: the data ends inside a value"),
    (b"12", "offset 2: the data ends inside a value"),
    (b"1;a", "offset 1: a string length is digits, then a colon, not byte 0x3b"),
    (b"5:abc", "offset 2: the string is longer than the 3 bytes that follow"),
    (b"li1e", "offset 4: the data ends inside a value"),
    (b"di1ei2ee", "offset 1: byte 0x69 starts no string; a key is one"),
    (b"d1:ae", "offset 4: byte 0x65 starts no value"),
    (b"i1ei2e", "offset 3: 3 bytes follow the value"),
    (b"i1e\n", "offset 3: 1 bytes follow the value"),
]
LENGTHS = [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**30]


@pytest.mark.parametrize(("data", "value"), PLAIN)
def test_decode_of_canonical_bencode_gives_the_value(data: bytes, value: Any) -> None:
    assert bencode.decode(data) == value
    assert bencode.decode(data, strict=False) == value
    assert bencode.encode(value) == data


@pytest.mark.parametrize(("data", "value"), LAX_ONLY)
def test_decode_of_sloppy_bencode_passes_only_when_lax(data: bytes, value: Any) -> None:
    with pytest.raises(DecodeError):
        bencode.decode(data)
    assert bencode.decode(data, strict=False) == value


@pytest.mark.parametrize(("data", "message"), MALFORMED)
def test_decode_of_malformed_bytes_says_what_and_where(data: bytes, message: str) -> None:
    for strict in (True, False):
        with pytest.raises(DecodeError) as raised:
            bencode.decode(data, strict=strict)
        assert message in str(raised.value)


@pytest.mark.parametrize("length", LENGTHS)
def test_decode_of_a_huge_length_is_refused_before_it_is_used(length: int) -> None:
    for data in (b"%d:a" % length, b"d%d:a" % length, b"l%d:ae" % length):
        with pytest.raises(DecodeError, match="longer than"):
            bencode.decode(data)


def test_decode_error_is_a_value_error_of_ours() -> None:
    with pytest.raises(ValueError) as raised:
        bencode.decode(b"x")
    assert isinstance(raised.value, DHTError)


def test_decode_beyond_max_depth_names_the_limit() -> None:
    assert bencode.decode(b"l" * 64 + b"e" * 64)
    with pytest.raises(DecodeError, match="offset 64: nested deeper than max_depth, 64"):
        bencode.decode(b"l" * 65 + b"e" * 65)
    assert bencode.decode(b"l" * 512 + b"e" * 512, max_depth=512)


@pytest.mark.parametrize("depth", [0, -1, 513])
def test_decode_with_a_depth_out_of_range_is_the_callers_error(depth: int) -> None:
    with pytest.raises(ValueError, match="1 to 512"):
        bencode.decode(b"le", max_depth=depth)


@pytest.mark.parametrize("bomb", [b"l" * 100_000, b"d1:a" * 100_000, b"l" * 10_000_000])
def test_decode_of_a_nesting_bomb_on_a_small_stack_is_a_clean_error(bomb: bytes) -> None:
    outcome: list[object] = []

    def attempt() -> None:
        try:
            bencode.decode(bomb, max_depth=512)
        except DecodeError as error:
            outcome.append(error)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert isinstance(outcome[0], DecodeError)


def test_decode_of_more_digits_than_python_allows_names_the_limit() -> None:
    digits = sys.get_int_max_str_digits() + 1
    with pytest.raises(DecodeError, match=r"sys\.get_int_max_str_digits"):
        bencode.decode(b"i" + b"1" * digits + b"e")


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: memoryview(b"xx" + data)[2:]])
def test_decode_of_any_buffer_gives_the_same(wrap: Any) -> None:
    assert bencode.decode(wrap(b"d1:a3:xyze")) == {b"a": b"xyz"}


@pytest.mark.parametrize("data", ["i1e", 1, None, [b"i1e"]])
def test_decode_of_what_is_no_buffer_is_a_type_error(data: Any) -> None:
    with pytest.raises(TypeError):
        bencode.decode(data)


def test_decode_when_refused_midway_keeps_no_value() -> None:
    marker = b"19:a string of its own"
    data = b"l" + marker + b"d1:al" + marker + b"x"

    def refuse(times: int) -> int:
        before = sys.getallocatedblocks()
        for _ in range(times):
            with contextlib.suppress(DecodeError):
                bencode.decode(data)
        return sys.getallocatedblocks() - before

    refuse(10)
    assert refuse(1000) < 100


def test_keys_of_equal_hash_place_stay_apart() -> None:
    keys = sorted(b"%x" % (i * 7919) for i in range(5000))
    for _ in range(2):
        assert list(bencode.decode(b"d" + b"".join(b"%d:%bi0e" % (len(k), k) for k in keys) + b"e")) == keys


@pytest.mark.parametrize(("value", "data"), [
    ("é", b"2:\xc3\xa9"), ((1, (2,)), b"li1eli2eee"), (bytearray(b"ab"), b"2:ab"), (memoryview(b"abc")[1:], b"2:bc"),
    (NodeId(b"n" * 20), b"20:" + b"n" * 20), ({"b": 1, b"a": 2}, b"d1:ai2e1:bi1ee"),
    ({b"b": 1, b"a": 2}, b"d1:ai2e1:bi1ee"), ({b"a": 1, b"": 2, b"a\x00": 3}, b"d0:i2e1:ai1e2:a\x00i3ee"),
    (-10**30, b"i-1000000000000000000000000000000e"), ([b"x" * 5000], b"l5000:" + b"x" * 5000 + b"e"),
])
def test_encode_of_other_types_is_canonical(value: Any, data: bytes) -> None:
    assert bencode.encode(value) == data


@pytest.mark.parametrize("digits", range(1, 20))
def test_encode_of_integers_of_every_length(digits: int) -> None:
    for number in (10**(digits - 1), 10**digits - 1, int("1234567890123456789"[:digits])):
        assert bencode.encode(number) == b"i%de" % number
        assert bencode.encode(-number) == b"i-%de" % number


@pytest.mark.parametrize("value", [True, None, 1.5, {1: 2}, {None: 1}, {1, 2}, [object()], {b"a": True}])
def test_encode_of_what_bencode_lacks_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        bencode.encode(value)


def test_encode_of_two_keys_with_the_same_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="two keys that encode as b'a'"):
        bencode.encode({"a": 1, b"a": 2})


def test_encode_of_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append({b"a": (loop,)})
    with pytest.raises(ValueError, match="deeper than 512 levels"):
        bencode.encode(loop)


def test_encode_when_refused_midway_keeps_no_reference() -> None:
    held = b"some bytes of its own"
    value = [held, {b"b": held, b"a": [held, None]}]
    before = sys.getrefcount(held)
    for _ in range(100):
        with pytest.raises(TypeError):
            bencode.encode(value)
    assert sys.getrefcount(held) == before
