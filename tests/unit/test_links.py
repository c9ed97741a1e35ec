"""Magnet links of BEP 9, 46 and 52, well formed and not."""
from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdht.crypto import mutable_target
from fastdht.errors import DecodeError
from fastdht.links import Magnet
from fastdht.types import InfoHash

BEP46 = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())["bep46"]
V1 = bytes(range(20))
V2 = bytes(range(32))
KEY = bytes(range(100, 132))


@pytest.mark.parametrize("vector", BEP46, ids=lambda vector: vector["salt_hex"] or "no salt")
def test_parse_when_bep_46_then_key_salt_and_target_are_its(vector: dict[str, str]) -> None:
    magnet = Magnet.parse(vector["magnet"])
    assert magnet.public_key is not None
    assert magnet.public_key.hex() == vector["public_key"]
    assert magnet.salt.hex() == vector["salt_hex"]
    assert mutable_target(magnet.public_key, magnet.salt).hex() == vector["target"]
    assert str(magnet) == vector["magnet"]


@pytest.mark.parametrize("text", [
    f"magnet:?xt=urn:btih:{V1.hex()}", f"magnet:?xt=urn:btih:{V1.hex().upper()}",
    f"MAGNET:?xt=urn:btih:{base64.b32encode(V1).decode()}", f" magnet:?xt.1=URN:BTIH:{V1.hex()}\n",
    f"magnet:?dn=x&xt=urn%3Abtih%3A{V1.hex()}&xl=5&s=&x.pe=1.2.3.4:5", f"magnet:?xt=urn:btih:{V1.hex()}&xt=urn:ed2k:00"])
def test_parse_when_btih_then_info_hash(text: str) -> None:
    magnet = Magnet.parse(text)
    assert magnet.info_hash == InfoHash(V1)
    assert magnet.dht_hashes == (InfoHash(V1),)


def test_parse_when_hybrid_then_both_swarms() -> None:
    magnet = Magnet.parse(f"magnet:?xt=urn:btih:{V1.hex()}&xt=urn:btmh:1220{V2.hex()}&tr=http%3A%2F%2Fa%2F&dn=a%20b")
    assert magnet == Magnet(InfoHash(V1), V2, name="a b", trackers=("http://a/",))
    assert magnet.dht_hashes == (V1, V2[:20])


@pytest.mark.parametrize(("text", "why"), [
    ("http://example.org", "begins with magnet"),
    ("magnet:?dn=nothing", "without xt=urn:btih"),
    ("magnet:?xt=urn:btih:00", "2 digits; 40 needed"),
    ("magnet:?xt=urn:btih:" + "g" * 40, "not hexadecimal"),
    ("magnet:?xt=urn:btih:" + "é" * 32, "base-32|not hexadecimal"),
    ("magnet:?xt=urn:btih:" + "1" * 32, "not base-32"),
    (f"magnet:?xt=urn:btih:{V1.hex()}&xt=urn:btih:{V1[::-1].hex()}", "2 different"),
    (f"magnet:?xt=urn:btmh:1114{V1.hex()}", "only SHA-256"),
    (f"magnet:?xt=urn:btmh:1220{V1.hex()}", "40 digits; 64 needed"),
    ("magnet:?xs=urn:btpk:" + "0" * 63, "not hexadecimal"),
    ("magnet:?xs=urn:btpk:" + "0" * 62, "62 digits; 64 needed"),
    (f"magnet:?xs=urn:btpk:{KEY.hex()}&s=abc", "not hexadecimal"),
    (f"magnet:?xs=urn:btpk:{KEY.hex()}&s=00&s=01", "two different salts"),
    (f"magnet:?xs=urn:btpk:{KEY.hex()}&s={'00' * 65}", "salt is 65 bytes"),
    ("magnet:?" + "a=b&" * 300, "256 parameters"),
    ("magnet:?dn=" + "a" * 20_000, "20011 characters"),
    (f"magnet:?xt=urn:btpk:{KEY.hex()}", "without xt=urn:btih")])
def test_parse_when_malformed_then_error_says_what(text: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        Magnet.parse(text)


@given(st.text())
def test_parse_when_any_text_then_decode_error_or_magnet(text: str) -> None:
    for link in (text, "magnet:?" + text, "magnet:?xt=urn:btih:" + text):
        try:
            Magnet.parse(link)
        except DecodeError:
            pass


@given(st.none() | st.binary(min_size=20, max_size=20).map(InfoHash), st.none() | st.binary(min_size=32, max_size=32),
       st.binary(min_size=32, max_size=32), st.binary(max_size=64), st.none() | st.text(min_size=1, max_size=20),
       st.lists(st.text(min_size=1, max_size=20), max_size=3).map(tuple))
def test_format_when_parsed_again_then_the_same(v1: InfoHash | None, v2: bytes | None, key: bytes, salt: bytes,
                                               name: str | None, trackers: tuple[str, ...]) -> None:
    magnet = Magnet(v1, v2, key, salt, name, trackers)
    assert Magnet.parse(str(magnet)) == magnet
