"""Tables whose rows compiled code packs: what a sink must know of each. Rate class: second.

Packed rows become columns or lines without an object per row; `_ext/rows`, `_ext/samples` and `_ext/edges` have the
layouts.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastdht._ext import edges, rows, samples
from fastdht.crawl.records import EDGE_COLUMNS, NODE_COLUMNS, SAMPLE_COLUMNS, Column

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class PackedTable:
    """`name` is that of its folder; `columns_of` gives what Arrow wants of a block, in the order of `columns`."""

    name: str
    columns: tuple[Column, ...]
    row_size: int
    json_lines: Callable[[bytes], bytes]
    columns_of: Callable[[bytes], list[Any]]
    nullable: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()         # random, or small already: compressing it costs more than it saves
    repeated: list[str] = field(default_factory=list)       # few different values

    def schema(self) -> pyarrow.Schema:
        import pyarrow

        return pyarrow.schema([
            pyarrow.field(column.name, pyarrow.type_for_alias(column.kind), nullable=column.name in self.nullable,
                          metadata={"meaning": column.meaning}) for column in self.columns])

    def to_arrow(self, block: bytes, schema: pyarrow.Schema) -> pyarrow.Table:
        import pyarrow

        return pyarrow.Table.from_arrays(self.columns_of(block), schema=schema)


def text(offsets: bytes, data: bytes, validity: bytes | None = None) -> Any:
    import pyarrow

    wrap = pyarrow.py_buffer
    return pyarrow.StringArray.from_buffers(len(offsets) // 4 - 1, wrap(offsets), wrap(data),
                                            wrap(validity) if validity else None)


def numbers(kind: str, data: bytes, count: int) -> Any:
    import pyarrow

    return pyarrow.Array.from_buffers(pyarrow.type_for_alias(kind), count, [None, pyarrow.py_buffer(data)])


def node_columns(block: bytes) -> list[Any]:
    count = len(block) // rows.ROW_SIZE
    ports, rtts, secure = rows.number_columns(block)
    validity, offsets, versions = rows.version_column(block)
    return [text(*rows.ip_column(block)), numbers("uint16", ports, count), text(*rows.id_column(block)),
            text(*rows.status_column(block)), numbers("uint32", rtts, count), text(offsets, versions, validity),
            numbers("bool", secure, count)]


def sample_columns(block: bytes) -> list[Any]:
    count = len(block) // samples.ROW_SIZE
    ports, nums, intervals, times = samples.number_columns(block)
    return [text(*samples.hash_column(block)), text(*samples.ip_column(block)), numbers("uint16", ports, count),
            numbers("uint32", nums, count), numbers("uint32", intervals, count), numbers("uint32", times, count)]


def edge_columns(block: bytes) -> list[Any]:
    offsets, sources, targets = edges.id_columns(block)
    return [text(offsets, sources), text(offsets, targets)]


NODES = PackedTable("nodes", NODE_COLUMNS, rows.ROW_SIZE, rows.json_lines, node_columns, frozenset({"v"}),
                    frozenset({"id", "port", "status", "v", "bep42"}), ["status", "v"])
SAMPLES = PackedTable("samples", SAMPLE_COLUMNS, samples.ROW_SIZE, samples.json_lines, sample_columns,
                      plain=frozenset({"info_hash"}), repeated=["ip", "port", "num", "interval", "t"])
EDGES = PackedTable("edges", EDGE_COLUMNS, edges.ROW_SIZE, edges.json_lines, edge_columns)
