"""The scanner takes and refuses the same mutated packets as libtorrent's bdecode."""
from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from fastdht import bencode
from fastdht._ext.bencode import scan

libtorrent: Any = pytest.importorskip("libtorrent", reason="libtorrent's Python binding is not installed")
pytestmark = pytest.mark.interop

PACKETS = 200_000
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())
ORIGINALS = [bytes.fromhex(vector["hex"]) for vector in VECTORS["bep5"]["examples"] + VECTORS["constructed_messages"]]
PIECES = [b"i", b"e", b"l", b"d", b":", b"-", b"0", b"1", b"9", b"1:a", b"i1e", b"0:", b"\x00", b"00", b"i-0e", b"de",
          b"le"]
KNOWN_DIFFERENCES = re.compile(
    rb"\d{6,}:"             # libtorrent takes lengths of more than 5 digits
    rb"|i-?\d{19,}e"        # it reads an integer beyond 64 bits as 0, and refuses some that start with zeros
)


def mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(ORIGINALS))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        piece = rng.choice(PIECES) if rng.random() < 0.7 else rng.randbytes(rng.randrange(3))
        data[at:at + rng.randrange(3)] = piece
    return bytes(data)


def libtorrent_value(data: bytes) -> Any:
    try:
        return libtorrent.bdecode(data)
    except RuntimeError:
        return None


def test_mutated_packets_are_judged_as_libtorrent_judges_them(seed: int) -> None:
    rng = random.Random(seed)
    judged = {True: 0, False: 0}
    differing = []
    for _ in range(PACKETS):
        data = mutated(rng)
        taken = libtorrent_value(data) is not None
        judged[taken] += 1
        if taken != (scan(data) >= 0) and not KNOWN_DIFFERENCES.search(data):
            differing.append(data)
    assert not differing, f"{len(differing)} of {PACKETS} differ, such as {differing[:3]}"
    assert min(judged.values()) > PACKETS // 20, f"too one-sided to say much: {judged}"


def test_values_are_those_of_libtorrent_where_both_take_them(seed: int) -> None:
    rng = random.Random(seed)
    compared = 0
    for _ in range(PACKETS // 10):
        data = mutated(rng)
        size, value = scan(data), libtorrent_value(data)
        if size < 0 or value is None or KNOWN_DIFFERENCES.search(data) or encodes_otherwise(data[:size]):
            continue
        assert bencode.decode(data[:size], strict=False) == value, data
        compared += 1
    assert compared > PACKETS // 200


def encodes_otherwise(data: bytes) -> bool:
    """Of repeated keys libtorrent's binding keeps the last, we the first; where none repeats the sizes are equal."""
    return len(bencode.encode(bencode.decode(data, strict=False))) != len(data)


@pytest.mark.parametrize(("data", "theirs"), [
    (b"000003:abc", b"abc"), (b"i9223372036854775808e", 0), (b"i-9223372036854775809e", 0)])
def test_known_difference_is_still_there(data: bytes, theirs: Any) -> None:
    assert scan(data) == -1
    assert libtorrent_value(data) == theirs
