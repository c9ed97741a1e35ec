"""Crawls in a store that fsspec reaches (s3://, gs://, sftp://, file://…). Rate class: command.

A crawl renames, links and maps files, which such stores cannot do. It runs in a stage, a directory of this machine;
what is whole is copied while it runs, the rest at its end: parts first, then the manifest, and crawl.json last, so
that nothing in the store names what is not there. Checkpoints stay in the stage.
Invariant: the stage is removed only when everything it has to give is in the store and nothing is left to do.
"""
from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path
from typing import Any

from fastdht.crawl.layout import NOTE, STOP, SUFFIXES, read_json
from fastdht.errors import ConfigError, PersistError

STAGES = Path("~/.local/state/fastdht/crawls")
KEPT_HERE = ("checkpoint", STOP)        # of no use to who reads the results
SEND_EVERY_S = 30.0


def is_url(text: str) -> bool:
    return "://" in text


class RemoteFolder:
    """A crawl's directory at `url`, and its stage. Raises ConfigError without fsspec or for a protocol it lacks."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise ConfigError(f"{url} needs fsspec: pip install 'fastdht[remote]'") from None
        self.url = url.rstrip("/")
        try:
            self._store, self._root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url}: {error}") from None
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:12]
        self.stage = STAGES.expanduser() / f"{self.url.rpartition('/')[2] or 'crawl'}-{digest}"
        self._sent: dict[Path, tuple[int, int]] = {}

    def holds_crawl(self) -> bool:
        """Whether the store has a crawl there; raises PersistError when it does not answer."""
        try:
            return bool(self._store.exists(f"{self._root}/{NOTE}"))
        except Exception as error:      # of any of fsspec's stores: each has its own
            raise PersistError(f"cannot read {self.url}: {error}") from error

    def fetch(self, folder: Path) -> Path:
        """Put all that the store has into `folder`, or nothing. ConfigError when it has no crawl; PersistError."""
        if not self.holds_crawl():
            raise ConfigError(f"{self.url} holds no crawl: it has no {NOTE}")
        half = folder.with_name(folder.name + ".half")
        shutil.rmtree(half, ignore_errors=True)     # of a copy that was killed
        try:
            self._store.get(f"{self._root}/", f"{half}/", recursive=True)
            shutil.rmtree(folder, ignore_errors=True)
            half.rename(folder)
        except Exception as error:      # as above
            shutil.rmtree(half, ignore_errors=True)
            raise PersistError(f"cannot read {self.url}: {error}") from error
        return folder

    def send(self, folder: Path, *, parts_only: bool = False) -> None:
        """Copy what is new or has changed since the last call. Raises PersistError."""
        for path in to_send(folder, parts_only):
            status = path.stat()
            state = status.st_size, status.st_mtime_ns
            if self._sent.get(path) == state:
                continue
            target = f"{self._root}/{path.relative_to(folder).as_posix()}"
            try:
                self._store.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._store.put_file(str(path), target)
            except Exception as error:      # as above
                raise PersistError(f"cannot write {self.url}: {error}") from error
            self._sent[path] = state


def to_send(folder: Path, parts_only: bool) -> list[Path]:
    """The files of a crawl's directory that are whole, those that name others after them."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".tmp")
             and path.relative_to(folder).parts[0] not in KEPT_HERE]
    if parts_only:
        found = [path for path in found if path.relative_to(folder).parts[0] == "parts" and path.suffix in SUFFIXES]

    def rank(path: Path) -> tuple[int, Path]:
        first = path.relative_to(folder).parts[0]
        return (3 if first == NOTE else 2 if first == "manifest" else first != "parts", path)

    return sorted(found, key=rank)


class Sender:
    """Sends a stage while a crawl fills it: `start()`, then `finish()`, which sends the rest."""

    def __init__(self, remote: RemoteFolder, every_s: float = SEND_EVERY_S) -> None:
        self._remote = remote
        self._every_s = every_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fastdht-sender", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            try:
                self._remote.send(self._remote.stage, parts_only=True)
            except (OSError, PersistError):
                continue        # a store may be away for a while; `finish` says it when it still is

    def finish(self) -> str:
        """Send all; returns where the stage was left because the crawl can go on from there, "" when it was removed.

        Raises PersistError; the stage is then kept.
        """
        self._is_over.set()
        self._thread.join()
        stage = self._remote.stage
        note: dict[str, Any] | None = read_json(stage / NOTE)
        if note is None:        # nothing was begun
            return ""
        try:
            self._remote.send(stage)
        except (OSError, PersistError) as error:
            raise PersistError(
                f"{error}; the results are in {stage}: `fastdht crawl send {stage} {self._remote.url}`") from error
        if note.get("state") != "complete":
            return str(stage)
        shutil.rmtree(stage, ignore_errors=True)
        return ""
