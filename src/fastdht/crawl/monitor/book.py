"""What visits tell, kept as they come: sessions, rounds, changes of ids. Rate class: lookup.

The same whether visits are made or read from the disk, so that a monitor that goes on after a crash is where it was.
"""
from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastdht.config import SECOND_US
from fastdht.crawl.monitor.sessions import DOWN, UP, Session, Tracker
from fastdht.crawl.monitor.settings import Member
from fastdht.crawl.monitor.store import describe
from fastdht.crawl.monitor.survival import Survival
from fastdht.crawl.monitor.visitor import ALIVE, CUT_SHORT, ERROR, OUTCOMES, RENAMED, Visit
from fastdht.errors import PersistError

NO_VISITS = "no visits"
READ_COLUMNS = ("round", "t", "ip", "port", "id", "outcome", "seen_id", "unobserved")


@dataclass(slots=True)
class RoundCount:
    """The observed visits of a round by outcome, and why others were not."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    reason: str = ""

    @property
    def visits(self) -> int:
        return sum(self.outcomes.values())

    @property
    def availability(self) -> float | None:
        return self.outcomes[ALIVE] / self.visits if self.visits else None


class Book:
    """Takes visits, in order of time for each node."""

    def __init__(self, members: Sequence[Member], every_us: int) -> None:
        self.members = members
        self.tracker = Tracker(len(members), every_us)
        self.rounds: dict[int, RoundCount] = {}
        self.visits = 0
        self.unobserved = 0
        self.id_changes = 0
        self.renamed: set[int] = set()      # nodes that have ever answered under another id
        self._ids: dict[int, bytes] = {}    # of nodes whose last answer came under another id: that id
        self._observed = array("l", bytes(array("l").itemsize * len(members)))

    def add(self, number: int, visit: Visit, reason: str = "") -> None:
        """One visit of round `number`; with a reason, it was not observed."""
        self.visits += 1
        count = self.rounds.setdefault(number, RoundCount())
        if reason:
            self.unobserved += 1
            count.reason = reason
            return
        count.outcomes[visit.outcome] += 1
        self._observed[visit.node] += 1
        if visit.outcome == ALIVE:
            self.tracker.answered(visit.node, visit.time_us)
            self.id_changes += self._ids.pop(visit.node, None) is not None
        elif visit.outcome != ERROR:        # an error is no proof that he lives, nor that he is gone
            self.tracker.missed(visit.node, visit.time_us)
        if visit.outcome == RENAMED and visit.seen is not None:
            self.renamed.add(visit.node)
            self.id_changes += self._ids.get(visit.node) != visit.seen
            self._ids[visit.node] = visit.seen

    def replay(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in what `visit_row` wrote. Raises PersistError for a node that is not in the cohort."""
        numbers = {(where["ip"], where["port"], where["id"]): node
                   for node, where in enumerate(map(describe, self.members))}
        for row in rows:
            node = numbers.get((row["ip"], row["port"], row["id"]))
            if node is None or row["outcome"] not in OUTCOMES:
                raise PersistError(f"parts/visits has a row that fits no node of the cohort: {row}")
            seen = bytes.fromhex(row["seen_id"]) if row["seen_id"] else None
            visit = Visit(node, round(row["t"] * SECOND_US), row["outcome"], seen, 0, 0)
            self.add(row["round"], visit, row["unobserved"] or "")

    def finish(self) -> None:
        """No more visits: what is open is cut off."""
        self.tracker.finish()

    def summary(self) -> dict[str, Any]:
        """For JSON; after `finish`."""
        sessions = self.tracker.sessions
        shares = [share for _, count in sorted(self.rounds.items()) if (share := count.availability) is not None]
        begun = [each for each in sessions if not each.left_censored]
        return {
            "cohort": len(self.members), "rounds_observed": len(shares), "visits": self.visits,
            "unobserved_visits": self.unobserved,
            "availability": {"mean": mean(shares), "first": mean(shares[:1]), "last": mean(shares[-1:]),
                             "lowest": rounded(min(shares, default=None))},
            "alive_at_start": self.tracker.first.count(UP), "dead_at_start": self.tracker.first.count(DOWN),
            "never_answered": len(self.members) - len({each.node for each in sessions}),
            "never_observed": self._observed.count(0),
            "sessions_seen": len(sessions), "renamed_nodes": len(self.renamed), "id_changes": self.id_changes,
            "sessions": Survival((each.seconds, not each.right_censored) for each in begun).as_dict(),
            "residual": Survival((each.seconds, not each.right_censored) for each in first_stays(sessions)).as_dict()}

    def session_rows(self) -> Iterable[dict[str, Any]]:
        for each in self.tracker.sessions:
            yield {**describe(self.members[each.node]), "start": each.start_us / SECOND_US,
                   "end": each.end_us / SECOND_US, "left_censored": each.left_censored,
                   "right_censored": each.right_censored, "visits": each.visits}

    def round_rows(self, rounds: int, started_us: int, every_us: int) -> Iterable[dict[str, Any]]:
        """A row for each of the first `rounds`, whether it was visited or not."""
        for number in range(rounds):
            count = self.rounds.get(number, RoundCount(reason=NO_VISITS))
            missing = len(self.members) - count.visits
            reason = (count.reason or CUT_SHORT) if missing else None
            yield {"round": number, "t": (started_us + number * every_us) / SECOND_US, "visits": count.visits,
                   **count.outcomes, "unobserved": missing, "reason": reason}


def visit_row(number: int, visit: Visit, where: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """A visit as a row; `where` says of which node."""
    return {"round": number, "t": visit.time_us / SECOND_US, **where, "outcome": visit.outcome,
            "seen_id": visit.seen.hex() if visit.seen is not None else None, "rtt_us": visit.rtt_us,
            "tries": visit.tries, "unobserved": reason or None}


def first_stays(sessions: Iterable[Session]) -> Iterable[Session]:
    """Of each node the session that was under way when it was first met: what was left of it."""
    met: set[int] = set()
    for each in sessions:
        if each.node not in met and each.left_censored:
            yield each
        met.add(each.node)


def mean(shares: Sequence[float]) -> float | None:
    return rounded(sum(shares) / len(shares)) if shares else None


def rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
