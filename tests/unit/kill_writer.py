"""Kills processes while they write a state file, and looks at what is left. Run by test_persist_kill.

usage: kill_writer.py FOLDER COUNT SEED (sealed | naive)
Prints how many files could not be read, and how many were older than the last write that had been reported done.
"""
from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from fastdht.errors import PersistError
from fastdht.persist.files import Sealed, seal, unseal, write_file

BODY = 40_000           # about what 400 contacts need
MAX_WRITES = 4          # done before the kill
SPREAD = 1.5            # the kill falls within so many times the duration of a write


def write_for_ever(path: Path, report: int, *, is_sealed: bool) -> None:
    number = 0
    while True:
        number += 1
        data = seal(Sealed("state", 1, b"%10d" % number + bytes(BODY)))
        if is_sealed:
            write_file(path, data)
        else:
            path.write_bytes(data)
        os.write(report, b".")


def kill_once(path: Path, rng: random.Random, *, is_sealed: bool) -> tuple[bool, bool]:
    """Whether the file was unreadable, and whether it was stale, after one kill at a random moment."""
    path.unlink(missing_ok=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_for_ever(path, writer, is_sealed=is_sealed)
        finally:
            os._exit(1)
    os.close(writer)
    done, took = wait_for_writes(reader, 1 + rng.randrange(MAX_WRITES))
    moment = time.perf_counter() + rng.random() * SPREAD * took
    while time.perf_counter() < moment:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while chunk := os.read(reader, 4096):
        done += len(chunk)
    os.close(reader)
    try:
        return False, int(unseal(path.read_bytes()).body[:10]) < done
    except (PersistError, OSError):
        return True, False


def wait_for_writes(reader: int, count: int) -> tuple[int, float]:
    """Wait for so many writes; how many were done, and how long the last took."""
    done, took, before = 0, 0.0, time.perf_counter()
    while done < count:
        done += len(os.read(reader, 1))
        now = time.perf_counter()
        took, before = now - before, now
    return done, took


def main() -> None:
    folder, count, seed, kind = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    rng = random.Random(seed)
    results = [kill_once(folder / "state", rng, is_sealed=kind == "sealed") for _ in range(count)]
    print(sum(unreadable for unreadable, _ in results), sum(stale for _, stale in results))


if __name__ == "__main__":
    main()
