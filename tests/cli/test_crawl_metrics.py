"""`--metrics` of a crawl: what Prometheus is told, and the dashboard and table that name it."""
from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastdht.testing.swarm import Swarm
from tests.meta.sources import ROOT

pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

from fastdht.cli.crawl_metrics import METRICS, PREFIX

DASHBOARD = ROOT / "docs" / "grafana" / "fastdht-crawl.json"
NAME = re.compile(PREFIX + r"(\w+)")
NODES = 1000


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    with Swarm(NODES, 22) as started:
        yield started


def crawl(swarm: Swarm, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fastdht", "crawl", *options, "--allow-net", "127.0.0.0/8", "--bootstrap",
         ",".join(swarm.bootstrap), "--json"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def read_metrics(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {sample.name: sample.value for family in families for sample in family.samples}


def test_metrics_of_a_census_grow_towards_its_summary(swarm: Swarm) -> None:
    process = crawl(swarm, "census", "--rate", "400", "--metrics", ":0")
    assert process.stderr is not None
    url = re.findall(r"http://127\.0\.0\.1:\d+/metrics", process.stderr.readline())[0]
    while "found" not in process.stderr.readline():     # the first line of progress: from here on there are figures
        pass
    first, second = read_metrics(url), read_metrics(url)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    summary = json.loads(output.splitlines()[-1])
    for name in ("found", "sent", "answered"):
        assert 0 < first[f"{PREFIX}{name}_total"] <= second[f"{PREFIX}{name}_total"] <= summary[name]
    assert 0 < first[PREFIX + "rate_packets_per_second"] <= 400 * 1.05
    assert first[PREFIX + "pass"] == 1
    assert summary["found"] <= NODES


def test_metrics_when_the_address_is_taken_then_is_one_line(swarm: Swarm) -> None:
    process = crawl(swarm, "census", "--rate", "400", "--metrics", ":0")
    assert process.stderr is not None
    port = re.findall(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())[0]
    second = crawl(swarm, "census", "--rate", "400", "--metrics", f":{port}")
    output, errors = second.communicate(timeout=30)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (second.returncode, output, len(errors.splitlines())) == (2, "", 1), errors
    assert port in errors


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_dashboard_shows_every_metric_and_no_other() -> None:
    assert {name for expression in expressions() for name in NAME.findall(expression)} == METRICS.keys()


def test_dashboard_has_a_place_of_its_own_for_every_panel() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    squares = [(panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y) for panel in dashboard["panels"]
               for x in range(panel["gridPos"]["w"]) for y in range(panel["gridPos"]["h"])]
    assert len(set(ids)) == len(ids)
    assert len(set(squares)) == len(squares)
    assert all(0 <= x < 24 for x, _ in squares)


def test_documentation_lists_every_metric() -> None:
    text = Path(ROOT, "docs", "crawl.md").read_text()
    table = text[text.index("## Seeing"):].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == METRICS.keys()
