"""Joins crawls into one table: a database, or a directory of parts. Rate class: command.

Schema 1. `nodes`: one row per (ip, port, id), with the columns of the parts and `crawl`, the id of the first of the
given crawls that found it. `edges`, likewise: one row per (from_id, to_id), but in a directory one per answer that
showed it. `crawls`: one row per crawl. `meta`: `schema`, this number, raised when a reader must know.
The result is written under a temporary name and renamed when whole.
"""
from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastdht.crawl.layout import (
    LAYOUT,
    NOTE,
    PART_KEYS,
    SUFFIXES,
    SUMMARY,
    node_parts,
    parts_folder,
    read_entry,
    read_json,
    read_note,
    zones_of,
)
from fastdht.crawl.plan import new_id
from fastdht.crawl.records import EDGE_COLUMNS, NODE_COLUMNS, Column
from fastdht.crawl.sinks import prepare_directory, refusal, temporary, write_json
from fastdht.crawl.tables import TableSink
from fastdht.errors import ConfigError, PersistError

SCHEMA = 1
BATCH = 50_000
SQLITE_KINDS = {"string": "TEXT", "uint16": "INTEGER", "uint32": "INTEGER", "bool": "INTEGER"}
DUCKDB_KINDS = {"string": "VARCHAR", "uint16": "USMALLINT", "uint32": "UINTEGER", "bool": "BOOLEAN"}
BY_CRAWL = Column("crawl", "string", "id of the crawl that found it")
MERGED_COLUMNS = (*NODE_COLUMNS, BY_CRAWL)
MERGED_EDGES = (*EDGE_COLUMNS, BY_CRAWL)
TABLES = {"nodes": NODE_COLUMNS, "edges": EDGE_COLUMNS}
CRAWL_COLUMNS = (Column("id", "string", "UUID"), Column("directory", "string", "where it was read from"),
                 Column("state", "string", "running, partial, complete or failed"),
                 Column("reason", "string", "why it is not complete"), Column("version", "string", "of fastdht"),
                 Column("summary", "string", "summary.json"))


def merge(directories: Iterable[Path], out: Path) -> int:
    """Write the nodes of all crawls to `out`: .sqlite, .duckdb, or else a new directory. Returns the rows.

    Attempts that the manifest of a finished crawl does not name are removed. Raises ConfigError and PersistError.
    """
    sources = [(path, read_note(path)) for path in directories]
    if out.suffix in (".sqlite", ".db"):
        rows = merge_to_file(sources, out, write_sqlite)
    elif out.suffix == ".duckdb":
        rows = merge_to_file(sources, out, write_duckdb)
    else:
        rows = write_directory(sources, out)
    for path, note in sources:
        if note.get("layout") == LAYOUT and note.get("state") != "running":
            remove_ignored(path, note)
    return rows


def remove_ignored(directory: Path, note: dict[str, Any]) -> list[Path]:
    """Remove the parts of crawled zones that the manifest does not name; returns them."""
    removed = []
    for zone in zones_of(note):
        entry = read_entry(directory, zone)
        if entry is None:
            continue
        for table, key in PART_KEYS.items():
            for path in parts_folder(directory, zone, table).glob("part-*"):
                if path.name not in entry.get(key, ()):
                    path.unlink(missing_ok=True)
                    removed.append(path)
    return removed


def merge_to_file(sources: list[tuple[Path, dict[str, Any]]], out: Path, write: Any) -> int:
    draft = temporary(out)
    if out.exists():
        raise ConfigError(f"{out} exists; a merge writes a new file")
    draft.unlink(missing_ok=True)
    try:
        rows: int = write(sources, draft)
        os.replace(draft, out)
    except OSError as error:
        raise refusal(out, error) from error
    finally:
        draft.unlink(missing_ok=True)
    return rows


def write_sqlite(sources: list[tuple[Path, dict[str, Any]]], path: Path) -> int:
    try:
        database = sqlite3.connect(path)
        database.execute("PRAGMA journal_mode = OFF")       # whole or absent: the file is renamed when it is done
        create_tables(database, SQLITE_KINDS, " WITHOUT ROWID")
        for table, columns in TABLES.items():
            places = ", ".join("?" * (len(columns) + 1))
            for directory, note in sources:
                name = crawl_id(note)
                for rows in read_rows(node_parts(directory, table), columns):
                    values = ([row[column.name] for column in columns] + [name] for row in rows)
                    database.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({places})", values)
        count: int = database.execute("SELECT count(*) FROM nodes").fetchone()[0]
        describe(database, sources)
        database.commit()
        database.close()
    except sqlite3.Error as error:
        raise PersistError(f"cannot write {path}: {error}") from error
    return count


def write_duckdb(sources: list[tuple[Path, dict[str, Any]]], path: Path) -> int:
    try:
        import duckdb
    except ImportError:
        raise PersistError(f"{path.stem}.duckdb needs duckdb: pip install 'fastdht[duckdb]'") from None
    try:
        with duckdb.connect(str(path)) as database:
            create_tables(database, DUCKDB_KINDS, "")
            for table in TABLES:
                for directory, note in sources:
                    copy_parts(database, table, node_parts(directory, table), crawl_id(note))
            describe(database, sources)
            count = database.execute("SELECT count(*) FROM nodes").fetchone()
    except duckdb.Error as error:
        raise PersistError(f"cannot write {path}: {error}") from error
    return int(count[0]) if count else 0


def copy_parts(database: Any, table: str, parts: Iterable[Path], crawl: str) -> None:
    names = ", ".join(column.name for column in TABLES[table])
    kinds = {column.name: DUCKDB_KINDS[column.kind] for column in TABLES[table]}
    for part in parts:
        source = "read_parquet($1)" if part.suffix == ".parquet" else f"read_json($1, columns = {kinds})"
        database.execute(f"INSERT OR IGNORE INTO {table} SELECT {names}, $2 FROM {source}", [str(part), crawl])


def create_tables(database: Any, kinds: dict[str, str], ending: str) -> None:
    nodes = ", ".join(f"{column.name} {kinds[column.kind]}" for column in MERGED_COLUMNS)
    edges = ", ".join(f"{column.name} {kinds[column.kind]}" for column in MERGED_EDGES)
    crawls = ", ".join(f"{column.name} {kinds[column.kind]}" for column in CRAWL_COLUMNS)
    database.execute(f"CREATE TABLE nodes ({nodes}, PRIMARY KEY (ip, port, id)){ending}")
    database.execute(f"CREATE TABLE edges ({edges}, PRIMARY KEY (from_id, to_id)){ending}")
    database.execute(f"CREATE TABLE crawls ({crawls})")
    database.execute(f"CREATE TABLE meta (name {kinds['string']}, value {kinds['string']})")


def describe(database: Any, sources: list[tuple[Path, dict[str, Any]]]) -> None:
    database.execute("INSERT INTO meta VALUES ('schema', ?)", [str(SCHEMA)])
    for directory, note in sources:
        summary = json.dumps(read_json(directory / SUMMARY) or {})
        database.execute("INSERT INTO crawls VALUES (?, ?, ?, ?, ?, ?)",
                         [crawl_id(note), str(directory), note.get("state", ""), note.get("reason", ""),
                          note.get("version", ""), summary])


def write_directory(sources: list[tuple[Path, dict[str, Any]]], out: Path) -> int:
    """Parts without zones, as layout 1 has them: there is nothing to resume in a merged crawl."""
    prepare_directory(out)
    formats = {str(note.get("format", "jsonl")) for _, note in sources}
    kind = "parquet" if "parquet" in formats else "jsonl"
    sink = TableSink(out, "nodes", MERGED_COLUMNS, kind)
    seen: set[tuple[str, int, str]] = set()
    count = 0
    for directory, note in sources:
        name = crawl_id(note)
        for rows in read_rows(node_parts(directory)):
            for row in rows:
                key = (row["ip"], row["port"], row["id"])
                if key not in seen:
                    if len(sources) > 1:        # within one crawl no row is doubled
                        seen.add(key)
                    count += 1
                    sink.add({**row, "crawl": name})
    sink.close()
    copy_edges(sources, out, kind)
    summaries = [read_json(directory / SUMMARY) or {} for directory, _ in sources]
    states = {str(note.get("state")) for _, note in sources}
    write_json(out / SUMMARY, {
        "found": count, "sent": sum(each.get("sent", 0) for each in summaries),
        "answered": sum(each.get("answered", 0) for each in summaries), "complete": states == {"complete"},
        "zone": common_zone(summaries)})
    write_json(out / NOTE, {
        "layout": 1, "id": new_id(), "state": "complete" if states == {"complete"} else "partial",
        "format": kind, "merged": [crawl_id(note) for _, note in sources], "schema": SCHEMA,
        "nodes": {column.name: f"{column.kind}: {column.meaning}" for column in MERGED_COLUMNS}})
    return count


def copy_edges(sources: list[tuple[Path, dict[str, Any]]], out: Path, kind: str) -> None:
    for directory, note in sources:
        parts = node_parts(directory, "edges")
        if parts:
            sink = TableSink(out, "edges", MERGED_EDGES, kind)
            for rows in read_rows(parts, EDGE_COLUMNS):
                for row in rows:
                    sink.add({**row, "crawl": crawl_id(note)})
            sink.close()


def common_zone(summaries: list[dict[str, Any]]) -> str | None:
    zones = {each.get("zone") for each in summaries}
    return zones.pop() if len(zones) == 1 else None


def crawl_id(note: dict[str, Any]) -> str:
    return str(note.get("id", ""))


def read_rows(parts: Iterable[Path],
              columns: tuple[Column, ...] = NODE_COLUMNS) -> Iterator[list[dict[str, Any]]]:
    """Rows as dictionaries, some thousands at a time. Raises PersistError for a file that is no part."""
    for path in parts:
        assert path.suffix in SUFFIXES
        yield from read_parquet_rows(path, columns) if path.suffix == ".parquet" else read_json_rows(path, columns)


def read_parquet_rows(path: Path, columns: tuple[Column, ...]) -> Iterator[list[dict[str, Any]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PersistError(f"{path} is Parquet: install pyarrow (pip install 'fastdht[crawl]') to read it") from None
    try:
        names = [column.name for column in columns]
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(BATCH, columns=names):
            yield batch.to_pylist()
    except (pyarrow.ArrowException, KeyError) as error:
        raise PersistError(f"{path} cannot be read: {error}") from None


def read_json_rows(path: Path, columns: tuple[Column, ...]) -> Iterator[list[dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        while lines := file.readlines(BATCH * 150):
            try:
                rows = [json.loads(line) for line in lines]
                yield [{column.name: row[column.name] for column in columns} for row in rows]
            except (ValueError, KeyError, TypeError) as error:
                raise PersistError(f"{path} is not JSON lines of such rows: {error!r}") from None
