"""A monitor in virtual time, against nodes whose comings and goings are known to the second."""
from __future__ import annotations

import asyncio
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fastdht.crawl.monitor.book import READ_COLUMNS
from fastdht.crawl.monitor.run import Monitor
from fastdht.crawl.monitor.store import FolderStore, Rows, read_rows
from fastdht.errors import ConfigError, PersistError
from fastdht.testing.builders import contact, node_id
from fastdht.testing.liars import honest
from fastdht.types import Contact, Endpoint
from tests.sim.monitor_kit import HOUR_S, UNIX_US, Village, config, make_plan, simulate, simulate_monitor

BEGIN_S = 1000.0            # of virtual time
ALWAYS = [(0.0, 1e9)]
NEVER: list[tuple[float, float]] = []


class Memory:
    """A store in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Any]] = {}

    def add(self, table: str, rows: Rows) -> None:
        self.tables.setdefault(table, []).extend(rows)

    def roll(self) -> None:
        return


# Fixed seeds: one in twenty bands at 95 % must miss. How often they do is tested in tests/unit/test_monitor_sessions.py.
@pytest.mark.parametrize("seed", [2, 3])
def test_median_session_lies_in_the_band_though_datagrams_are_lost(seed: int) -> None:
    """Sessions are exponential with a mean of 40 minutes: the median is 27.7. Two tries lose a visit in 2,600."""
    rng = Random(seed)
    plans = [make_plan(rng, 4 * HOUR_S, lambda draw: draw.expovariate(1 / 2400),
                       lambda draw: 300 + draw.expovariate(1 / 900)) for _ in range(150)]
    result, _ = simulate_monitor(seed, plans, config(duration_s=4 * HOUR_S), loss=0.01)
    found = result.findings
    assert (result.complete, result.rounds, found["rounds_observed"]) == (True, 240, 240)
    for kind, least in (("sessions", 400), ("residual", 70)):
        curve = found[kind]
        assert curve["ended"] >= least
        assert curve["median_low_s"] <= 2400 * math.log(2) <= curve["median_high_s"]
    assert found["availability"]["mean"] == pytest.approx(2400 / (2400 + 1200), abs=0.05)


def test_rows_are_the_visits_that_were_made() -> None:
    store = Memory()
    plans = [ALWAYS, NEVER, [(0.0, BEGIN_S + 330)], [(BEGIN_S + 630, 1e9)]]
    result, monitor = simulate_monitor(1, plans, config(duration_s=1200.0), store=store)
    visits = store.tables["visits"]
    assert len(visits) == 4 * 20
    assert result.findings["visits"] == 80
    alive = [sum(row["outcome"] == "alive" for row in visits if row["id"] == member.id.hex())
             for member in monitor.book.members]
    assert (alive[0], alive[1]) == (20, 0)
    assert 5 <= alive[2] <= 6 and 9 <= alive[3] <= 10
    assert all(row["rtt_us"] == 80_000 for row in visits if row["outcome"] == "alive")     # 40 ms each way
    assert {row["tries"] for row in visits if row["outcome"] == "silent"} == {2}
    assert result.sent == sum(row["tries"] for row in visits)
    assert (result.findings["alive_at_start"], result.findings["dead_at_start"]) == (2, 2)
    assert result.findings["never_answered"] == 1


def test_ends_and_starts_of_sessions_are_met_within_a_round() -> None:
    store = Memory()
    plans = [[(0.0, BEGIN_S + 330)], [(BEGIN_S + 630, 1e9)], *[ALWAYS] * 30]
    _, monitor = simulate_monitor(1, plans, config(duration_s=1200.0), store=store)
    gone, come = ([row for row in store.tables["sessions"] if row["id"] == member.id.hex()]
                  for member in monitor.book.members[:2])
    begin = UNIX_US / 1e6 + BEGIN_S
    assert gone[0]["end"] - begin == pytest.approx(330, abs=60)
    assert (gone[0]["left_censored"], gone[0]["right_censored"]) == (True, False)
    assert come[0]["start"] - begin == pytest.approx(630, abs=60)
    assert (come[0]["left_censored"], come[0]["right_censored"]) == (False, True)
    assert (len(gone), len(come)) == (1, 1)


@pytest.mark.parametrize(("outage_s", "sessions_each"), [(50.0, 1), (600.0, 2)])
def test_outage_of_our_own_is_no_death(outage_s: float, sessions_each: int) -> None:
    """A short one is bridged; a long one cuts sessions off, and ends none."""
    async def pull_the_plug(village: Village, monitor: Monitor) -> None:
        await asyncio.sleep(605)
        village.network.off()
        await asyncio.sleep(outage_s)
        village.network.on()

    store = Memory()
    result, monitor = simulate_monitor(4, [ALWAYS] * 300, config(duration_s=1800.0), during=pull_the_plug, store=store)
    sessions = monitor.book.tracker.sessions
    assert all(each.right_censored for each in sessions)
    assert len(sessions) <= sessions_each * 300
    assert result.findings["unobserved_visits"] > 0
    assert result.findings["availability"]["lowest"] > 0.5
    assert {row["reason"] for row in store.tables["rounds"]} <= {None, "no answers", "cut short"}


def test_outage_hides_who_died_in_it_but_not_that_he_is_gone() -> None:
    async def pull_the_plug(village: Village, monitor: Monitor) -> None:
        await asyncio.sleep(601)
        village.network.off()
        await asyncio.sleep(600)
        village.network.on()

    plans = [[(0.0, BEGIN_S + 900)], *[ALWAYS] * 40]
    result, monitor = simulate_monitor(4, plans, config(duration_s=2400.0), during=pull_the_plug)
    dead = [each for each in monitor.book.tracker.sessions if each.node == 0]
    assert len(dead) == 1 and dead[0].right_censored        # when it went is not known
    assert result.findings["availability"]["last"] == pytest.approx(40 / 41, abs=1e-4)


@pytest.mark.parametrize("stands_still", [False, True])
def test_sleeping_machine_observes_nothing_and_goes_on(stands_still: bool) -> None:
    """Whether or not the monotonic clock stands still while the machine sleeps."""
    async def sleep_an_hour(village: Village, monitor: Monitor) -> None:
        await asyncio.sleep(610)
        if stands_still:
            village.suspended_us = int(HOUR_S * 1e6)
        else:
            village.loop.clock.advance(int(HOUR_S * 1e6))

    store = Memory()
    result, monitor = simulate_monitor(5, [ALWAYS] * 50, config(duration_s=2 * HOUR_S), during=sleep_an_hour, store=store)
    assert all(each.right_censored for each in monitor.book.tracker.sessions)
    rounds = store.tables["rounds"]
    assert len(rounds) == 120 == result.rounds
    missed = [row["round"] for row in rounds if row["reason"] == "no visits"]
    assert len(missed) >= 58 and missed == list(range(missed[0], missed[0] + len(missed)))
    assert result.findings["availability"]["lowest"] == 1.0


def test_standstill_within_a_round_spoils_what_was_being_asked() -> None:
    async def stand_still(village: Village, monitor: Monitor) -> None:
        await asyncio.sleep(610)
        village.loop.clock.advance(10_000_000)

    store = Memory()
    simulate_monitor(5, [ALWAYS] * 50, config(duration_s=1200.0), during=stand_still, store=store)
    reasons = {row["round"]: row["unobserved"] for row in store.tables["visits"] if row["unobserved"]}
    assert reasons == {10: "standstill"}


def test_death_of_most_nodes_is_believed_in_the_end() -> None:
    """It looks like an outage; but others answer, and after two and a half rounds nobody is expected to."""
    plans = [*[[(0.0, BEGIN_S + 300)]] * 95, *[ALWAYS] * 5]
    result, _ = simulate_monitor(6, plans, config(duration_s=1800.0))
    assert result.findings["availability"]["last"] == pytest.approx(0.05)
    assert result.findings["unobserved_visits"] <= 400


def test_other_id_at_the_same_endpoint_is_not_the_node() -> None:
    async def rename(village: Village, monitor: Monitor) -> None:
        await asyncio.sleep(630)
        place = Endpoint.unpack(village.members[0].endpoint)
        village.network.remove(place)
        village.network.act(place, honest(node_id(99)))

    store = Memory()
    result, monitor = simulate_monitor(7, [ALWAYS] * 10, config(duration_s=1200.0), during=rename, store=store)
    assert (result.findings["renamed_nodes"], result.findings["id_changes"]) == (1, 1)
    own = [each for each in monitor.book.tracker.sessions if each.node == 0]
    assert len(own) == 1 and not own[0].right_censored
    seen = {row["seen_id"] for row in store.tables["visits"] if row["outcome"] == "renamed"}
    assert seen == {node_id(99).hex()}


def test_stop_ends_clean_and_cuts_sessions_off() -> None:
    async def stop(village: Village, monitor: Monitor) -> None:
        await asyncio.sleep(610)
        monitor.stop()

    store = Memory()
    result, monitor = simulate_monitor(8, [ALWAYS] * 20, config(), during=stop, store=store)
    assert (result.complete, result.reason) == (False, "stopped before its end")
    assert result.elapsed_s == pytest.approx(610, abs=2)
    assert all(each.right_censored for each in monitor.book.tracker.sessions)
    assert len(store.tables["sessions"]) == 20
    assert len(store.tables["visits"]) == result.findings["visits"]


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_monitor_that_was_killed_goes_on_where_it_was(tmp_path: Path, format_: str) -> None:
    """Its first half is on the disk; the second monitor knows it, and no round is visited twice."""
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    rng = Random(9)
    plans = [make_plan(rng, HOUR_S, lambda draw: draw.expovariate(1 / 900), lambda draw: 300 + draw.expovariate(1 / 300))
             for _ in range(40)]
    store = FolderStore(tmp_path, format_)

    async def go_on(village: Village) -> Monitor:
        first = village.monitor(config(duration_s=1800.0), store)
        await first.run()
        await asyncio.sleep(120)
        again = FolderStore(tmp_path, format_)
        again.forget(("sessions", "rounds"))
        second = village.monitor(config(duration_s=HOUR_S), again, started_us=first.started_us)
        second.replay(read_rows(tmp_path, "visits", READ_COLUMNS))
        await second.run()
        return second

    second = simulate(9, plans, go_on)
    undisturbed = simulate_monitor(9, plans, config(duration_s=HOUR_S))[1]
    visits = list(read_rows(tmp_path, "visits", ("round", "ip", "port", "outcome")))
    assert len({(row["round"], row["ip"], row["port"]) for row in visits}) == len(visits)
    rounds = {row["round"]: row for row in read_rows(tmp_path, "rounds", ("round", "reason", "alive"))}
    assert sorted(rounds) == list(range(60))
    missed = {number for number, row in rounds.items() if row["reason"] == "no visits"}
    assert missed in ({30, 31}, {30, 31, 32})
    for number in set(rounds) - missed:
        assert abs(rounds[number]["alive"] - undisturbed.book.rounds[number].outcomes["alive"]) <= 1
    assert sum(not each.right_censored for each in second.book.tracker.sessions) >= 40


def test_node_that_changed_its_address_is_found_by_its_id() -> None:
    people = [contact(number, 7) for number in range(20)]
    new_place = Endpoint("99.9.9.9", 7777)

    async def move(village: Village, monitor: Monitor) -> None:
        await asyncio.sleep(300)
        moved = people[3]
        named = [each for each in people if each != moved] + [Contact(moved.id, new_place)]
        for each in people:
            village.network.remove(each.endpoint)
            if each != moved:
                village.network.act(each.endpoint, honest(each.id, named))
        village.network.act(new_place, honest(moved.id, named))

    store = Memory()
    result, _ = simulate_monitor(10, [ALWAYS] * 20, config(duration_s=900.0, follow=16), store=store,
                                 during=move)
    assert (result.findings["gone_looked_up"], result.findings["address_changes"]) == (1, 1)
    moves = store.tables["moves"]
    assert [(row["id"], row["new_ip"], row["new_port"]) for row in moves] == [
        (people[3].id.hex(), new_place.ip, new_place.port)]


def test_nobody_to_visit_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        Monitor(config(), [])


def test_disk_that_refuses_ends_the_monitor() -> None:
    class Full(Memory):
        def add(self, table: str, rows: Rows) -> None:
            raise PersistError("cannot write parts: no space left")

    with pytest.raises(PersistError, match="no space left"):
        simulate_monitor(11, [ALWAYS] * 5, config(), store=Full())
