"""What an info dictionary says, and input lines."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fastdht import bencode
from fastdht.crawl.metadata.bulk import read_wanted
from fastdht.crawl.metadata.torrent import TorrentInfo, describe, write_torrent
from fastdht.errors import DecodeError
from fastdht.types import Endpoint

HASH = "aa" * 20


@pytest.mark.parametrize(("info", "expected"), [
    ({b"name": b"a", b"length": 5, b"piece length": 16384, b"pieces": bytes(20)},
     TorrentInfo("a", 5, 1, 16384, False, "v1")),
    ({b"name": "ü".encode(), b"piece length": 1, b"pieces": b"", b"private": 1,
      b"files": [{b"length": 3, b"path": [b"x"]}, {b"length": 4, b"path": [b"p"], b"attr": b"p"}, b"odd"]},
     TorrentInfo("ü", 3, 1, 1, True, "v1")),
    ({b"name": b"t", b"meta version": 2, b"piece length": 16384,
      b"file tree": {b"d": {b"f": {b"": {b"length": 7}}, b"g": {b"": {b"length": 8}}}}},
     TorrentInfo("t", 15, 2, 16384, False, "v2")),
    ({b"name": b"\xff\xfe", b"length": -1, b"pieces": b"", b"meta version": 2}, TorrentInfo("��", 0, 1, 0, False, "hybrid")),
    ({}, TorrentInfo("", 0, 0, 0, False, "v1")),
])
def test_info_dictionary_is_described(info: dict[bytes, object], expected: TorrentInfo) -> None:
    assert describe(bencode.encode(info)) == expected


def test_metadata_that_is_no_dictionary_is_refused() -> None:
    with pytest.raises(DecodeError):
        describe(b"le")


def test_torrent_file_holds_the_metadata_untouched(tmp_path: Path) -> None:
    metadata = b"d6:lengthi05e4:name1:ae"           # not canonical, and the hash is of exactly this
    info_hash = hashlib.sha1(metadata).digest()
    path = write_torrent(tmp_path, info_hash, metadata)
    assert path.read_bytes() == b"d4:info" + metadata + b"e"
    assert path.name == info_hash.hex() + ".torrent"
    assert [each.suffix for each in path.parent.iterdir()] == [".torrent"]


def test_lines_of_words_and_of_json_name_the_same() -> None:
    lines = ["# comment\n", "\n", HASH, f"{HASH} 127.0.0.1:1 [::1]:2",
             json.dumps({"info_hash": HASH, "peers": ["127.0.0.1:1", "[::1]:2"], "more": 1})]
    bare, words, values = read_wanted(lines)
    assert bare.peers == ()
    assert words == values
    assert words.peers == (Endpoint("127.0.0.1", 1), Endpoint("::1", 2))


@pytest.mark.parametrize("line", ["xyz", HASH[:-2], f"{HASH} 127.0.0.1", "{}", '{"info_hash": 5}', "{", f"{HASH} host:1"])
def test_malformed_line_is_named_by_its_number(line: str) -> None:
    with pytest.raises(DecodeError, match="line 2"):
        list(read_wanted([HASH, line]))
