"""SHA-1 against the standard library's, at every length around the borders of its padding."""
from __future__ import annotations

import hashlib
from random import Random

import pytest

from fastdht._ext.sha1 import sha1_of


def test_sha1_of_the_standards_example_is_the_standards() -> None:
    assert sha1_of(b"abc").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"     # FIPS 180-1, appendix A


@pytest.mark.parametrize("size", [*range(130), 1000, 4097])
def test_sha1_of_any_length_equals_hashlib(size: int, seed: int) -> None:
    data = Random(seed + size).randbytes(size)
    assert sha1_of(data) == hashlib.sha1(data).digest()
