"""EndpointSet against a dictionary, both families, while it grows; and rows against the standard library."""
from __future__ import annotations

import ipaddress
import json
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdht._ext import rows
from fastdht._ext.ids import is_secure
from fastdht._ext.seen import EndpointSet

ROW = struct.Struct("=16s20sI4sHBB")


@pytest.mark.parametrize("ipv6", [False, True])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_set_when_it_grows_under_way_equals_a_dictionary(ipv6: bool, seed: int) -> None:
    rng = random.Random(seed)
    fast = EndpointSet(capacity=3000, slots=64, ipv6=ipv6, seed=seed)
    slow: dict[bytes, int] = {}
    size = 18 if ipv6 else 6
    pool = [bytes(size - 3) + rng.randbytes(3) for _ in range(1500)]
    for _ in range(4000):
        packed = rng.choice(pool)
        assert (packed in fast) == (packed in slow)
        assert fast.add(packed) == slow.get(packed, 0)
        slow[packed] = slow.get(packed, 0) + 1
        fast.tend(rng.choice([1, 7, 64]))
    assert len(fast) == len(slow)
    assert all(packed in fast for packed in slow)


def test_set_when_full_refuses_the_new_and_knows_the_old() -> None:
    full = EndpointSet(capacity=2, slots=64)
    first, second, third = (bytes([1, 1, 1, i, 0, 1]) for i in range(3))
    assert full.add(first) == 0
    assert full.add(second) == 0
    assert full.add(third) == -1
    assert full.add(first) == 1
    assert third not in full


@pytest.mark.parametrize("slots", [64, 10 << 15])
def test_set_when_it_is_large_confuses_no_endpoints(slots: int) -> None:
    """Neighbours in every bit, as ports of one address and addresses of one net are, while it grows and after."""
    rng = random.Random(11)
    numbers = [rng.getrandbits(48) for _ in range(2000)]
    numbers += [number ^ 1 << bit for number in numbers[:500] for bit in range(48)]
    numbers += range(0x7F000001_0000, 0x7F000001_0000 + 60_000)
    known = {number.to_bytes(6, "big") for number in numbers}
    fast = EndpointSet(capacity=len(known), slots=slots, seed=11)
    for packed in known:
        while fast.tend(4096):
            pass
        assert fast.add(packed) == 0
    assert all(packed in fast for packed in known)
    others = {rng.randbytes(6) for _ in range(50_000)} - known
    assert not any(packed in fast for packed in others)


def test_set_counts_how_often_up_to_255() -> None:
    counted = EndpointSet()
    assert [counted.add(b"abcdef") for _ in range(260)] == [
        min(i, 255) for i in range(260)]


def test_set_given_the_other_family_raises() -> None:
    with pytest.raises(ValueError, match="18 bytes is of the other family"):
        EndpointSet().add(bytes(18))


def make_block(seed: int, count: int) -> tuple[bytes, list[tuple[str, int, bytes, int, bytes | None]]]:
    """Packed rows as rows.pxd lays them out, and what they mean."""
    rng = random.Random(seed)
    packed, meant = [], []
    for _ in range(count):
        words = [rng.choice([0, 0, 0, 1, 0x20, 0xABC, 0xFFFF]) for _ in range(8)]
        v6 = struct.pack(">8H", *words)
        v4 = rng.randbytes(4)
        is_v4 = rng.random() < 0.5 or v6[:12] == bytes(10) + b"\xff\xff"
        ip = ipaddress.ip_address(v4 if is_v4 else v6)
        node_id, version = rng.randbytes(20), rng.randbytes(4) if rng.random() < 0.7 else None
        port, rtt = rng.randrange(1, 1 << 16), rng.randrange(1 << 31)
        packed.append(ROW.pack(bytes(10) + b"\xff\xff" + v4 if is_v4 else v6, node_id, rtt, version or bytes(4), port,
                               rng.randrange(2), version is not None))
        meant.append((str(ip), port, node_id, rtt, version))
    return b"".join(packed), meant


@given(seed=st.integers(0, 2**32), count=st.integers(0, 50))
def test_lines_of_rows_say_what_the_rows_mean(seed: int, count: int) -> None:
    block, meant = make_block(seed, count)
    lines = rows.json_lines(block).splitlines()
    assert len(lines) == count
    for line, (ip, port, node_id, rtt, version) in zip(lines, meant, strict=True):
        row = json.loads(line)
        packed = ipaddress.ip_address(ip).packed + port.to_bytes(2, "big")
        assert (row["ip"], row["port"], row["id"], row["rtt_us"]) == (ip, port, node_id.hex(), rtt)
        assert row["v"] == (version.hex() if version is not None else None)
        assert row["bep42"] == is_secure(node_id, packed)


@given(seed=st.integers(0, 2**32), count=st.integers(0, 50))
def test_table_of_rows_equals_their_lines(seed: int, count: int) -> None:
    pytest.importorskip("pyarrow")
    from fastdht.crawl.packed import NODES

    block, _ = make_block(seed, count)
    table = NODES.to_arrow(block, NODES.schema())
    table.validate(full=True)
    assert table.to_pylist() == [json.loads(line) for line in rows.json_lines(block).splitlines()]


def test_block_of_a_broken_size_raises() -> None:
    with pytest.raises(ValueError, match="49 bytes; a multiple of 48"):
        rows.json_lines(bytes(49))


def test_row_size_is_that_of_the_layout() -> None:
    assert ROW.size == rows.ROW_SIZE
