"""The object-free scanner: what it takes, what it refuses, and its limits."""
from __future__ import annotations

import pytest

from fastdht._ext.bencode import canonical, scan

VALID = [b"i0e", b"i-5e", b"i9223372036854775807e", b"i-9223372036854775808e", b"0:", b"3:abc", b"le", b"de",
         b"li1e2:xxe", b"d1:ai1e1:bl0:deee", b"d0:0:e"]
LENIENT = [b"i01e", b"i-0e", b"i-05e", b"03:abc", b"00000:", b"d1:bi1e1:ai2ee", b"d1:ai1e1:ai2ee"]
MALFORMED = [b"", b"i", b"ie", b"i-e", b"i--1e", b"i+1e", b"i 1e", b"i1_0e", b"i1", b"i9223372036854775808e",
             b"i-9223372036854775809e", b"i18446744073709551616e", b"i00000000000000000001e", b":", b"1", b"1:",
             b"-1:a", b"+1:a", b"1 :a", b"4:abc", b"2147483647:a", b"2147483648:a", b"4294967295:a", b"4294967296:a",
             b"4294967297:a", b"9223372036854775807:a", b"9223372036854775808:a", b"18446744073709551615:a",
             b"18446744073709551617:a", b"99999999999999999999:a", b"000001:a", b"99999:a", b"l", b"d", b"li1e",
             b"di1ei2ee", b"d1:ae", b"d1:a", b"dle1:ae", b"e", b"x", b"\x00"]


@pytest.mark.parametrize("data", VALID + LENIENT)
def test_scan_of_bencode_is_all_of_it(data: bytes) -> None:
    assert scan(data) == len(data)
    assert scan(data + b"trailing") == len(data)


@pytest.mark.parametrize("data", MALFORMED)
def test_scan_of_malformed_bytes_is_refused(data: bytes) -> None:
    assert scan(data) == -1


@pytest.mark.parametrize("data", VALID + LENIENT)
def test_scan_of_truncated_bencode_is_refused(data: bytes) -> None:
    assert [scan(data[:cut]) for cut in range(len(data))] == [-1] * len(data)


@pytest.mark.parametrize("data", VALID)
def test_canonical_when_shortest_and_sorted_holds(data: bytes) -> None:
    assert canonical(data)
    assert not canonical(data + b"e")


@pytest.mark.parametrize("data", LENIENT + MALFORMED + [b"li01ee", b"d1:ad1:bi1e1:ai2eee", b"d2:aai1e1:ai1ee"])
def test_canonical_when_anything_is_off_fails(data: bytes) -> None:
    assert not canonical(data)


@pytest.mark.parametrize("limit", [1, 10, 64])
def test_scan_at_and_beyond_its_depth(limit: int) -> None:
    for opening in (b"l", b"d1:a"):
        inner = b"" if opening == b"l" else b"i0e"
        assert scan(opening * limit + inner + b"e" * limit, max_depth=limit) > 0
        assert scan(opening * (limit + 1) + inner + b"e" * (limit + 1), max_depth=limit) == -1


def test_scan_never_nests_deeper_than_64_whatever_the_limit() -> None:
    assert scan(b"l" * 64 + b"e" * 64, max_depth=1000) == 128
    assert scan(b"l" * 65 + b"e" * 65, max_depth=1000) == -1


@pytest.mark.parametrize("bomb", [b"l" * 50_000, b"d1:a" * 50_000, b"l" * 10_000_000, b"d1:a" * 2_500_000])
def test_scan_of_a_nesting_bomb_is_refused(bomb: bytes) -> None:
    assert scan(bomb) == -1
    assert not canonical(bomb)


@pytest.mark.parametrize("item", [b"i1e", b"1:a", b"le", b"de"])
def test_scan_at_and_beyond_its_tokens(item: bytes) -> None:
    assert scan(b"l" + item * 511 + b"e") > 0        # the list is the 512th
    assert scan(b"l" + item * 512 + b"e") == -1


def test_keys_count_as_tokens() -> None:
    assert scan(b"d" + b"1:ai1e" * 255 + b"e", max_tokens=511) > 0
    assert scan(b"d" + b"1:ai1e" * 255 + b"e", max_tokens=510) == -1


def test_canonical_has_the_same_limits() -> None:
    assert canonical(b"l" * 64 + b"e" * 64)
    assert not canonical(b"l" * 65 + b"e" * 65)
    assert canonical(b"l" + b"i1e" * 1023 + b"e")
    assert not canonical(b"l" + b"i1e" * 1024 + b"e")
