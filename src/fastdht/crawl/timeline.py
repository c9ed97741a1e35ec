"""The course of a crawl, kept for its report: one JSON line now and then. Rate class: second.

A line is written when a two-thousandth of the time so far has passed, so that a crawl of a minute has a hundred of
them and one of a month a few thousand.
"""
from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from fastdht.crawl.records import Progress
from fastdht.crawl.sinks import refusal

NAME = "timeline.jsonl"
LEAST_S = 0.5
SHARE = 2000


class Timeline:
    """Appends to `directory`/timeline.jsonl; without a directory it keeps nothing. Raises PersistError."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / NAME if directory is not None else None
        self._file: TextIO | None = None
        self._next_s = 0.0

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise refusal(self._path, error) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, progress: Progress) -> None:
        """Keep this state if the last one kept is old enough."""
        if self._file is None or self._path is None or progress.elapsed_s < self._next_s:
            return
        self._next_s = progress.elapsed_s + max(LEAST_S, progress.elapsed_s / SHARE)
        values = {name: round(value, 3) if isinstance(value, float) else value
                  for name, value in asdict(progress).items() if value is not None}
        try:
            self._file.write(json.dumps(values, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as error:
            raise refusal(self._path, error) from error
