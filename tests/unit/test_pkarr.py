"""Signed DNS packets as pkarr makes them."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fastdht import pkarr
from fastdht.crypto import SigningKey, mutable_target, verify
from fastdht.errors import DecodeError, LocalProtocolError
from fastdht.items import make_item, sign_item

dns = pytest.importorskip("dns")
pytest.importorskip("dns.message")

VECTOR = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())["pkarr"]
# From public programs that use pkarr: a key's bytes, and its name in relays' addresses.
RELAY_KEY = bytes([69, 21, 84, 219, 248, 0, 135, 35, 61, 167, 8, 250, 14, 229, 202, 103,
                   87, 135, 48, 238, 228, 146, 117, 33, 63, 28, 215, 58, 19, 236, 119, 66])
RELAY_NAME = "ewkijs9aynd1gxp8bd7y73qkc7maqc8qh1j8kej9dumuwr9cq7by"
ORIGIN = "ed4mn3aoazuf1ahpy9rz1nyswhukbj5483ryefwkue7fbp3egkzo"    # of pkarr's own test of names
KEY = SigningKey.from_seed(bytes(range(32)))
TIME = 1_700_000_000_000_000


def rrset(name: str, kind: str, *values: str, ttl: int = 30) -> Any:
    return dns.rrset.from_text(dns.name.from_text(name, None), ttl, "IN", kind, *values)


@pytest.mark.parametrize(("key", "name"), [
    (bytes.fromhex(VECTOR["public_key"]), VECTOR["zbase32"]), (RELAY_KEY, RELAY_NAME), (bytes(32), "y" * 52)])
def test_key_when_vector_then_name_is_its(key: bytes, name: str) -> None:
    assert pkarr.encode_key(key) == name
    for text in (name, f"pk:{name}", f"pk:{name.upper()}", f"foo.{name}.", f"https://www.{name}:80/path",
                 f"pk://{name}/x"):
        assert pkarr.decode_key(text) == key


@pytest.mark.parametrize("text", ["", "pk:", RELAY_NAME[:-1], RELAY_NAME + "y", RELAY_NAME[:-1] + "v",
                                  RELAY_NAME[:-1] + "b", f"{RELAY_NAME}.com"])
def test_decode_key_when_malformed_then_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        pkarr.decode_key(text)


@pytest.mark.parametrize(("name", "full"), [
    (".", ""), ("@", ""), ("@.", ""), (ORIGIN, ""), ("_derp_region.irorh", "_derp_region.irorh."),
    (f"_derp_region.irorh.{ORIGIN}", "_derp_region.irorh."), (f"_derp_region.irorh.{ORIGIN}.", "_derp_region.irorh.")])
def test_full_name_when_pkarrs_examples_then_as_there(name: str, full: str) -> None:
    assert pkarr.full_name(name, pkarr.decode_key(ORIGIN)).to_text() == f"{full}{ORIGIN}."


def test_sign_when_records_then_answer_is_compressed_and_below_the_key() -> None:
    packet = pkarr.sign(KEY, [rrset("@", "A", "1.1.1.1"), rrset("_foo", "TXT", '"hello"'),
                              rrset("www", "CNAME", f"{VECTOR['zbase32']}.")], timestamp=TIME)
    wire = packet.packet
    assert wire[:12] == bytes.fromhex("0000 8000 0000 0003 0000 0000")      # RFC 1035 §4.1.1: an answer, three records
    assert wire.count(VECTOR["zbase32"].encode()) == 1                       # the rest are pointers to it
    assert [record.to_text() for record in packet.records("_foo")] == [f'_foo.{VECTOR["zbase32"]}. 30 IN TXT "hello"']
    assert packet.records("foo") == []
    assert packet.name == VECTOR["zbase32"]


def test_item_when_signed_then_bep_44_without_salt() -> None:
    packet = pkarr.sign(KEY, [rrset("@", "A", "1.1.1.1")], timestamp=TIME)
    item = packet.item()
    assert item.target == mutable_target(KEY.public_key)
    assert (item.seq, item.salt, item.value) == (TIME, b"", packet.packet)
    assert verify(packet.signature, b"3:seqi%de1:v%d:%b" % (TIME, len(packet.packet), packet.packet), KEY.public_key)
    assert pkarr.SignedPacket.from_item(item) == packet


def test_bytes_when_written_then_laid_out_as_pkarr_says_and_read_again() -> None:
    packet = pkarr.sign(KEY, [rrset("@", "A", "1.1.1.1")], timestamp=TIME)
    data = bytes(packet)
    assert data[:32] == KEY.public_key and data[32:96] == packet.signature
    assert data[96:104] == TIME.to_bytes(8, "big") and data[104:] == packet.packet
    assert pkarr.SignedPacket.from_bytes(data) == packet
    assert pkarr.SignedPacket.from_relay(KEY.public_key, data[32:]) == packet


@pytest.mark.parametrize("at", [0, 40, 100, 110, -1])
def test_from_bytes_when_a_bit_differs_then_refused(at: int) -> None:
    data = bytearray(bytes(pkarr.sign(KEY, [rrset("@", "A", "1.1.1.1")], timestamp=TIME)))
    data[at] ^= 1
    with pytest.raises(DecodeError):
        pkarr.SignedPacket.from_bytes(bytes(data))


@pytest.mark.parametrize("size", [0, 104, 1105])
def test_from_bytes_when_size_is_impossible_then_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"{size} bytes"):
        pkarr.SignedPacket.from_bytes(bytes(size))


def test_from_item_when_no_dns_packet_then_refused() -> None:
    for item in (make_item(b"x"), sign_item(KEY, b"x", seq=1), sign_item(KEY, 5, seq=1),
                 sign_item(KEY, b"x", seq=1, salt=b"s")):
        with pytest.raises(DecodeError):
            pkarr.SignedPacket.from_item(item)


def texts(size: int) -> Any:
    """One TXT record of so many bytes of text in strings of at most 255."""
    strings = [f'"{"x" * min(255, size - at)}"' for at in range(0, size, 255)]
    return rrset("@", "TXT", " ".join(strings))


def test_sign_when_as_large_as_every_node_takes_then_fits_and_one_more_does_not() -> None:
    base = len(pkarr.sign(KEY, [texts(800)], timestamp=TIME).packet) - 800
    largest = pkarr.sign(KEY, [texts(pkarr.MAX_PACKET - base)], timestamp=TIME)
    assert len(largest.packet) == 995 and len(largest.item().raw) == 999
    with pytest.raises(LocalProtocolError, match="996 bytes; 995"):
        pkarr.sign(KEY, [texts(pkarr.MAX_PACKET - base + 1)], timestamp=TIME)


def test_sign_when_dnspython_is_missing_then_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.message", None)
    with pytest.raises(pkarr.DnsMissing, match=r"fastdht\[pkarr\]"):
        pkarr.sign(KEY, [])
