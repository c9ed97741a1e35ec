"""What a torrent's metadata says, and the .torrent file it makes. Rate class: command.

Metadata is the bencoded info dictionary exactly as its hash names it; a .torrent file is that and nothing more, since
trackers and comments are not part of it. Names and sizes come from strangers: they are data, never paths or commands.
Sources: BEP 3 (info dictionary), BEP 27 (private), BEP 52 (v2).
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastdht import bencode
from fastdht.errors import DecodeError, PersistError

MAX_DEPTH = 100             # of a v2 file tree
MAX_NAME = 1_024            # characters kept of a name


@dataclass(frozen=True, slots=True)
class TorrentInfo:
    """The gist of an info dictionary; `version` is v1, v2 or hybrid, sizes are bytes."""

    name: str
    size: int
    files: int
    piece_length: int
    is_private: bool
    version: str


def describe(metadata: bytes) -> TorrentInfo:
    """Read an info dictionary; what is missing or of the wrong type counts as absent. Raises DecodeError."""
    info = bencode.decode(metadata, strict=False, max_depth=MAX_DEPTH)
    if not isinstance(info, dict):
        raise DecodeError("metadata is no dictionary")
    tree = info.get(b"file tree")
    sizes = v1_sizes(info) or (tree_sizes(tree, MAX_DEPTH) if isinstance(tree, dict) else [])
    name = info.get(b"name.utf-8", info.get(b"name"))
    has_v1 = isinstance(info.get(b"pieces"), bytes)
    has_v2 = info.get(b"meta version") == 2
    return TorrentInfo(
        name=name[:4 * MAX_NAME].decode("utf-8", "replace")[:MAX_NAME] if isinstance(name, bytes) else "",
        size=sum(sizes), files=len(sizes), piece_length=whole(info.get(b"piece length")),
        is_private=info.get(b"private") == 1, version="hybrid" if has_v1 and has_v2 else "v2" if has_v2 else "v1")


def v1_sizes(info: dict[bytes, Any]) -> list[int]:
    files = info.get(b"files")
    if isinstance(files, list):
        return [whole(each.get(b"length")) for each in files if isinstance(each, dict) and not is_padding(each)]
    return [whole(info[b"length"])] if b"length" in info else []


def is_padding(entry: dict[bytes, Any]) -> bool:
    """A file that only fills up a piece (BEP 47)."""
    attributes = entry.get(b"attr")
    return isinstance(attributes, bytes) and b"p" in attributes


def tree_sizes(tree: dict[bytes, Any], depth_left: int) -> list[int]:
    """Sizes of the files of a v2 tree: a file is the entry "" of a dictionary."""
    sizes = []
    for name, entry in tree.items():
        if not isinstance(entry, dict):
            continue
        if name == b"":
            sizes.append(whole(entry.get(b"length")))
        elif depth_left:
            sizes += tree_sizes(entry, depth_left - 1)
    return sizes


def whole(value: object) -> int:
    """A size that fits 63 bits, else 0."""
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else 0


def write_torrent(folder: Path, info_hash: bytes, metadata: bytes) -> Path:
    """Write `folder`/ab/abcd….torrent whole or not at all, named by its hash alone. Raises PersistError."""
    path = folder / info_hash.hex()[:2] / f"{info_hash.hex()}.torrent"
    unfinished = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(b"d4:info" + metadata + b"e")
        os.replace(unfinished, path)
    except OSError as error:
        raise PersistError(f"cannot write {path}: {error.strerror or error}") from error
    return path
