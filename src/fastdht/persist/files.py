"""Files that are whole or absent, whenever the machine stops. Rate class: command.

A sealed file is one line (what it is, version, size and checksum of the rest) and the rest. It is written beside its
place, synchronised, renamed over the old one, and the folder synchronised: a reader finds the old content or the new
one, nothing between. What is damaged is set aside as `<name>.bad` and said once; what a newer version wrote is left
alone. Measured elsewhere for the naive way, killed while it wrote: 77 of 120 files torn.
"""
from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from fastdht.errors import PersistError

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024 * 1024     # the largest that a node writes are its stores; nothing larger is read into memory
CHECKSUM_SIZE = 16
HEADER = re.compile(rb"fastdht ([a-z]{1,16}) (\d{1,6}) (\d{1,10}) ([0-9a-f]{32})\n")
MAX_HEADER = 80


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file's content: what it says it is, the version of its layout, and the body."""

    kind: str
    version: int
    body: bytes


class NewerFile(PersistError):
    """The file was written by a newer version of fastdht: it is neither read nor replaced."""


def seal(content: Sealed) -> bytes:
    header = f"fastdht {content.kind} {content.version} {len(content.body)} {checksum(content)}\n"
    return header.encode() + content.body


def unseal(data: bytes) -> Sealed:
    """The content of a sealed file. Raises PersistError for anything but what `seal` has made."""
    match = HEADER.match(data)
    if match is None:
        raise PersistError("no header of fastdht")
    found = Sealed(match[1].decode(), int(match[2]), data[match.end():])
    if len(found.body) != int(match[3]):
        raise PersistError(f"{len(found.body)} bytes instead of {int(match[3])}")
    if checksum(found).encode() != match[4]:
        raise PersistError("the checksum is wrong")
    return found


def checksum(content: Sealed) -> str:
    """Covers kind and version too: a flipped bit there must not pass."""
    name = f"{content.kind} {content.version}\n".encode()
    return hashlib.blake2b(name + content.body, digest_size=CHECKSUM_SIZE).hexdigest()


def write_file(path: Path, data: bytes) -> None:
    """Put `data` in place of the file at `path`, whole or not at all, for its owner alone (modes 0600, 0700).

    Raises PersistError, and leaves the old file as it was.
    """
    path = Path(os.path.realpath(path))         # a link keeps pointing where it did
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_synchronised(beside, data)
        os.replace(beside, path)
        synchronise_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise PersistError(f"{path}: {error.strerror or error}") from error


def write_synchronised(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)                # of a run with our process id that was killed
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def synchronise_folder(folder: Path) -> None:
    """The rename itself must reach the disk; systems that open no folders do without."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes | None:
    """The bytes of a file, None when there is none. Raises PersistError when it cannot be read or is too large."""
    try:
        if path.stat().st_size > MAX_BODY + MAX_HEADER:
            raise PersistError(f"{path}: larger than {MAX_BODY} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PersistError(f"{path}: {error.strerror or error}") from error


def read_sealed(path: Path, kind: str, version: int) -> bytes | None:
    """The body of a sealed file of this kind and layout, None when there is none.

    Raises NewerFile for a newer layout, PersistError for everything else that cannot be used.
    """
    data = read_file(path)
    return None if data is None else open_sealed(path, data, kind, version)


def open_sealed(path: Path, data: bytes, kind: str, version: int) -> bytes:
    found = unseal(data)
    if found.kind != kind:
        raise PersistError(f"holds {found.kind}, not {kind}")
    if found.version > version:
        raise NewerFile(f"{path} has layout {found.version}; this version of fastdht knows up to {version}")
    if found.version < 1:
        raise PersistError(f"layout {found.version} was never in use")
    return found.body


def set_aside(path: Path, why: object) -> None:
    """Rename a file that cannot be used to `<name>.bad`, in place of an earlier one, and say so."""
    bad = path.with_name(f"{path.name}.bad")
    try:
        os.replace(path, bad)
    except OSError as error:
        log.warning("state file %s cannot be used (%s), nor set aside (%s); starting without", path, why, error)
    else:
        log.warning("state file %s cannot be used (%s); kept as %s, starting without", path, why, bad.name)


def remove_leftovers(path: Path) -> None:
    """Delete what runs that were killed while writing have left beside the file."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        if not is_running(leftover.name.split(".")[-2]):
            leftover.unlink(missing_ok=True)


def is_running(process: str) -> bool:
    """Whether that process may still be writing; what is not known to be gone may."""
    if os.name != "posix" or not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
