"""The handshakes and frames of dht.json, BEP 9 and BEP 10, played to a session; the infohash of BEP 52."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fastdht import bencode
from fastdht.crawl.metadata.session import MetadataSession, PeerFault, SessionState, fits, frame, split_header
from fastdht.links import Magnet

VECTORS = json.loads((Path(__file__).parent / "dht.json").read_text())
BEP9, BEP52 = VECTORS["bep9_10"], VECTORS["bep52"]
HANDSHAKE = bytes.fromhex(BEP9["bt_handshake_hex"])
INFO_HASH, PEER_ID = HANDSHAKE[28:48], HANDSHAKE[48:]
DHT_BIT = 0x01              # of the last reserved byte; a session that only fetches does not set it


def test_handshake_is_the_printed_one_but_for_the_dht_bit() -> None:
    made = MetadataSession(INFO_HASH, PEER_ID, 1 << 20).start()
    assert len(made) == BEP9["bt_handshake_len"]
    assert made[:27] + bytes((made[27] | DHT_BIT,)) + made[28:] == HANDSHAKE


def test_peer_that_offers_metadata_is_asked_for_the_first_piece_as_printed() -> None:
    payload = BEP9["ext_handshake_payload_ascii"].encode()
    offer = bytes.fromhex(BEP9["ext_handshake_frame_hex"])
    assert frame(0, payload) == offer
    session = MetadataSession(INFO_HASH, PEER_ID, 1 << 20)
    answer = session.receive(HANDSHAKE + offer)
    assert session.state is SessionState.PIECES
    assert bytes.fromhex(BEP9["ut_metadata_request_frame_hex_peer_id3"]) in answer
    assert frame(3, BEP9["request_ascii"].encode()).hex() == BEP9["ut_metadata_request_frame_hex_peer_id3"]


def test_refusal_as_printed_ends_the_session() -> None:
    session = MetadataSession(INFO_HASH, PEER_ID, 1 << 20)
    session.receive(HANDSHAKE + bytes.fromhex(BEP9["ext_handshake_frame_hex"]))
    with pytest.raises(PeerFault, match="refuses"):
        session.receive(frame(3, BEP9["reject_ascii"].encode()))


def test_header_of_a_piece_as_printed_ends_where_the_piece_begins() -> None:
    assert "34256" in BEP9["bep9_text_errata"]
    header, piece = split_header(BEP9["data_header_ascii"].encode() + b"the piece")
    assert header == {b"msg_type": 1, b"piece": 0, b"total_size": 3425}
    assert piece == b"the piece"
    assert bencode.encode(header).decode() == BEP9["data_header_ascii"]


def test_infohash_of_a_v2_torrent_is_cut_to_twenty_bytes() -> None:
    info = BEP52["info_ascii"].encode()
    assert hashlib.sha256(info).hexdigest() == BEP52["sha256"]
    assert fits(info, bytes.fromhex(BEP52["dht_infohash_20"]))
    [found] = Magnet.parse(f"magnet:?xt=urn:btmh:1220{BEP52['sha256']}").dht_hashes
    assert found.hex() == BEP52["dht_infohash_20"]
