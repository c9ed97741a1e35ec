"""Distance, prefix length, CRC32C and BEP 42 against vectors and the oracle."""
from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdht._ext import ids
from tests.oracle import ids as oracle

BEP42 = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())["bep42"]
node_ids = st.binary(min_size=20, max_size=20)
addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


def packed(ip: str, port: int = 6881) -> bytes:
    return ipaddress.ip_address(ip).packed + port.to_bytes(2, "big")


def vector_id(vector: dict[str, Any]) -> bytes:
    """The example id of a vector, or one made from its prefix and `rand`."""
    if "example_node_id" in vector:
        return bytes.fromhex(vector["example_node_id"])
    return bytes.fromhex(vector["prefix21_hex_first3_masked"]) + bytes(16) + bytes([vector["rand"]])


@pytest.mark.parametrize("vector", BEP42["v4"] + BEP42["v6"], ids=lambda vector: vector["ip"])
def test_id_of_bep42_is_secure_at_its_address(vector: dict[str, Any]) -> None:
    node_id = vector_id(vector)
    assert ids.crc32c_of(bytes.fromhex(vector["masked_input_hex"])) == int(vector["crc32c"], 16)
    assert ids.is_secure(node_id, packed(vector["ip"]))
    for bit in range(21):
        flipped = int.from_bytes(node_id, "big") ^ (1 << (159 - bit))
        assert not ids.is_secure(flipped.to_bytes(20, "big"), packed(vector["ip"]))


@pytest.mark.parametrize("vector", BEP42["accept_reject"], ids=lambda vector: vector["node_id"])
def test_id_that_bep42_judges_is_judged_the_same(vector: dict[str, Any]) -> None:
    assert ids.is_secure(bytes.fromhex(vector["node_id"]), packed(vector["ip"])) == vector["valid"]


def test_crc32c_of_the_check_string_is_that_of_rfc_3720() -> None:
    assert ids.crc32c_of(b"123456789") == ids.crc32c_by_table(b"123456789") == int(BEP42["crc32c_check"]["crc"], 16)


@given(st.binary(max_size=64))
def test_crc32c_by_instruction_and_by_table_are_the_oracles(data: bytes) -> None:
    assert ids.crc32c_of(data) == ids.crc32c_by_table(data) == oracle.crc32c(data)


@given(addresses, node_ids, st.integers(0, 2**64 - 1))
def test_secure_ids_are_those_of_the_oracle(ip: bytes, node_id: bytes, seed: int) -> None:
    endpoint = ip + b"\x1a\xe1"
    made = ids.secure_id(endpoint, seed)
    assert oracle.is_secure(made, ip) and ids.is_secure(made, endpoint)
    assert ids.is_secure(node_id, endpoint) == oracle.is_secure(node_id, ip)
    mixed = made[:3] + node_id[3:19] + made[19:]
    assert ids.is_secure(mixed, endpoint) == oracle.is_secure(mixed, ip)


@given(node_ids, node_ids)
def test_distance_and_prefix_are_the_oracles(a: bytes, b: bytes) -> None:
    assert ids.distance(a, b) == oracle.distance(a, b)
    assert ids.shared_prefix(a, b) == oracle.shared_prefix(a, b)


@pytest.mark.parametrize("bit", range(160))
def test_prefix_when_one_bit_differs_ends_at_it(bit: int) -> None:
    other = (1 << (159 - bit)).to_bytes(20, "big")
    assert ids.shared_prefix(bytes(20), other) == bit
    assert ids.distance(bytes(20), other) == 1 << (159 - bit)


def test_prefix_when_equal_is_160() -> None:
    assert ids.shared_prefix(b"x" * 20, b"x" * 20) == 160
    assert ids.distance(b"x" * 20, b"x" * 20) == 0


def test_ids_of_one_seed_repeat_and_of_two_differ() -> None:
    endpoint = packed("203.0.113.7")
    for make in (ids.random_id, lambda seed: ids.secure_id(endpoint, seed)):
        made = [make(seed) for seed in range(1000)]
        assert made == [make(seed) for seed in range(1000)]
        assert len(set(made)) == 1000


def test_secure_ids_spread_over_the_bits_that_bep42_leaves_free() -> None:
    made = [ids.secure_id(packed("203.0.113.7"), seed) for seed in range(4000)]
    assert len({node_id[19] & 7 for node_id in made}) == 8
    for bit in range(21, 160):
        ones = sum(int.from_bytes(node_id, "big") >> (159 - bit) & 1 for node_id in made)
        assert 1700 < ones < 2300       # nine standard deviations of a fair coin


@pytest.mark.parametrize("size", [0, 19, 21])
def test_id_of_another_size_is_refused_with_its_size(size: int) -> None:
    calls = [lambda x: ids.distance(x, b"y" * 20), lambda x: ids.distance(b"y" * 20, x),
             lambda x: ids.shared_prefix(x, x), lambda x: ids.is_secure(x, b"123456")]
    for call in calls:
        with pytest.raises(ValueError, match=f"id is {size} bytes; 20 needed"):
            call(b"x" * size)
