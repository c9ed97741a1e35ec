"""What was seen of each peer, cell by cell, and how it is printed.

A cell is one word: `yes` when the peer does what the BEP says, else what it does instead. What it does instead must be
in the table of known deviations (known.py) with a reason: a deviation that has gone fails as loudly as a new one.
"""
from __future__ import annotations

from collections.abc import Iterator

from tests.interop.known import KNOWN
from tests.interop.peers import KINDS

YES = "yes"


class Matrix:
    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], dict[str, str]] = {}

    def check(self, direction: str, feature: str, peer: str, seen: str) -> None:
        """Note what was seen; fails unless it is what is known."""
        expected = expected_word(direction, feature, peer)
        self.note(direction, feature, peer, seen if seen == expected else f"{seen}!")
        assert seen == expected, f"{peer}, {direction}: {feature} is {seen!r}; known is {expected!r}"

    def note(self, direction: str, feature: str, peer: str, word: str) -> None:
        self._cells.setdefault((direction, feature), {})[peer] = word

    def cells(self) -> list[tuple[str, str, str, str]]:
        """Direction, feature, peer and word of each, as `note` takes them."""
        return [(*key, peer, word) for key, row in self._cells.items() for peer, word in row.items()]

    def lines(self) -> Iterator[str]:
        """The table, and below it the reasons of all that is not `yes`."""
        names = list(KINDS)
        width = max((len(feature) for _, feature in self._cells), default=0)
        columns = {name: max([len(name), *(len(row.get(name, "")) for row in self._cells.values())]) for name in names}
        last = None
        for (direction, feature), row in self._cells.items():
            if direction != last:
                yield f"{direction:{width}}  " + "  ".join(f"{name:{columns[name]}}" for name in names)
                last = direction
            yield f"{feature:{width}}  " + "  ".join(f"{row.get(name, ''):{columns[name]}}" for name in names)
        yield from self._reasons()

    def _reasons(self) -> Iterator[str]:
        for key, row in self._cells.items():
            for peer, (word, reason) in KNOWN.get(key, {}).items():
                if row.get(peer) == word:
                    yield f"{peer}, {key[0]}, {key[1]}: {word}: {reason}"

    def __bool__(self) -> bool:
        return bool(self._cells)


def expected_word(direction: str, feature: str, peer: str) -> str:
    return KNOWN.get((direction, feature), {}).get(peer, (YES, ""))[0]
