"""The interval ledger on disk: who may be asked for samples again, and when. Rate class: second.

The table of `_ext/ledger` lies in a file that is mapped into memory, so that what the packet path writes down is kept
even if the process is killed the moment after; a machine that dies loses at most some seconds of it. A second file,
FILE.lock, keeps two crawls from using one ledger. The table doubles, into a new file that replaces the old one, before
it is half full; entries whose time has passed are left behind then.
Layout: 8 bytes magic, 4 version, 4 spare, 16 key, 32 zeros; then 16 bytes an entry, in the machine's byte order.
"""
from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from fastdht._ext.ledger import ENTRY_SIZE, HEADER_SIZE, Ledger
from fastdht.crawl.sinks import refusal
from fastdht.errors import ConfigError, PersistError

try:
    import fcntl
except ImportError:                     # Windows: two crawls with one ledger are the user's business
    fcntl = None                        # type: ignore[assignment]

MAGIC = b"FDHTLDG1"
VERSION = 1
HEADER = struct.Struct("=8sII16s")
FIRST_ENTRIES = 1 << 16                 # 1 MiB
KEY_SIZE = 16
SYNC_US = 30_000_000


class LedgerFile:
    """A context manager that opens or creates the ledger at `path`; `.ledger` is for the frontier.

    `offset_us`: Unix time less the clock of `now_us`, in µs. Raises ConfigError when another crawl uses it,
    PersistError when it is no ledger or cannot be written.
    """

    def __init__(self, path: Path, offset_us: int) -> None:
        self.path = path
        self._lock: BinaryIO | None = None
        self._map: mmap.mmap | None = None
        self._synced_us = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            if not path.exists():
                write_empty(path, FIRST_ENTRIES, os.urandom(KEY_SIZE))
            self._map = open_map(path)
        except OSError as error:
            raise refusal(path, error) from error
        try:
            self.ledger = Ledger(self._map, read_key(path, self._map), offset_us)
        except ValueError as error:
            raise PersistError(f"{path}: {error}") from None

    def _take_lock(self) -> None:
        self._lock = beside(self.path, ".lock").open("ab")
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"{self.path} is used by another crawl; wait, or name another --ledger") from None

    def tend(self, now_us: int, offset_us: int) -> None:
        """Ten times a second: follow the wall clock, grow when that is due, and now and then have it written."""
        self.ledger.set_wall_offset(offset_us)
        if len(self.ledger) * 2 >= self.ledger.capacity:
            self._grow(now_us)
        elif now_us - self._synced_us >= SYNC_US and self._map is not None:
            self._map.flush()
            self._synced_us = now_us

    def _grow(self, now_us: int) -> None:
        """Move to a new file with room for four times the entries that still count."""
        old = self._map
        assert old is not None
        entries = FIRST_ENTRIES
        while entries < 4 * self.ledger.count_live(now_us):
            entries *= 2
        fresh = beside(self.path, ".tmp")
        try:
            write_empty(fresh, entries, read_key(self.path, old))
            new = open_map(fresh)
            self.ledger.move(new, now_us)
            self._map = new
            new.flush()
            os.replace(fresh, self.path)
        except OSError as error:
            raise refusal(self.path, error) from error
        old.close()

    def close(self) -> None:
        """Have everything written, and let others use it. The ledger is dead afterwards."""
        self.ledger.release()
        if self._map is not None:
            self._map.flush()
            self._map.close()
            self._map = None
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def write_empty(path: Path, entries: int, key: bytes) -> None:
    """A ledger without entries: a file of holes. Raises OSError."""
    beside_it = beside(path, ".new")
    with os.fdopen(os.open(beside_it, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(HEADER.pack(MAGIC, VERSION, 0, key))
        file.truncate(HEADER_SIZE + entries * ENTRY_SIZE)
        os.fsync(file.fileno())
    os.replace(beside_it, path)


def open_map(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        if os.fstat(file.fileno()).st_size < HEADER_SIZE:
            raise PersistError(f"{path} is no ledger: it has less than {HEADER_SIZE} bytes")
        return mmap.mmap(file.fileno(), 0)


def read_key(path: Path, content: mmap.mmap) -> bytes:
    magic, version, _, key = HEADER.unpack_from(content)
    if magic != MAGIC:
        raise PersistError(f"{path} is no ledger: it starts with {magic!r}; {MAGIC!r} expected")
    if version > VERSION:
        raise PersistError(f"{path} was written by a newer version of fastdht: layout {version}; {VERSION} is known")
    return bytes(key)
