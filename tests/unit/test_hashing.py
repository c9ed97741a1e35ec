"""SipHash-2-4 against the test vectors of its authors' reference implementation."""
from __future__ import annotations

import pytest

from fastdht._ext.hashing import siphash24

KEY = bytes(range(16))
# Of the messages b"", 00, 00 01, … 00 … 0e; the last is also the worked example of the paper's appendix A.
REFERENCE = [
    "310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785", "b7877127e09427cf",
    "8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab", "6224939a79f5f593", "b0e4a90bdf82009e",
    "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4", "fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7",
    "e545be4961ca29a1"]


@pytest.mark.parametrize(("size", "expected"), list(enumerate(REFERENCE)))
def test_siphash_of_a_reference_message_is_the_authors(size: int, expected: str) -> None:
    assert siphash24(KEY, bytes(range(size))).to_bytes(8, "little").hex() == expected


def test_siphash_of_the_papers_example_is_the_papers() -> None:
    assert siphash24(KEY, bytes(range(15))) == 0xA129CA6149BE45E5


def test_siphash_depends_on_every_bit_of_key_and_message() -> None:
    message = bytes(range(37))
    seen = {siphash24(KEY, message)}
    for number in range(8 * 16):
        key = (int.from_bytes(KEY, "big") ^ 1 << number).to_bytes(16, "big")
        seen.add(siphash24(key, message))
    for number in range(8 * 37):
        seen.add(siphash24(KEY, (int.from_bytes(message, "big") ^ 1 << number).to_bytes(37, "big")))
    assert len(seen) == 1 + 8 * 16 + 8 * 37


@pytest.mark.parametrize("size", [0, 15, 17])
def test_siphash_with_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"key is {size} bytes; SipHash needs 16"):
        siphash24(b"k" * size, b"")
