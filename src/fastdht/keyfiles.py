"""Secret keys in files: `<name>.key`, hexadecimal. Rate class: command.

A file of ours holds a seed (64 digits) or an expanded key (128), readable by its owner alone, and is never written
over. mh-cbon/dht writes 128 digits of seed ‖ public key, but signs with them as if they were an expanded key; such a
file keeps the public key under which its items were published. About 47 in 100 of them never worked there, since that
program's multiplication mistakes large scalars: those are refused, with the reason.
"""
from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from fastdht.crypto import BEP44_TEST, SEED_SIZE, SigningKey
from fastdht.errors import ConfigError, PersistError

log = logging.getLogger(__name__)

BEP44_NAME = "bep44test"        # the key of BEP 44's vectors, as mh-cbon/dht names it
SUFFIX = ".key"
MAX_FILE = 1024                 # bytes read; a key needs 129
LAST_DIGIT_BIT = 252            # of 64 base-16 digits
TABLE_SIZE = 8                  # multiples of the base point in the table of ref10's multiplication, 1 to 8


def load_key(name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] = ".") -> SigningKey:
    """The key of that name in `directory`, or in the file of that path; "bep44test" is the key of BEP 44's vectors.

    Raises PersistError when the file cannot be read, holds no key, or holds one that mh-cbon/dht could not sign with.
    """
    if name_or_path == BEP44_NAME:
        return BEP44_TEST
    path = key_path(name_or_path, directory)
    try:
        with path.open("rb") as file:
            warn_if_shared(path, os.fstat(file.fileno()).st_mode)
            text = file.read(MAX_FILE)
    except OSError as error:
        raise PersistError(f"key file {path}: {error.strerror or error}") from error
    try:
        return parse_key(text)
    except ConfigError as error:
        raise PersistError(f"key file {path}: {error}") from None


def save_key(key: SigningKey, name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] = ".") -> Path:
    """Write a key to a new file that only its owner can read (mode 0600); returns its path.

    Raises PersistError when the file exists, or cannot be written.
    """
    if name_or_path == BEP44_NAME:
        raise PersistError(f"{BEP44_NAME!r} names the key of BEP 44's vectors; choose another name")
    path = key_path(name_or_path, directory)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise PersistError(f"key file {path} exists; keys are never written over") from None
    except OSError as error:
        raise PersistError(f"key file {path}: {error.strerror or error}") from error
    try:
        with open(descriptor, "wb") as file:
            file.write(key.secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        raise PersistError(f"key file {path}: {error.strerror or error}") from error
    return path


def key_path(name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str]) -> Path:
    """A bare name stands for `<directory>/<name>.key`; what has a separator or the suffix is a path."""
    text = os.fspath(name_or_path)
    if os.path.dirname(text) or text.endswith(SUFFIX):
        return Path(text).expanduser()
    return Path(directory, text + SUFFIX)


def parse_key(text: bytes) -> SigningKey:
    """A key from a file's content. Raises ConfigError, which never shows the content."""
    try:
        secret = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        raise ConfigError("no hexadecimal digits; 64 of a seed or 128 of an expanded key needed") from None
    if len(secret) == 2 * SEED_SIZE and SigningKey.from_seed(secret[:SEED_SIZE]).public_key == secret[SEED_SIZE:]:
        if not is_usable_by_reference(secret[:SEED_SIZE]):
            raise ConfigError("made by mh-cbon/dht, and one of the 47 in 100 for which it computes a wrong public key: "
                              "no signature of it was ever valid. Make a new key; its first 64 digits are a seed "
                              "if you want to keep those")
        return SigningKey.from_expanded(secret)
    return SigningKey.from_bytes(secret)


def is_usable_by_reference(scalar: bytes) -> bool:
    """Whether ref10's multiplication of the base point is right for 32 bytes taken as they are.

    It writes the scalar in 64 digits of -8 to 7, of which only the last may be more; its table ends at 8.
    """
    number = int.from_bytes(scalar, "little")
    low = number & ((1 << LAST_DIGIT_BIT) - 1)
    carries = low > 7 * (((1 << LAST_DIGIT_BIT) - 1) // 15)     # more than 63 digits of 7 can say
    return (number >> LAST_DIGIT_BIT) + carries <= TABLE_SIZE


def warn_if_shared(path: Path, mode: int) -> None:
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        log.warning("key file %s can be read or changed by others; chmod 600 keeps it secret", path)
