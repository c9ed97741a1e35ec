"""Edges: from packed rows to columns and lines, without an object per row. Rate class: batch.

Row layout in edges.pxd (EdgeRow, 16 bytes, host order); columns are what Arrow calls buffers, as in rows.pyx. Of an id
its first 64 bits are kept: among ten million nodes two share them with a chance of 1 in 370,000.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from fastdht._ext.addresses cimport read_be64, write_be64
from fastdht._ext.rows cimport write_hex, write_text

ROW_SIZE = sizeof(EdgeRow)

cdef enum:
    PREFIX_SIZE = 8             # bytes of an id that are kept
    MAX_LINE = 64               # of JSON: 58 in fact


cdef void fill_edges(EdgeRow* rows, const uint8_t* from_id, const uint8_t* nodes, uint32_t count,
                     uint32_t size) noexcept nogil:  # R0
    """Write one row for each of `count` compact nodes of `size` bytes."""
    cdef uint64_t source = read_be64(from_id)
    cdef uint32_t i
    for i in range(count):
        rows[i].from_id = source
        rows[i].to_id = read_be64(nodes + i * size)


cdef Py_ssize_t count_rows(bytes block) except -1:
    if len(block) % sizeof(EdgeRow):
        raise ValueError(f"a block of edges is {len(block)} bytes; a multiple of {ROW_SIZE} needed")
    return len(block) // sizeof(EdgeRow)


cdef uint32_t write_prefix(char* out, uint64_t prefix) noexcept nogil:
    cdef uint8_t packed[PREFIX_SIZE]
    write_be64(packed, prefix)
    return write_hex(out, packed, PREFIX_SIZE)


def id_columns(block: bytes) -> tuple[bytes, bytes, bytes]:
    """Both ids as 16 hexadecimal digits: offsets (int32, one more than rows) for either, characters of from, of to.

    Raises ValueError for a broken block.
    """
    cdef Py_ssize_t count = count_rows(block), i
    cdef const EdgeRow* rows = <const EdgeRow*>PyBytes_AS_STRING(block)
    cdef bytes offsets = PyBytes_FromStringAndSize(NULL, (count + 1) * 4)
    cdef bytes sources = PyBytes_FromStringAndSize(NULL, count * 2 * PREFIX_SIZE)
    cdef bytes targets = PyBytes_FromStringAndSize(NULL, count * 2 * PREFIX_SIZE)
    cdef uint32_t* offset = <uint32_t*>PyBytes_AS_STRING(offsets)
    cdef char* source = PyBytes_AS_STRING(sources)
    cdef char* target = PyBytes_AS_STRING(targets)
    with nogil:
        for i in range(count):
            offset[i] = <uint32_t>(i * 2 * PREFIX_SIZE)
            write_prefix(source + offset[i], rows[i].from_id)
            write_prefix(target + offset[i], rows[i].to_id)
        offset[count] = <uint32_t>(count * 2 * PREFIX_SIZE)
    return offsets, sources, targets


def json_lines(block: bytes) -> bytes:
    """One JSON object per row, each on a line: from_id, to_id. Raises ValueError for a broken block."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const EdgeRow* rows = <const EdgeRow*>PyBytes_AS_STRING(block)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * MAX_LINE)
    cdef char* out = PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = 0
    with nogil:
        for i in range(count):
            size += write_text(out + size, b'{"from_id":"')
            size += write_prefix(out + size, rows[i].from_id)
            size += write_text(out + size, b'","to_id":"')
            size += write_prefix(out + size, rows[i].to_id)
            size += write_text(out + size, b'"}\n')
    return text[:size]
