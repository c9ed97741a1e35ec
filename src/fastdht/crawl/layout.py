"""Where a crawl's directory keeps what, and which of its parts count. Rate class: command.

  crawl.json                            what was wanted, and the state: running, partial, complete or failed
  manifest/zone=ab.json                 a zone that was crawled to its end: its parts and its summary
  parts/nodes/zone=ab/part-ATTEMPT-N.parquet
  parts/edges/zone=ab/part-ATTEMPT-N.parquet     with --edges
  checkpoint/zone=ab/ATTEMPT.json       how far an attempt at a zone has come, and the parts it has closed
  checkpoint/zone=ab/ATTEMPT-N.frontier
  exclude.txt                           the opt-out list, when there is one
  summary.json, timeline.jsonl
The first entry of a zone in the manifest wins: an attempt that ends later finds it taken. So a zone may be crawled by
two workers at once, or again after a crash, and counts once. Layout 1 had parts/nodes/part-N.parquet and no manifest.
"""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastdht.crawl.records import FORMATS
from fastdht.crawl.sinks import refusal, write_json
from fastdht.crawl.zones import Zone
from fastdht.errors import ConfigError, PersistError

LAYOUT = 2              # raised when a reader must know
NOTE = "crawl.json"
SUMMARY = "summary.json"
EXCLUDE = "exclude.txt"
STOP = "stop"           # a file of this name in the directory ends all attempts within two seconds
SUFFIXES = tuple(f".{name}" for name in FORMATS)


PART_KEYS = {"nodes": "parts", "edges": "edge_parts"}     # table → where the manifest and checkpoints name its parts


def parts_folder(directory: Path, zone: Zone, table: str = "nodes") -> Path:
    return directory / "parts" / table / zone.folder


def checkpoint_folder(directory: Path, zone: Zone) -> Path:
    return directory / "checkpoint" / zone.folder


def entry_path(directory: Path, zone: Zone) -> Path:
    return directory / "manifest" / f"{zone.folder}.json"


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is none that is whole."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def read_note(directory: Path) -> dict[str, Any]:
    """crawl.json; raises ConfigError when there is none, or one of a later version."""
    note = read_json(directory / NOTE)
    if note is None:
        raise ConfigError(f"{directory} holds no crawl: {NOTE} is missing or unreadable")
    if note.get("layout", 0) not in (1, LAYOUT):
        raise ConfigError(f"{directory} has layout {note.get('layout')}; nodes are read from 1 and {LAYOUT}")
    return note


def commit_entry(directory: Path, zone: Zone, entry: Mapping[str, Any]) -> bool:
    """Put a zone into the manifest, whole or not at all; False when it stands there already. Raises PersistError."""
    path = entry_path(directory, zone)
    own = path.with_name(f"{path.stem}.{entry['attempt']}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(own, entry)
        try:
            os.link(own, path)          # unlike a rename, it fails where another attempt was first
        except FileExistsError:
            return False
        finally:
            own.unlink()
    except OSError as error:
        raise refusal(path, error) from error
    return True


def read_entry(directory: Path, zone: Zone) -> dict[str, Any] | None:
    return read_json(entry_path(directory, zone))


def zones_of(note: Mapping[str, Any]) -> tuple[Zone, ...]:
    """The zones of a crawl, from its note. Raises ConfigError."""
    try:
        return Zone.parse(note["config"]["zone"]).split(int(note["zones"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{NOTE} names no zones: {error!r}") from None


def checkpoints(directory: Path, zone: Zone, config_hash: str) -> list[dict[str, Any]]:
    """The checkpoints of a zone of this configuration, the one that has come farthest first."""
    found = [values for path in checkpoint_folder(directory, zone).glob("*.json")
             if (values := read_json(path)) is not None and values.get("config_hash") == config_hash]
    return sorted(found, key=lambda values: (len(values["passes"]), values["answered"]), reverse=True)


def node_parts(directory: Path, table: str = "nodes") -> list[Path]:
    """The parts that hold the nodes of a crawl, each once, or its edges; raises PersistError when one is missing."""
    note = read_json(directory / NOTE)
    if note is None or note.get("layout") != LAYOUT:
        return [path for path in sorted((directory / "parts" / table).glob("part-*.*")) if path.suffix in SUFFIXES]
    paths = []
    for zone in zones_of(note):
        folder = parts_folder(directory, zone, table)
        paths += [folder / name for name in zone_parts(directory, zone, str(note.get("config_hash")), table)]
    if missing := [path for path in paths if not path.exists()]:
        raise PersistError(f"{missing[0]} is missing, though the manifest names it")
    return paths


def zone_parts(directory: Path, zone: Zone, config_hash: str, table: str = "nodes") -> list[str]:
    """Names of the parts of a zone: those of its entry, or else of the attempt that has come farthest."""
    entry = read_entry(directory, zone)
    if entry is not None:
        return list(entry.get(PART_KEYS[table], []))
    for checkpoint in checkpoints(directory, zone, config_hash):
        return list(checkpoint.get(PART_KEYS[table], []))
    attempts: dict[str, list[str]] = {}
    for path in sorted(parts_folder(directory, zone, table).glob("part-*-*.*")):
        if path.suffix in SUFFIXES:
            attempts.setdefault(path.name.split("-")[1], []).append(path.name)
    return max(attempts.values(), key=len, default=[])
