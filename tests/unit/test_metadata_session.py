"""The metadata session against bytes as BEP 3, 9 and 10 print them."""
from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import pytest

from fastdht.crawl.metadata.session import MAX_SKIPPED, PIECE_SIZE, MetadataSession, PeerFault, SessionState
from tests.conftest import SEED

PEER_ID = b"-XX0000-abcdefghijkl"
INFO = b"d6:lengthi40000e4:name4:file12:piece lengthi16384e6:pieces60:" + bytes(60) + b"e"
HASH = hashlib.sha1(INFO).digest()
GREETING = b"\x13BitTorrent protocol" + b"\0\0\0\0\0\x10\0\0"


def message(content: bytes) -> bytes:
    """A frame of the extension protocol: length, 20, and what is given."""
    return (len(content) + 1).to_bytes(4, "big") + b"\x14" + content


def offer(size: int, number: int = 7) -> bytes:
    return message(b"\x00d1:md11:ut_metadatai%dee13:metadata_sizei%de1:v6:Test 1e" % (number, size))


def data(piece: int, size: int, content: bytes) -> bytes:
    return message(b"\x03d8:msg_typei1e5:piecei%de10:total_sizei%dee" % (piece, size) + content)


def opened(info_hash: bytes = HASH, max_size: int = 1 << 20) -> MetadataSession:
    session = MetadataSession(info_hash, PEER_ID, max_size)
    assert session.start() == GREETING + info_hash + PEER_ID
    assert session.receive(GREETING + info_hash + bytes(20)) == message(b"\x00d1:md11:ut_metadatai3eee")
    return session


def test_metadata_of_one_piece_is_asked_for_and_kept() -> None:
    session = opened()
    assert session.receive(offer(len(INFO))) == message(b"\x07d8:msg_typei0e5:piecei0ee")     # BEP 9's request
    assert session.receive(data(0, len(INFO), INFO)) == b""
    assert (session.state, session.metadata, session.client) == (SessionState.DONE, INFO, "Test 1")


def test_metadata_of_many_pieces_is_pipelined_and_joined_in_order() -> None:
    whole = random.Random(SEED).randbytes(5 * PIECE_SIZE + 100)
    session = opened(hashlib.sha1(whole).digest())
    asked = session.receive(offer(len(whole)))
    assert [asked.count(b"5:piecei%de" % i) for i in range(6)] == [1, 1, 1, 1, 0, 0]
    for i in (2, 0, 1):
        part = whole[i * PIECE_SIZE:(i + 1) * PIECE_SIZE]
        session.receive(data(i, len(whole), part))
    assert b"piece" not in session.receive(data(2, len(whole), whole[2 * PIECE_SIZE:3 * PIECE_SIZE]))
    for i in (5, 4, 3):
        assert session.metadata is None
        session.receive(data(i, len(whole), whole[i * PIECE_SIZE:(i + 1) * PIECE_SIZE]))
    assert session.metadata == whole


def test_v2_metadata_fits_the_truncated_sha256() -> None:
    session = opened(hashlib.sha256(INFO).digest()[:20])
    session.receive(offer(len(INFO)))
    session.receive(data(0, len(INFO), INFO))
    assert session.metadata == INFO


def test_bytes_that_come_one_by_one_among_other_frames_change_nothing() -> None:
    session = MetadataSession(HASH, PEER_ID, 1 << 20)
    bitfield = (1001).to_bytes(4, "big") + b"\x05" + bytes(1000)
    unchoke, keep_alive = b"\0\0\0\x01\x01", b"\0\0\0\0"
    stream = (GREETING + HASH + bytes(20) + bitfield + keep_alive + unchoke + offer(len(INFO)) + message(b"\x09de")
              + keep_alive + data(0, len(INFO), INFO))
    out = b"".join(session.receive(stream[i:i + 1]) for i in range(len(stream)))
    assert session.metadata == INFO
    assert out.endswith(b"d8:msg_typei0e5:piecei0ee")


LIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "no protocol": (lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n", "BitTorrent protocol"),
    "another torrent": (lambda: GREETING + bytes(40), "another torrent"),
    "no extensions": (lambda: b"\x13BitTorrent protocol" + bytes(8) + HASH + bytes(20), "BEP 10"),
    "no ut_metadata": (lambda: GREETING + HASH + bytes(20) + message(b"\x00d1:mdee"), "ut_metadata"),
    "disabled": (lambda: GREETING + HASH + bytes(20) + offer(100, 0), "ut_metadata"),
    "no size": (lambda: GREETING + HASH + bytes(20) + message(b"\x00d1:md11:ut_metadatai1eee"), "no metadata yet"),
    "negative size": (lambda: GREETING + HASH + bytes(20) + offer(-1), "no metadata yet"),
    "huge": (lambda: GREETING + HASH + bytes(20) + offer(1 << 40), "are allowed"),
    "no dictionary": (lambda: GREETING + HASH + bytes(20) + message(b"\x00le"), "no dictionary"),
    "no bencode": (lambda: GREETING + HASH + bytes(20) + message(b"\x00dxx"), "no dictionary"),
    "long frame": (lambda: GREETING + HASH + bytes(20) + b"\x7f\xff\xff\xff\x14\x03", "are allowed"),
    "refusal": (lambda: GREETING + HASH + bytes(20) + offer(len(INFO)) + message(b"\x03d8:msg_typei2e5:piecei0ee"),
                "refuses"),
    "other piece": (lambda: GREETING + HASH + bytes(20) + offer(len(INFO)) + data(1, len(INFO), b"x"), "not asked for"),
    "short piece": (lambda: GREETING + HASH + bytes(20) + offer(len(INFO)) + data(0, len(INFO), INFO[:-1]), "bytes"),
    "other size": (lambda: GREETING + HASH + bytes(20) + offer(len(INFO)) + data(0, 9, INFO), "first offered"),
    "garbage": (lambda: GREETING + HASH + bytes(20) + offer(len(INFO)) + data(0, len(INFO), bytes(len(INFO))),
                "another hash"),
}


@pytest.mark.parametrize("lie", LIES)
def test_peer_that_breaks_the_protocol_ends_its_session_with_the_reason(lie: str) -> None:
    make, reason = LIES[lie]
    session = MetadataSession(HASH, PEER_ID, 1 << 20)
    with pytest.raises(PeerFault, match=reason):
        session.receive(make())
    assert session.metadata is None


def test_flood_of_foreign_frames_is_cut_off_without_being_held() -> None:
    session = opened()
    frame = (1 << 20).to_bytes(4, "big") + b"\x07" + bytes((1 << 20) - 1)
    for _ in range(MAX_SKIPPED // (1 << 20)):
        session.receive(frame)
        assert len(session._buffer) < 10
    with pytest.raises(PeerFault, match="nobody asked for"):
        session.receive(frame)


def test_any_bytes_after_the_handshake_end_in_a_fault_or_wait_for_more() -> None:
    rng = random.Random(SEED)
    for _ in range(300):
        session = opened()
        if rng.random() < 0.5:
            session.receive(offer(len(INFO)))
        blob = bytearray(offer(len(INFO)) + data(0, len(INFO), INFO))
        for _ in range(rng.randrange(1, 8)):
            blob[rng.randrange(len(blob))] = rng.randrange(256)
        try:
            session.receive(bytes(blob))
        except PeerFault:
            continue
        assert session.metadata in (None, INFO)
