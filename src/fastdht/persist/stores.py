"""What was stored for others, announces and items, as one sealed file. Rate class: command.

Body: seconds since 1970 (8 bytes), number of sockets (2), then per socket its bind text, the dump of its PeerStore and
that of its ItemStore, each after its length (4); numbers are big-endian. The dumps have formats of their own, with ages
instead of times; the wall clock only says how long the node was away.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from fastdht.errors import PersistError
from fastdht.persist.files import NewerFile, Sealed, read_sealed, seal, set_aside

KIND, VERSION = "stores", 1
HEAD = struct.Struct(">QH")
LENGTH = struct.Struct(">I")
MAX_SOCKETS = 256


@dataclass(frozen=True, slots=True)
class SavedStores:
    """The dumps of each socket, by the address it was bound to, and when they were made."""

    saved_at: int = 0
    sockets: tuple[tuple[str, bytes, bytes], ...] = ()

    def of(self, bind: str) -> tuple[bytes, bytes] | None:
        """Peers and items of the socket that was bound by this text."""
        for name, peers, items in self.sockets:
            if name == bind:
                return peers, items
        return None


def format_stores(stores: SavedStores) -> bytes:
    """The whole file."""
    parts = [HEAD.pack(stores.saved_at, len(stores.sockets))]
    for bind, peers, items in stores.sockets:
        for part in (bind.encode(), peers, items):
            parts += [LENGTH.pack(len(part)), part]
    return seal(Sealed(KIND, VERSION, b"".join(parts)))


def parse_stores(body: bytes) -> SavedStores:
    """From the body of a file. Raises PersistError."""
    try:
        saved_at, count = HEAD.unpack_from(body)
        parts, at = [], HEAD.size
        for _ in range(3 * min(count, MAX_SOCKETS)):
            (size,) = LENGTH.unpack_from(body, at)
            at += LENGTH.size + size
            if at > len(body):
                raise PersistError(f"a part of {size} bytes does not fit")
            parts.append(body[at - size:at])
        sockets = [(parts[i].decode(), parts[i + 1], parts[i + 2]) for i in range(0, len(parts), 3)]
    except (struct.error, UnicodeDecodeError) as error:
        raise PersistError(f"malformed: {error}") from None
    return SavedStores(saved_at, tuple(sockets))


def load_stores(path: Path) -> SavedStores:
    """What the file holds; nothing, and a warning, for one that cannot be used. Raises NewerFile as load_state does."""
    try:
        body = read_sealed(path, KIND, VERSION)
        return SavedStores() if body is None else parse_stores(body)
    except NewerFile:
        raise
    except PersistError as error:
        set_aside(path, error)
        return SavedStores()
