"""Saves a crawl while it runs, so that killing it costs half a minute. Rate class: second.

Theory of operation. Every so often a saving begins: each tick copies some thousand records of the frontier, and a
thread writes them. The rows found meanwhile are written between them, for the records copied before do not know of
them. When all are copied, the part that holds the rows found so far is closed, and last a JSON file is renamed into
place. It names the parts that count and the frontier's file: what it does not name never happened. So a row is in a
named part exactly when the saved frontier knows that it was found, and no node is lost or written twice.
"""
from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fastdht._ext.frontier import Frontier
from fastdht._ext.frontier_save import (
    entry_size,
    load_records,
    load_rest,
    mark_found,
    save_records,
    save_rest,
)
from fastdht.crawl.sinks import DirectorySink, refusal, temporary, write_json

CHUNK = 1 << 15             # records copied per tick: 3 ms
CHUNK_SHARE = 200           # and at least this part of all, so that a saving takes no longer than 20 s
FRAME = struct.Struct("<cI")
RECORDS, ROWS, REST = {4: b"4", 6: b"6"}, b"r", b"c"

Submit = Callable[..., Any]     # runs a function with arguments in the writer's thread, in order


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a crawl of one zone goes on."""

    folder: Path
    values: dict[str, Any] = field(default_factory=dict)    # of the JSON file

    @property
    def passes(self) -> list[dict[str, Any]]:
        return list(self.values["passes"])

    @property
    def elapsed_s(self) -> float:
        return float(self.values["elapsed_s"])

    def load(self, number: int, frontier: Frontier) -> None:
        """Fill the frontier of pass `number`, of a checkpoint that is sound. Raises OSError and ValueError."""
        with (self.folder / self.passes[number]["file"]).open("rb") as file:
            for kind, data in read_frames(file, RECORDS.values()):
                load_records(frontier, int(kind), data)
            file.seek(0)
            for kind, data in read_frames(file, (ROWS, REST)):  # a row may be of a record that was copied after it
                if kind == ROWS:
                    mark_found(frontier, data)
                else:
                    load_rest(frontier, data)


def is_sound(saved: Saved) -> bool:
    """Whether all files of a checkpoint are there and what was written."""
    try:
        for each in saved.passes:
            with (saved.folder / each["file"]).open("rb") as file:
                if hashlib.file_digest(file, new_digest).hexdigest() != each["digest"]:
                    return False
    except (OSError, KeyError, TypeError):
        return False
    return True


def read_frames(file: BinaryIO, kinds: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The frames of these kinds, in their order."""
    while head := file.read(FRAME.size):
        kind, size = FRAME.unpack(head)
        if kind in kinds:
            yield kind, file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)


def new_digest() -> Any:
    return hashlib.blake2b(digest_size=16)


class Saver:
    """Saves the attempt at one zone whose rows go to `sink`, and edges to `edges`; parts of an earlier attempt count.
    Those of `samples` are only closed: each counts, as nobody tells the same ones twice.

    Methods that begin with `write` are for the writer's thread. Raises PersistError.
    """

    def __init__(self, folder: Path, attempt: str, config_hash: str, sink: DirectorySink, interval_us: int,
                 saved: Saved | None = None, edges: DirectorySink | None = None,
                 samples: DirectorySink | None = None) -> None:
        self._adopted: list[str] = list(saved.values["parts"]) if saved else []
        self._adopted_edges: list[str] = list(saved.values["edge_parts"]) if saved else []
        self._folder = folder
        self._attempt = attempt
        self._config_hash = config_hash
        self._sink = sink
        self._edges = edges
        self._samples = samples
        self._interval_us = interval_us
        self._done: list[dict[str, Any]] = [each for each in saved.passes if each["is_done"]] if saved else []
        self._number = 0
        self._next_us = 0
        self._copied: dict[int, int] | None = None      # family → records; None: no saving under way
        self._file: BinaryIO | None = None
        self._digest = new_digest()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def parts(self) -> list[str]:
        """The parts of the zone that are whole."""
        return self._adopted + self._sink.parts

    @property
    def edge_parts(self) -> list[str]:
        """Likewise of its edges."""
        return self._adopted_edges + (self._edges.parts if self._edges is not None else [])

    def keep_rows(self, block: bytes, submit: Submit) -> None:
        """Told of every block of rows taken from the frontier."""
        if self._copied is not None and block:
            submit(self.write_frame, ROWS, block)

    def tick(self, frontier: Frontier, families: Iterable[int], now_us: int, submit: Submit) -> bool:
        """Ten times a second: copy some records when a saving is due or under way; True when all are copied."""
        if self._copied is None:
            if self._next_us == 0:
                self._next_us = now_us + self._interval_us
            if now_us < self._next_us:
                return False
            self.begin(families, submit)
        copied = self._copied or {}
        are_copied = [self._copy(frontier, family, max(CHUNK, number // CHUNK_SHARE), submit)
                      for family, number in copied.items()]
        return all(are_copied)

    def begin(self, families: Iterable[int], submit: Submit) -> None:
        self._copied = dict.fromkeys(families, 0)
        submit(self.write_start)

    def _copy(self, frontier: Frontier, family: int, count: int, submit: Submit) -> bool:
        """Copy the next records of a family; True when those were the last."""
        assert self._copied is not None
        data = save_records(frontier, family, self._copied[family], count)
        records = len(data) // entry_size(frontier, family)
        self._copied[family] += records
        submit(self.write_frame, RECORDS[family], data)
        return records < count

    def finish(self, frontier: Frontier, families: Iterable[int], now_us: int, values: dict[str, Any],
               is_pass_done: bool, submit: Submit) -> None:
        """Copy what is left, then have everything made safe. The rows must have been taken just before, by the caller.

        `values` is what the JSON file says beside the parts and passes.
        """
        if self._copied is None:
            self.begin(families, submit)
        for family in families:
            while not self._copy(frontier, family, 1 << 20, submit):
                pass
        self._copied = None
        submit(self.write_frame, REST, save_rest(frontier))
        submit(self.write_end, values, is_pass_done)
        self._next_us = now_us + self._interval_us

    def write_start(self) -> None:
        path = self._folder / f"{self._attempt}-{self._number}.frontier"
        try:
            self._file = temporary(path).open("wb")
        except OSError as error:
            raise refusal(path, error) from error
        self._digest = new_digest()

    def write_frame(self, kind: bytes, data: bytes) -> None:
        assert self._file is not None
        head = FRAME.pack(kind, len(data))
        try:
            self._file.write(head)
            self._file.write(data)
        except OSError as error:
            raise refusal(self._folder, error) from error
        self._digest.update(head)
        self._digest.update(data)

    def write_end(self, values: dict[str, Any], is_pass_done: bool) -> None:
        assert self._file is not None
        path = self._folder / f"{self._attempt}-{self._number}.frontier"
        for sink in (self._sink, self._edges, self._samples):
            if sink is not None:
                sink.roll()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(temporary(path), path)
        except OSError as error:
            raise refusal(path, error) from error
        current = {"file": path.name, "digest": self._digest.hexdigest(), "is_done": is_pass_done,
                   **values.pop("pass")}
        write_json(self._folder / f"{self._attempt}.json", {
            "attempt": self._attempt, "config_hash": self._config_hash, "parts": self.parts,
            "edge_parts": self.edge_parts, "passes": [*self._done, current], **values})
        if is_pass_done:
            self._done.append(current)
        self._number += 1
        self._forget_older({each["file"] for each in [*self._done, current]})

    def _forget_older(self, kept: set[str]) -> None:
        for path in self._folder.glob(f"{self._attempt}-*.frontier"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
