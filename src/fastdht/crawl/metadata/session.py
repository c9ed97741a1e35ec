"""One connection that fetches a torrent's metadata, without I/O: bytes in, bytes out. Rate class: command.

Theory of operation.

    HANDSHAKE   the remote's 68 bytes have not all come
    EXTENDED    both have shaken hands; its extension handshake has not come
    PIECES      it has the metadata: pieces are asked for, `PIPELINE` at a time
    DONE        all pieces came and the whole has the hash; `metadata` is set

Every connection fetches the whole by itself: a wrong hash then names the one peer that lied. Nothing is trusted before
that, and nothing is kept beyond `max_size` bytes; frames that are not for us are skipped without being held. What a
peer does wrong raises PeerFault, which ends the connection and nothing else.
Sources: BEP 3 (peer protocol), BEP 9 (ut_metadata), BEP 10 (extension protocol), BEP 52 (v2: SHA-256, truncated).
"""
from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Any

from fastdht import bencode
from fastdht._ext.bencode import scan
from fastdht.errors import DecodeError, DHTError

PROTOCOL = b"\x13BitTorrent protocol"
HANDSHAKE_SIZE = 68
EXTENSION_BIT = 0x10        # of the reserved byte 5 (BEP 10)
PIECE_SIZE = 16_384
PIPELINE = 4                # pieces asked for at a time
OUR_ID = 3                  # the number under which we want to receive ut_metadata
MSG_EXTENDED = 20
REQUEST, DATA, REJECT = range(3)
MAX_HANDSHAKE = 65_536      # of an extension handshake: a dictionary of names; real ones have a few hundred bytes
MAX_HEADER = 1_024          # of the dictionary before a piece
MAX_SKIPPED = 8 << 20       # of frames that are not for us: a bitfield, some haves
HANDSHAKE_TOKENS = 512


class PeerFault(DHTError):
    """A peer has broken the protocol, refused, or sent metadata with another hash."""


class SessionState(IntEnum):
    """Where a session stands."""

    HANDSHAKE = 0
    EXTENDED = 1
    PIECES = 2
    DONE = 3


class MetadataSession:
    """Fetches the metadata of `info_hash` (20 bytes) as `peer_id` (20 bytes), at most `max_size` bytes of it."""

    def __init__(self, info_hash: bytes, peer_id: bytes, max_size: int) -> None:
        self.state = SessionState.HANDSHAKE
        self.metadata: bytes | None = None
        self.client: str | None = None      # what the remote's extension handshake calls itself
        self._info_hash = info_hash
        self._peer_id = peer_id
        self._max_size = max_size
        self._buffer = bytearray()
        self._to_skip = 0
        self._skipped = 0
        self._remote_id = 0
        self._size = 0
        self._pieces: list[bytes | None] = []
        self._next_piece = 0
        self._missing = 0

    def start(self) -> bytes:
        """What to send first."""
        reserved = bytes((0, 0, 0, 0, 0, EXTENSION_BIT, 0, 0))
        return PROTOCOL + reserved + self._info_hash + self._peer_id

    def receive(self, data: bytes) -> bytes:
        """Take in what has come; returns what to send now. Raises PeerFault."""
        self._buffer += data
        out = bytearray()
        if self.state is SessionState.HANDSHAKE and not self._take_handshake(out):
            return b""
        while self.state is not SessionState.DONE:
            frame = self._next_frame()
            if frame is None:
                break
            if frame:
                self._on_extended(frame[0], frame[1:], out)
        return bytes(out)

    def _take_handshake(self, out: bytearray) -> bool:
        head = bytes(self._buffer[:HANDSHAKE_SIZE])
        if not PROTOCOL.startswith(head[:len(PROTOCOL)]):
            raise PeerFault("does not speak the BitTorrent protocol")
        if len(head) < HANDSHAKE_SIZE:
            return False
        if head[28:48] != self._info_hash:
            raise PeerFault("answered for another torrent")
        if not head[25] & EXTENSION_BIT:
            raise PeerFault("does not speak the extension protocol (BEP 10)")
        del self._buffer[:HANDSHAKE_SIZE]
        out += frame(0, bencode.encode({b"m": {b"ut_metadata": OUR_ID}}))
        self.state = SessionState.EXTENDED
        return True

    def _next_frame(self) -> bytes | None:
        """The next extended frame, its number first; empty for one that was skipped, None when more must come."""
        self._skip()
        if self._to_skip or len(self._buffer) < 4:
            return None
        size = int.from_bytes(self._buffer[:4], "big")
        if size == 0:                           # a keep-alive
            del self._buffer[:4]
            return b""
        if len(self._buffer) < 6 and size > 1:
            return None
        if size < 2 or self._buffer[4] != MSG_EXTENDED:
            self._to_skip = 4 + size
            self._skipped += size
            if self._skipped > MAX_SKIPPED:
                raise PeerFault(f"sent {self._skipped} bytes that nobody asked for; {MAX_SKIPPED} are skipped")
            self._skip()
            return b""
        limit = MAX_HANDSHAKE if self._buffer[5] == 0 else PIECE_SIZE + MAX_HEADER
        if size > limit:
            raise PeerFault(f"sent an extended message of {size} bytes; {limit} are allowed")
        if len(self._buffer) < 4 + size:
            return None
        content = bytes(self._buffer[5:4 + size])
        del self._buffer[:4 + size]
        return content

    def _skip(self) -> None:
        gone = min(self._to_skip, len(self._buffer))
        del self._buffer[:gone]
        self._to_skip -= gone

    def _on_extended(self, number: int, content: bytes, out: bytearray) -> None:
        header, rest = split_header(content)
        if number == 0:
            self._on_handshake(header, out)
        elif number == OUR_ID and self.state is SessionState.PIECES:
            self._on_metadata(header, rest, out)

    def _on_handshake(self, header: dict[bytes, Any], out: bytearray) -> None:
        """A later one adds to the first; only the first that names ut_metadata starts the pieces."""
        if self.state is not SessionState.EXTENDED:
            return
        names = header.get(b"m")
        number = names.get(b"ut_metadata") if isinstance(names, dict) else None
        size = header.get(b"metadata_size")
        version = header.get(b"v")
        if isinstance(version, bytes):
            self.client = version[:64].decode("utf-8", "replace")
        if not isinstance(number, int) or not 1 <= number <= 255:
            raise PeerFault("does not offer ut_metadata (BEP 9)")
        if not isinstance(size, int) or size <= 0:
            raise PeerFault("has no metadata yet")
        if size > self._max_size:
            raise PeerFault(f"offers {size} bytes of metadata; {self._max_size} are allowed")
        self._remote_id, self._size = number, size
        self._missing = -(-size // PIECE_SIZE)
        self._pieces = [None] * self._missing
        self.state = SessionState.PIECES
        for _ in range(min(PIPELINE, self._missing)):
            self._ask(out)

    def _ask(self, out: bytearray) -> None:
        if self._next_piece < len(self._pieces):
            out += frame(self._remote_id, bencode.encode({b"msg_type": REQUEST, b"piece": self._next_piece}))
            self._next_piece += 1

    def _on_metadata(self, header: dict[bytes, Any], piece: bytes, out: bytearray) -> None:
        kind, number = header.get(b"msg_type"), header.get(b"piece")
        if kind == REJECT:
            raise PeerFault("refuses to send the metadata")
        if kind != DATA:                        # others must be ignored (BEP 9); we have nothing to be asked for
            if kind == REQUEST and isinstance(number, int):
                out += frame(self._remote_id, bencode.encode({b"msg_type": REJECT, b"piece": number}))
            return
        if not isinstance(number, int) or not 0 <= number < self._next_piece:
            raise PeerFault(f"sent piece {number!r}, which was not asked for")
        if header.get(b"total_size", self._size) != self._size:
            raise PeerFault(f"first offered {self._size} bytes, then {header.get(b'total_size')}")
        if len(piece) != min(PIECE_SIZE, self._size - number * PIECE_SIZE):
            raise PeerFault(f"piece {number} has {len(piece)} bytes")
        if self._pieces[number] is None:
            self._pieces[number] = piece
            self._missing -= 1
        self._ask(out)
        if self._missing == 0:
            self._finish()

    def _finish(self) -> None:
        metadata = b"".join(piece for piece in self._pieces if piece is not None)
        if not fits(metadata, self._info_hash):
            raise PeerFault("sent metadata with another hash")
        self.metadata = metadata
        self.state = SessionState.DONE


def fits(metadata: bytes, info_hash: bytes) -> bool:
    """Whether `metadata` is what `info_hash` names: by SHA-1, or by the first 20 bytes of SHA-256 (BEP 52)."""
    return hashlib.sha1(metadata).digest() == info_hash or hashlib.sha256(metadata).digest()[:20] == info_hash


def frame(number: int, content: bytes) -> bytes:
    """An extended message (BEP 10)."""
    return (len(content) + 2).to_bytes(4, "big") + bytes((MSG_EXTENDED, number)) + content


def split_header(content: bytes) -> tuple[dict[bytes, Any], bytes]:
    """The dictionary that an extended message starts with, and the bytes after it. Raises PeerFault."""
    size = scan(content[:MAX_HANDSHAKE], max_tokens=HANDSHAKE_TOKENS)
    try:
        header = bencode.decode(content[:size], strict=False) if size > 0 else None
    except DecodeError as error:
        raise PeerFault(f"sent an extended message that is no bencode: {error}") from None
    if not isinstance(header, dict):
        raise PeerFault("sent an extended message that starts with no dictionary")
    return header, content[size:]
