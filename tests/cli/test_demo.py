"""The demo's dealings with its child processes: failures in words, nothing left behind."""
from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import pytest

from fastdht.cli import demo

CRAWL = {"found": 990, "contacts": 1500, "sent": 2475, "msgs_per_found": 2.5, "rpc_per_s": 2000.4, "found_per_s": 800.0,
         "elapsed_s": 1.24, "kernel_drops": 0}
VERDICT = {"recall": 0.99996, "precision": 1.0}


def as_child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(demo, "command_line", lambda arguments: [sys.executable, "-c", code])


def test_running_swarm_when_ready_then_gives_entry_points_and_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_child(monkeypatch, "import os, time, json\n"
             "print(json.dumps({'nodes': 1, 'bootstrap': ['127.0.0.1:1'], 'pid': os.getpid()}), flush=True)\n"
             f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
             "time.sleep(60)")
    with demo.running_swarm(["swarm"], tmp_path / "log") as bootstrap:
        assert bootstrap == ["127.0.0.1:1"]
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            os.sched_yield()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_running_swarm_when_it_fails_then_its_last_words_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_child(monkeypatch, "import sys; sys.exit('address in use')")
    with pytest.raises(click.ClickException, match="exit code 1 before it was ready: address in use"):
        with demo.running_swarm(["swarm"], tmp_path / "log"):
            pytest.fail("a swarm that failed is not ready")


def test_running_swarm_when_never_ready_then_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "READY_SECONDS", 0.2)
    as_child(monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(click.ClickException, match="before it was ready"):
        with demo.running_swarm(["swarm"], tmp_path / "log"):
            pytest.fail("a silent swarm is not ready")


def test_run_for_json_when_last_line_is_json_then_returns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    as_child(monkeypatch, "print('progress'); print('{\"found\": 3}')")
    assert demo.run_for_json(["crawl", "census"]) == {"found": 3}


@pytest.mark.parametrize("output", ["nothing of use", "[1]", ""])
def test_run_for_json_when_no_object_then_says_what_came(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    as_child(monkeypatch, f"print({output!r})")
    with pytest.raises(click.ClickException, match="`fastdht crawl census` printed"):
        demo.run_for_json(["crawl", "census"])


def test_run_for_json_when_child_fails_then_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    as_child(monkeypatch, "raise SystemExit(3)")
    with pytest.raises(click.ClickException, match="`fastdht crawl verify` failed with exit code 3"):
        demo.run_for_json(["crawl", "verify", "x"])


def test_summary_when_recall_is_nearly_whole_then_is_not_rounded_up() -> None:
    rows = {row.name: row.value for row in demo.summarise(CRAWL, VERDICT)}
    assert rows["recall"] == "99.99 %"
    assert rows["precision"] == "100.00 %"
    assert rows["messages per found node"] == "2.50"
    assert rows["found"] == "990"
