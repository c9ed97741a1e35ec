"""From visits to sessions: when each node of a cohort came and went, as far as that was seen. Rate class: lookup.

Theory of operation. A node is UNKNOWN, UP or DOWN.
  UNKNOWN → UP    it answered: its session had begun before, nobody knows when (left-censored)
  UNKNOWN → DOWN  it missed two visits in a row
  DOWN → UP       it answered: a session has begun, half-way between the last missed visit and this one
  UP → DOWN       it missed two visits in a row: the session ended, half-way between the last answer and the first miss
  any → UNKNOWN   nobody looked for more than two and a half rounds: what was open is right-censored
What was not observed is no visit: it never moves a node. The fate of a node is decided only by the visit after, so
a session that is cut off counts up to the last answer that was followed by another look: were it longer for those
who answer to the end, those who had just died would be censored earlier, and deaths of the last round be missing.
Source: Stutzbach and Rejaie, "Understanding Churn in Peer-to-Peer Networks" (IMC 2006), section 3.
"""
from __future__ import annotations

from array import array
from typing import NamedTuple

MISSES = 2              # in a row: one may be lost datagrams, both of a visit, or a node that starts anew
BLIND_ROUNDS = MISSES + 0.5     # who vanishes for MISSES rounds has gone; so a longer gap may hide it
UNKNOWN, UP, DOWN = range(3)


class Session(NamedTuple):
    """One stay of one node (its number in the cohort); Unix time in µs."""

    node: int
    start_us: int
    end_us: int
    left_censored: bool         # it had begun before
    right_censored: bool        # it went on
    visits: int                 # answered

    @property
    def seconds(self) -> float:
        return (self.end_us - self.start_us) / 1e6


class Tracker:
    """Turns observed visits into sessions; `sessions` holds those that have ended.

    Memory: 50 bytes per node, and a tuple per session: at most one for every three rounds and node.
    """

    def __init__(self, nodes: int, every_us: int) -> None:
        self.sessions: list[Session] = []
        self.gone: list[int] = []                       # nodes whose session has ended, until somebody takes them
        self.states = bytearray(nodes)
        self.first = bytearray(nodes)                   # what was first known of each: UP, DOWN, or nothing yet
        self._blind_us = int(BLIND_ROUNDS * every_us)
        self._misses = bytearray(nodes)
        self._is_left = bytearray(nodes)
        self._seen = array("q", bytes(8 * nodes))       # the last visit, answered or not
        self._missed = array("q", bytes(8 * nodes))     # the first of the misses in a row; DOWN: the last
        self._start = array("q", bytes(8 * nodes))
        self._alive = array("q", bytes(8 * nodes))      # the last answer
        self._settled = array("q", bytes(8 * nodes))    # the last answer that was followed by a visit
        self._visits = array("l", bytes(array("l").itemsize * nodes))

    def answered(self, node: int, now_us: int) -> None:
        """A visit that found the node there."""
        self._look(node, now_us)
        if self.states[node] != UP:
            is_known = self.states[node] == DOWN
            self._open(node, (self._missed[node] + now_us) // 2 if is_known else now_us, is_left=not is_known)
        self._misses[node] = 0
        self._alive[node] = now_us
        self._visits[node] += 1

    def missed(self, node: int, now_us: int) -> None:
        """A visit that found nobody, or somebody else."""
        self._look(node, now_us)
        if self.states[node] == DOWN:
            self._missed[node] = now_us
            return
        self._misses[node] += 1
        if self._misses[node] == 1:
            self._missed[node] = now_us
        if self._misses[node] < MISSES:
            return
        if self.states[node] == UP:
            self._close(node, (self._alive[node] + self._missed[node]) // 2, is_right=False)
            self.gone.append(node)
        self.states[node] = DOWN
        self.first[node] = self.first[node] or DOWN
        self._missed[node] = now_us

    def is_trusted(self, node: int, now_us: int) -> bool:
        """Whether the node answered when it was last observed, lately: it will answer again, if all is well."""
        return (self.states[node] == UP and not self._misses[node]
                and now_us - self._seen[node] <= self._blind_us)

    def finish(self) -> None:
        """The end of it all: sessions still open are right-censored."""
        for node in range(len(self.states)):
            if self.states[node] == UP:
                self._break_off(node)

    def _look(self, node: int, now_us: int) -> None:
        """Before anything else: what was open too long ago is cut off; what was not yet settled now is."""
        if self._seen[node] and now_us - self._seen[node] > self._blind_us:
            if self.states[node] == UP:
                self._break_off(node)
            self.states[node] = UNKNOWN
            self._misses[node] = 0
        self._settled[node] = self._alive[node]
        self._seen[node] = now_us

    def _open(self, node: int, start_us: int, *, is_left: bool) -> None:
        self.states[node] = UP
        self.first[node] = self.first[node] or UP
        self._start[node] = start_us
        self._is_left[node] = is_left
        self._visits[node] = 0
        self._settled[node] = start_us

    def _break_off(self, node: int) -> None:
        self._close(node, max(self._settled[node], self._start[node]), is_right=True)
        self.states[node] = UNKNOWN

    def _close(self, node: int, end_us: int, *, is_right: bool) -> None:
        self.sessions.append(Session(node, self._start[node], end_us, bool(self._is_left[node]), is_right,
                                     self._visits[node]))
