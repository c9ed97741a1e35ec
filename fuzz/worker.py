"""One target in a process of its own, under the sanitizers. Rate class: command.

A batch that takes ten seconds is a hang: the alarm ends the process, and the input under way is in the mapped file.
"""
from __future__ import annotations

import mmap
import signal
import sys
from pathlib import Path

from mutator import Mutator

CORPUS = Path(__file__).resolve().parent / "corpus"
CURRENT_SIZE = 8 + 8192         # a size and an input, as the targets lay them out
BATCH = {"parser": 20_000, "core": 1_000}
HANG_S = 30                     # a batch takes well under a second; other work may share the machine


def corpus() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.glob("*.bin"))]


def map_current(path: str) -> mmap.mmap:
    with open(path, "w+b") as file:
        file.truncate(CURRENT_SIZE)
        return mmap.mmap(file.fileno(), CURRENT_SIZE)


def run(target: str, seed: int, inputs: int, current: mmap.mmap, broken: bool) -> None:
    mutator = Mutator(corpus(), seed)
    if target == "parser":
        import parser_target

        def step(batch: int) -> None:
            parser_target.run(mutator, batch, current, broken)
    else:
        from fuzz.scene import Scene
        step = Scene(mutator, seed, current).run
    while inputs > 0:
        batch = min(BATCH[target], inputs)
        signal.alarm(HANG_S)
        step(batch)
        inputs -= batch
    signal.alarm(0)


def replay(path: str) -> None:
    import parser_target

    from fuzz.scene import Scene
    data = Path(path).read_bytes()
    print(f"{path}: {len(data)} bytes; {'decoded' if parser_target.feed_one(data) else 'refused'}")
    Scene.replay(data)
    print("nothing found")


def main() -> None:
    if sys.argv[1] == "replay":
        replay(sys.argv[2])
        return
    target, seed, inputs, current = sys.argv[1:5]
    run(target, int(seed), int(inputs), map_current(current), "--broken" in sys.argv)


if __name__ == "__main__":
    main()
