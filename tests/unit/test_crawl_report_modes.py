"""The report's pages of every mode against directories written by hand, and its intervals against known totals."""
from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

import numpy
import pyarrow

from fastdht.crawl.records import FORMATS, SWARM_COLUMNS
from fastdht.crawl.report.columns import even_bins, octaves, read_table
from fastdht.crawl.report.content import Page, Section
from fastdht.crawl.report.harvest_error import total_interval
from fastdht.crawl.report.page import began, build, read_source, write_report
from fastdht.crawl.report.samples import NAMES, Samples, number_samples
from fastdht.crawl.tables import TableSink
from fastdht.errors import PersistError
from tests.conftest import SEED
from tests.report_kit import HOSTILE, WRITERS, write_census, write_monitor, write_notes, write_peers, write_size

NO_BREAK = "\N{NO-BREAK SPACE}"


def page_of(mode: str, folder: Path) -> Page:
    return build(read_source(WRITERS[mode](folder)))


def facts(page: Page) -> dict[str, str]:
    """Name → value and remark, as they are read."""
    return {name: f"{value} {remark}".strip().replace(NO_BREAK, " ") for name, value, remark in page.facts}


def section(page: Page, heading: str) -> Section:
    (found,) = [each for each in page.sections if each.heading == heading]
    return found


def rows(page: Page, heading: str) -> list[tuple[str, ...]]:
    table = section(page, heading).table
    assert table is not None
    return [tuple(cell.replace(NO_BREAK, " ") for cell in row) for row in table.rows]


def test_census_page_has_recall_replies_and_what_was_not_done(tmp_path: Path) -> None:
    page = page_of("census", tmp_path)
    figures = facts(page)
    assert figures["Nodes found"] == "3,000 of 6,000 heard of"
    assert figures["Recall, estimated"] == "95.0 % 95 %: 93.0 % to 97.0 %"
    assert figures["Answered"].startswith("55.6 %")
    assert ("reachable, estimated", "", "3,158") in rows(page, "Recall")
    assert ("bogon", "0.1 %", "3") in rows(page, "Reply quality")
    assert any("51 (samples) was not measured" in line for line in page.undone)
    assert not any("Recall was not" in line for line in page.undone)


def test_census_without_a_recall_estimate_says_so(tmp_path: Path) -> None:
    WRITERS["census"](tmp_path)
    write_notes(tmp_path, {"state": "partial", "reason": "time"}, {"sent": 9, "answered": 6})
    page = build(read_source(tmp_path))
    assert facts(page)["Recall, estimated"] == "not measured"
    assert "Recall" not in [each.heading for each in page.sections]
    assert any("Recall was not" in line for line in page.undone)


def test_harvest_page_counts_what_was_seen(tmp_path: Path) -> None:
    page = page_of("harvest", tmp_path)
    figures = facts(page)
    assert figures["Infohashes seen"] == "30 in 40 samples"
    assert figures["Coverage of this sweep"] == "25.0 %"
    assert rows(page, "How many there are") == [("seen", "", "30"), ("at least (Chao)", "", "60"), ("in all", "", "120")]
    assert section(page, "New per answer").text.endswith("20.0 at first, 5.0 at last.")
    assert rows(page, "Interval") == [("60.0 min", "100.0 %", "3")]
    assert ("nodes left alone: their interval had not ended", "4") in rows(page, "Questions for samples")


def test_peers_page_has_the_distribution_and_the_largest(tmp_path: Path) -> None:
    page = page_of("peers", tmp_path)
    assert section(page, "Peers found of an infohash").text == "Mean 101.0, median 2, most 400."
    assert rows(page, "Largest swarms")[0] == (f"{3:040x}", "400")
    assert rows(page, "How look-ups ended") == [("done", "75.0 %", "3"), ("late: its time was over", "25.0 %", "1")]
    assert facts(page)["Peers found"] == "404 kept as keyed hashes"


def test_scrape_page_has_bounds_and_open_ends(tmp_path: Path) -> None:
    page = page_of("scrape", tmp_path)
    assert rows(page, "Largest swarms")[:2] == [
        (f"{2:040x}", "7,000 (6,000 to ?)", "3 (2 to 4)"), (f"{0:040x}", "100 (90 to 110)", "20 (15 to 30)")]
    figures = dict(rows(page, "How sure"))
    assert figures["half the width of the bounds of seeds, in the median"] == "10.0 %"      # (110 - 90) / 2 of 100
    assert figures["answers that had filters (BEP 33)"] == "75.0 %"


def test_metadata_page_has_results_errors_and_kinds(tmp_path: Path) -> None:
    page = page_of("metadata", tmp_path)
    figures = facts(page)
    assert figures["Fetched"] == "2 50.0 % of 4 hashes"
    assert figures["Content described"] == "1 GiB never fetched"
    assert rows(page, "Why the others failed") == [("refused the connection", "50.0 %", "1")]
    assert {row[0]: row[2] for row in rows(page, "Kinds of torrents")} == {
        "version hybrid": "1", "version v1": "1", "asks not to be found by the DHT (BEP 27)": "1"}


def test_running_monitor_is_told_from_its_visits(tmp_path: Path) -> None:
    page = page_of("monitor", tmp_path)
    figures = facts(page)
    assert figures["Nodes visited"] == "4 1 not there at the start, 1 never"
    assert figures["Rounds"] == "6 6 observed, one every 60.0 s"
    assert figures["Online"].startswith("62.5 %")                       # three rounds of 3/4, three of 2/4
    assert "1 of 3 have ended" in section(page, "What is left of sessions").text
    assert "too few" in section(page, "How long sessions last").text
    assert "7.0 of the eight" in section(page, "Target ababababab…").text


def test_size_page_has_the_methods_side_by_side(tmp_path: Path) -> None:
    page = page_of("size", tmp_path)
    assert facts(page)["Nodes, estimated"] == "5,000 90 %: 4,900 to 5,100"
    assert rows(page, "Estimates side by side") == [
        ("zones", "4,900", "5,100", "5,000"), ("closest nodes", "4,200", "7,000", "5,500"),
        ("capture and recapture", "4,800", "5,150", "4,950")]
    assert section(page, "Zones: what is assumed").lines == ["of zone"]


@pytest.mark.parametrize("mode", WRITERS)
def test_page_of_every_mode_is_self_contained_and_silent(mode: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(WRITERS[mode](tmp_path / "<i>$x$"), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in html
    assert "<script" not in html and "<i>" not in html
    assert all(link.startswith("#") for link in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', html))
    assert not re.search(r"@import|url\((?!#)", html)
    assert "<svg " in html and "NaN" not in html and "nan " not in html
    for colour in ("#010101", "#020202", "#030303"):
        assert colour not in html                       # all follow light and dark mode


@pytest.mark.parametrize(("note", "expected"), [
    ({"state": "complete"}, None), ({"state": "running"}, "Partial: this has not ended"),
    ({"state": "partial"}, "Partial: stopped before its end."), ({"state": "partial", "reason": "time"}, "Partial: time."),
    ({"state": "failed"}, "Failed: ended by an error."),
])
def test_page_says_why_it_is_partial(tmp_path: Path, note: dict[str, str], expected: str | None) -> None:
    write_peers(tmp_path)
    write_notes(tmp_path, {"mode": "peers", **note}, None)
    write_report(tmp_path, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (expected is None) == ("notice\">" not in html)
    assert expected is None or f'notice">{expected}' in html


@pytest.mark.parametrize("mode", WRITERS)
@pytest.mark.parametrize("state", ["running", "failed"])
def test_directory_that_holds_only_its_note_has_a_page(mode: str, state: str, tmp_path: Path) -> None:
    note = json.loads((WRITERS[mode](tmp_path / "whole") / "crawl.json").read_text())
    write_notes(tmp_path / "bare", {**note, "state": state}, None)
    write_report(tmp_path / "bare", tmp_path / "page.html")
    assert "notice\">" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "expected"), [
    ("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "2022-02-22 19:22 UTC"),       # the example of RFC 9562, A.6
    ("017f22e279b07cc398c4dc0c0c07398f", ""), ("919108f7-52d1-4320-9bac-f847db4148a8", ""), ("?", ""), (7, ""), (None, ""),
])
def test_time_of_the_beginning_comes_from_the_id(name: object, expected: str) -> None:
    assert began({"id": name}) == expected


def test_mode_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PersistError, match="mode 'dance'; reports are of census"):
        build(read_source(write_notes(tmp_path, {"mode": "dance"}, None)))


@pytest.mark.parametrize("broken", ["[1]\n", '{"peers": "many"}\n', "not JSON\n", '{"peers": 3}\n'])
def test_part_that_is_none_is_named(tmp_path: Path, broken: str) -> None:
    write_peers(tmp_path)
    part = tmp_path / "parts" / "swarms" / "part-0.jsonl"
    part.write_text(broken)
    with pytest.raises(PersistError, match=re.escape(str(part))):
        build(read_source(tmp_path))


def test_summary_of_other_kinds_is_refused(tmp_path: Path) -> None:
    write_notes(write_size(tmp_path), {"mode": "size"}, {"methods": [1, 2]})
    with pytest.raises(PersistError, match="not what fastdht writes"):
        build(read_source(tmp_path))


def test_monitor_without_its_settings_is_refused(tmp_path: Path) -> None:
    write_notes(write_monitor(tmp_path), {"mode": "monitor"}, None)
    with pytest.raises(PersistError, match="config"):
        build(read_source(tmp_path))


@pytest.mark.parametrize(("values", "expected"), [
    ([], []), ([0, 0], [(0, 2)]), ([1, 2, 3, 4, 7, 8], [(1, 1), (2, 2), (4, 2), (8, 1)]), ([0, 4], [(0, 1), (1, 0), (2, 0),
                                                                                           (4, 1)]),
    ([5, None], [(4, 1)]),
])
def test_octaves_count_each_value_once(values: list[int], expected: list[tuple[int, int]]) -> None:
    assert octaves(pyarrow.chunked_array([pyarrow.array(values, pyarrow.int32())])) == expected


def test_even_bins_cover_all_values() -> None:
    column = pyarrow.chunked_array([pyarrow.array([8, 8, 9, 59], pyarrow.int32())])
    bins = dict(even_bins(column))
    assert sum(bins.values()) == 4
    assert bins["6"] == 2 and bins["9"] == 1 and bins["57"] == 1        # steps of three


def sweep(rng: numpy.random.Generator, hashes: int, nodes: int, replicas: int, share: float
          ) -> tuple[Samples, dict[str, Any]]:
    """One sweep of a network that is as the estimate assumes, and the estimate, summed up the slow way."""
    held = [[] for _ in range(nodes)]
    for number in range(hashes):
        for node in rng.choice(nodes, replicas, replace=False):
            held[node].append(number)
    rows, sightings, num_sum, samplers = [], {}, 0, 0
    for node in numpy.flatnonzero(rng.random(nodes) < share):
        samplers += 1
        shown = rng.permutation(held[node])[:20]
        num_sum += len(held[node])
        for number in shown:
            rows.append((f"{number:040x}", f"192.0.2.{node % 250}", node // 250 + 1, len(held[node]), 3600))
            sightings.setdefault(number, []).append(len(held[node]) / len(shown))
    pairs = sum((len(each) - 1) * sum(each) for each in sightings.values())
    others = pairs / sum(map(len, sightings.values()))
    real = samplers / nodes
    total = num_sum / ((1 + others / real) * real)
    table = pyarrow.table(dict(zip(NAMES, zip(*rows, strict=True), strict=True)))
    return number_samples(table), {"total": total, "infohashes": len(sightings), "samplers": samplers, "found": nodes, "doubted": 0}


def test_interval_of_a_harvest_holds_the_truth() -> None:
    rng = numpy.random.default_rng(SEED)
    held, widths = 0, []
    for _ in range(30):
        samples, summary = sweep(rng, hashes=2000, nodes=500, replicas=8, share=0.6)
        bounds = total_interval(samples, summary)
        assert bounds is not None
        held += bounds[0] <= 2000 <= bounds[1]
        widths.append((bounds[1] - bounds[0]) / 2000)
    assert held >= 24, f"{held} of 30; 28.5 are expected"               # one run in 1,000 has fewer, at 93 %
    assert max(widths) < 0.3


def test_few_nodes_have_no_interval() -> None:
    samples, summary = sweep(numpy.random.default_rng(SEED), hashes=50, nodes=100, replicas=4, share=0.6)
    assert total_interval(samples, summary) is None


def test_samples_are_numbered_across_chunks() -> None:
    chunks = [["b", "a", "b"], [], ["c", "a"], ["d"]]
    hashes = pyarrow.chunked_array([pyarrow.array(each, pyarrow.string()) for each in chunks])
    endpoints = [("x", 1), ("x", 1), ("x", 2), ("x", 2), ("y", 2), ("x", 2)]
    rows = pyarrow.table({"info_hash": hashes, "ip": [ip for ip, _ in endpoints], "port": [port for _, port in endpoints],
                          "num": [5, 5, 6, 6, 7, 8], "interval": [1, 1, 2, 2, 3, 4]})
    samples = number_samples(rows)
    assert list(samples.hashes) == [0, 1, 0, 2, 1, 3]
    assert list(samples.nodes) == [0, 0, 1, 1, 2, 3]
    assert list(samples.ends) == [1, 3, 4, 5]
    assert (list(samples.nums), list(samples.intervals), samples.distinct) == ([5, 6, 7, 8], [1, 2, 3, 4], 4)


def test_planted_crowd_is_an_alarm_on_the_page(tmp_path: Path) -> None:
    write_census(tmp_path)
    part = tmp_path / "parts" / "nodes" / "part-0.jsonl"
    planted = ({"ip": f"203.0.113.{i}", "port": 6881, "id": f"abc{i:037x}", "status": "ok", "rtt_us": 1000, "v": None,
                "bep42": False} for i in range(200))
    part.write_text(part.read_text() + "".join(json.dumps(row) + "\n" for row in planted))
    found = section(build(read_source(tmp_path)), "Spread over the key space")
    assert found.is_alarm
    assert found.table is not None
    assert [row[0] for row in found.table.rows] == ["ab…"]


def test_tables_of_both_formats_are_read_alike(tmp_path: Path) -> None:
    rows = [{"info_hash": f"{i:040x}", "peers": i, "asked": 9, "answered": 8, "outcome": "done"} for i in range(300)]
    tables = []
    for format_ in FORMATS:
        sink = TableSink(tmp_path / format_, "swarms", SWARM_COLUMNS, format_)
        for at in range(0, 300, 100):
            for row in rows[at:at + 100]:
                sink.add(row)
            sink.close()
        tables.append(read_table(tmp_path / format_, "swarms", SWARM_COLUMNS, ("info_hash", "peers", "outcome")))
    assert tables[0].equals(tables[1])
    assert tables[0].column("peers").to_pylist() == list(range(300))
