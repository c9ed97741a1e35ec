"""Directories of every crawl mode, small and written by hand, whose figures can be counted on fingers."""
from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

HOSTILE = "<script>alert(1)</script> $x_{$"
EVERY_S = 60.0


def write_notes(folder: Path, note: Mapping[str, Any], summary: Mapping[str, Any] | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "crawl.json").write_text(json.dumps({"state": "complete", "command": HOSTILE, **note}))
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def write_rows(folder: Path, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    parts = folder / "parts" / table
    parts.mkdir(parents=True, exist_ok=True)
    (parts / "part-0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_census(folder: Path, nodes: int = 3000, seed: int = 1) -> Path:
    rng = random.Random(seed)
    write_rows(folder, "nodes", (
        {"ip": f"198.51.{rng.randrange(100)}.{rng.randrange(250)}", "port": 6881, "id": rng.randbytes(20).hex(),
         "status": "ok", "rtt_us": int(rng.lognormvariate(11, 1)), "v": "24240001" if i == 7 else "4c54020b",
         "bep42": i % 2 == 0} for i in range(nodes)))
    (folder / "timeline.jsonl").write_text("".join(
        json.dumps({"elapsed_s": i, "sent": 900 * i, "found": 300 * i, "contacts": 600 * i, "rate": 900.0,
                    "found_rate": 300.0}) + "\n" for i in range(11)))
    return write_notes(folder, {}, {
        "sent": 9000, "answered": 5000, "timeouts": 3600, "contacts": 6000, "elapsed_s": 12.0, "filtered": {"bogon": 3},
        "recall_estimate": 0.95, "recall_low": 0.93, "recall_high": 0.97, "reachable_estimate": 3158})


def write_harvest(folder: Path) -> Path:
    """Three nodes: 40 samples, of which 20 are shown twice and so 30 infohashes are different."""
    shown = {1: range(20), 2: range(10, 25), 3: range(25, 30)}
    write_rows(folder, "samples", (
        {"info_hash": f"{number:040x}", "ip": f"192.0.2.{node}", "port": 6881, "num": 32 * node, "interval": 3600,
         "t": 1_700_000_000} for node, numbers in shown.items() for number in numbers))
    return write_notes(folder, {"mode": "harvest"}, {
        "mode": "harvest", "found": 10, "contacts": 20, "sent": 30, "answered": 15, "timeouts": 15, "filtered": {},
        "elapsed_s": 2.0, "sample_queries": 20, "not_due": 4, "refused": 5, "fallbacks": 5, "samplers": 3, "samples": 40,
        "samples_lost": 0, "num_sum": 192, "infohashes": 30, "replicas": 4.5, "total": 120.0, "total_chao2": 60.0,
        "coverage": 0.25, "doubted": 0, "new_per_query": 1.5, "assumptions": ["nodes tell the truth"]})


def write_peers(folder: Path) -> Path:
    rows = [(0, 8, "done"), (1, 8, "done"), (3, 10, "done"), (400, 40, "late")]
    write_rows(folder, "swarms", (
        {"info_hash": f"{i:040x}", "peers": peers, "asked": asked, "answered": 8, "outcome": outcome}
        for i, (peers, asked, outcome) in enumerate(rows)))
    return write_notes(folder, {"mode": "peers", "anonymize": "hmac", "state": "partial"}, {
        "mode": "peers", "infohashes": 4, "with_peers": 3, "unanswered": 0, "peers": 404, "sent": 66, "answered": 32,
        "msgs_per_hash": 16.5, "hashes_per_s": 2.0, "elapsed_s": 2.0, "complete": False, "seeds": 0, "saturated": 0})


def write_scrape(folder: Path) -> Path:
    rows = [(100, 90, 110, 20, 15, 30, False), (0, 0, 0, 1, 1, 2, False), (7000, 6000, None, 3, 2, 4, True)]
    names = ("seeds", "seeds_low", "seeds_high", "downloaders", "downloaders_low", "downloaders_high", "is_saturated")
    write_rows(folder, "scrapes", (
        {"info_hash": f"{i:040x}", **dict(zip(names, row, strict=True)), "filters": 6, "asked": 10, "answered": 8,
         "outcome": "done"} for i, row in enumerate(rows)))
    return write_notes(folder, {"mode": "scrape"}, {
        "mode": "scrape", "infohashes": 3, "with_peers": 3, "unanswered": 0, "peers": 24, "seeds": 7100, "sent": 30,
        "answered": 24, "msgs_per_hash": 10.0, "hashes_per_s": 3.0, "elapsed_s": 1.0, "complete": True, "saturated": 1})


def write_metadata(folder: Path) -> Path:
    common = {"name": HOSTILE, "piece_length": 16384, "peers": 2, "tried": 1, "error": None}
    rows = [
        {**common, "status": "ok", "size": 1000, "files": 1, "private": True, "version": "v1", "metadata_size": 100,
         "seconds": 0.5, "client": HOSTILE},
        {**common, "status": "ok", "size": 1 << 30, "files": 30, "private": False, "version": "hybrid",
         "metadata_size": 5000, "seconds": 1.5, "client": "\u65e5\u672c"},
        {"status": "failed", "peers": 2, "tried": 2, "seconds": 9.0, "error": "refused the connection"},
        {"status": "no_peers", "peers": 0, "tried": 0, "seconds": 0.1},
    ]
    write_rows(folder, "metadata", ({"info_hash": f"{i:040x}", **row} for i, row in enumerate(rows)))
    return write_notes(folder, {"mode": "metadata"}, {
        "hashes": 4, "fetched": 2, "bytes": 5100, "elapsed_s": 4.0, "fetched_per_s": 0.5,
        "by_status": {"ok": 2, "failed": 1, "no_peers": 1}, "connections": {"ok": 2, "refused": 2}})


def write_monitor(folder: Path) -> Path:
    """One that still runs: of four nodes two stay, one goes after the third of six rounds, one never was there."""
    start = 1_700_000_000.0
    nodes = [{"ip": f"192.0.2.{i}", "port": 6881, "id": f"{i:040x}"} for i in range(4)]
    lives = [range(6), range(6), range(3), range(0)]
    write_rows(folder, "cohort", nodes)
    write_rows(folder, "visits", (
        {"round": number, "t": start + EVERY_S * number + place, **node,
         "outcome": "alive" if number in lives[place] else "silent", "seen_id": None, "rtt_us": 1000, "tries": 1,
         "unobserved": None} for number in range(6) for place, node in enumerate(nodes)))
    write_rows(folder, "targets", (
        {"round": number, "t": start + EVERY_S * number, "target": "ab" * 20, "peers": None if number == 2 else 5 + number,
         "seeds": 2.5, "downloaders": None, "asked": 10, "answered": 8, "closest": 8, "stayed": 7 if number else None}
        for number in range(6)))
    config = {"bootstrap": [], "bind": "0.0.0.0:0", "allow_net": [], "targets": [], "every_s": EVERY_S, "nodes": 4}
    return write_notes(folder, {"mode": "monitor", "state": "running", "started": start, "config": config}, None)


def write_size(folder: Path) -> Path:
    methods = {"zone": (5000, 4900, 5100), "closest": (5500, 4200, 7000), "recapture": (4950, 4800, 5150)}
    return write_notes(folder, {"mode": "size"}, {
        "mode": "size", "nodes": 5000, "low": 4900, "high": 5100, "ci": 0.9, "method": "zone", "methods": {
            name: {"nodes": nodes, "low": low, "high": high, "assumptions": [f"of {name}"]}
            for name, (nodes, low, high) in methods.items()},
        "zones": ["a4/6", "10/6"], "share": 0.03125, "found": 150, "alive": 156, "unnamed": 2, "answer_rate": 0.97,
        "checked": 20, "rechecked": 19, "dispersion": 1.0, "lookups": 33, "sent": 1200, "answered": 800,
        "elapsed_s": 3.0, "max_packets_per_ip": 3, "kernel_drops": 0, "complete": True, "reason": "", "seed": 1})


WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "census": write_census, "harvest": write_harvest, "peers": write_peers, "scrape": write_scrape,
    "metadata": write_metadata, "monitor": write_monitor, "size": write_size}
