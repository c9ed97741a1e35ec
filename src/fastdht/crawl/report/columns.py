"""Reads the tables of a run by columns, and counts them. Rate class: command.

Rows are counted by Arrow, so that ten million of them need no object each.
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdht.crawl.records import Column
from fastdht.crawl.tables import arrow_schema, whole_parts
from fastdht.errors import PersistError

if TYPE_CHECKING:
    import pyarrow


def require_arrow() -> None:
    """Raise PersistError where pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise PersistError("the report needs pyarrow: pip install 'fastdht[report]'") from None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a JSON lines file; a torn last line, as a crash leaves it, is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if isinstance(values, dict):
                yield values


def read_table(directory: Path, name: str, columns: Sequence[Column], names: Sequence[str]) -> pyarrow.Table:
    """These columns of a table in the order it was written; empty where there is none. Raises PersistError."""
    return read_parts(whole_parts(directory, name), columns, names)


def read_parts(parts: Sequence[Path], columns: Sequence[Column], names: Sequence[str]) -> pyarrow.Table:
    """Some columns of all parts; of the first none is null. Raises PersistError for a file that is no part."""
    import pyarrow
    import pyarrow.json
    import pyarrow.parquet

    by_name = {column.name: column for column in columns}
    schema = arrow_schema([by_name[name] for name in names])
    options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    tables = []
    for path in parts:
        try:
            if path.suffix == ".parquet":
                table = pyarrow.parquet.ParquetFile(path).read(columns=list(names))
            elif path.stat().st_size:
                table = pyarrow.json.read_json(path, parse_options=options)
            else:
                continue
            tables.append(table.select(list(names)).cast(schema))
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise PersistError(f"{path} cannot be read: {error}") from None
        if table.column(names[0]).null_count:
            raise PersistError(f"{path} cannot be read: it has rows without {names[0]}")
    return pyarrow.concat_tables(tables) if tables else schema.empty_table()


def counted(column: pyarrow.ChunkedArray) -> dict[Any, int]:
    """Value → how often."""
    import pyarrow.compute as compute

    counts = compute.value_counts(column)
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def most(column: pyarrow.ChunkedArray, limit: int) -> list[tuple[str, int]]:
    """The most frequent values, most frequent first."""
    import pyarrow
    import pyarrow.compute as compute

    counts = compute.value_counts(column)
    table = pyarrow.table({"value": counts.field("values"), "count": counts.field("counts")})
    top = table.take(compute.select_k_unstable(
        table, k=min(limit, len(table)), sort_keys=[("count", "descending"), ("value", "ascending")]))
    return list(zip(top.column("value").to_pylist(), top.column("count").to_pylist(), strict=True))


def octaves(column: pyarrow.ChunkedArray) -> list[tuple[int, int]]:
    """How many values are 0, 1, 2 to 3, 4 to 7, …: (least value of each, count), nulls left out."""
    import pyarrow
    import pyarrow.compute as compute

    values = column.drop_null()
    if not len(values):
        return []
    is_zero = compute.less(values, 1)
    places = compute.floor(compute.log2(values.filter(compute.invert(is_zero)).cast(pyarrow.float64())))
    found = {1 << int(place): count for place, count in counted(places).items()}
    zeros = compute.sum(is_zero).as_py()
    least = [1 << i for i in range(max(found, default=0).bit_length())]
    while least and least[0] not in found and not zeros:
        least.pop(0)
    return [(0, zeros)] * bool(zeros) + [(low, found.get(low, 0)) for low in least]


def even_bins(column: pyarrow.ChunkedArray, most_bins: int = 20) -> list[tuple[str, int]]:
    """Counts between equal steps: (least value of each, count)."""
    import pyarrow.compute as compute

    if not len(column):
        return []
    step = compute.max(column).as_py() // most_bins + 1
    counts = counted(compute.divide(column, step))
    return [(f"{place * step:,}", counts.get(place, 0)) for place in range(min(counts), max(counts) + 1)]
