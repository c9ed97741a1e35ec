"""The samples of a harvest as numbers, for its report. Rate class: command.

The rows of an answer follow each other, and a node answers once in a sweep: so where the endpoint changes, the next
node begins. Numbers take a tenth of the memory of texts.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastdht.crawl.records import SAMPLE_COLUMNS
from fastdht.crawl.report.columns import read_table
from fastdht.crawl.report.content import Source

if TYPE_CHECKING:
    import pyarrow

NAMES = ("info_hash", "ip", "port", "num", "interval")


@dataclass(frozen=True, slots=True)
class Samples:
    """Arrays of numpy; infohashes have their numbers in the order in which they were first seen."""

    hashes: Any             # of each sample: which infohash
    nodes: Any              # of each sample: which node showed it
    ends: Any               # of each node: its last sample
    nums: Any               # of each node: how many infohashes it says it stores
    intervals: Any          # of each node: seconds that it wants to be left alone

    @property
    def distinct(self) -> int:
        return int(self.hashes.max(initial=-1)) + 1


def read_samples(source: Source) -> Samples:
    """Raises PersistError."""
    return number_samples(read_table(source.directory, "samples", SAMPLE_COLUMNS, NAMES))


def number_samples(rows: pyarrow.Table) -> Samples:
    """From a table with NAMES as columns."""
    import numpy

    hashes, addresses = codes_of(rows.column("info_hash")), codes_of(rows.column("ip"))
    ports, nums, intervals = (rows.column(name).to_numpy() for name in ("port", "num", "interval"))
    is_end = numpy.ones(len(hashes), dtype=bool)
    is_end[:-1] = (addresses[1:] != addresses[:-1]) | (ports[1:] != ports[:-1])
    ends = numpy.flatnonzero(is_end)
    nodes = numpy.repeat(numpy.arange(len(ends), dtype=numpy.int32), numpy.diff(ends, prepend=-1))
    return Samples(hashes, nodes, ends, nums[ends], intervals[ends])


def codes_of(column: pyarrow.ChunkedArray) -> Any:
    """A number for each value, in the order of first appearance."""
    import numpy

    chunks = column.dictionary_encode().chunks      # which share one dictionary
    arrays = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in chunks]
    return numpy.concatenate(arrays) if arrays else numpy.zeros(0, dtype=numpy.int32)
