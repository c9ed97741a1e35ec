"""Sampled infohashes: from packed rows to columns and lines, without an object per row. Rate class: batch.

Row layout in samples.pxd (SampleRow, 52 bytes, host order); columns are what Arrow calls buffers, as in rows.pyx.
An infohash that an answer repeats counts once. Source: BEP 51 (samples, num, interval).
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.krpc cimport HAS_INTERVAL, HAS_NUM
from fastdht._ext.ledger cimport MAX_INTERVAL_S
from fastdht._ext.rows cimport FoundRow, write_address, write_hex, write_ip, write_number, write_text

ROW_SIZE = sizeof(SampleRow)

cdef enum:
    MAX_ADDRESS_TEXT = 40
    MAX_LINE = 256              # of JSON: 180 at most


cdef uint32_t told_num(const Message* message) noexcept nogil:  # R0
    """How many infohashes the node says it stores: never fewer than it shows."""
    cdef int64_t shown = min(message.samples.size // ID_SIZE, <uint32_t>MAX_SAMPLES_READ)
    cdef int64_t num = message.num if message.present & HAS_NUM else 0
    return <uint32_t>min(max(num, shown), <int64_t>MAX_NUM)


cdef uint32_t fill_samples(SampleRow* rows, uint32_t room, const Endpoint* endpoint, const Message* message,
                           uint32_t time_s) noexcept nogil:  # R0
    """Write the samples of an answer as rows, at most `room`; how many."""
    cdef uint32_t shown = min(message.samples.size // ID_SIZE, min(room, <uint32_t>MAX_SAMPLES_READ))
    cdef int64_t interval_s = message.interval if message.present & HAS_INTERVAL else MAX_INTERVAL_S
    cdef const uint8_t* at = message.samples.data
    cdef uint32_t i, j, count = 0
    for i in range(shown):
        for j in range(count):
            if memcmp(rows[j].info_hash, at, ID_SIZE) == 0:
                break
        else:
            memset(&rows[count], 0, sizeof(SampleRow))
            memcpy(rows[count].info_hash, at, ID_SIZE)
            count += 1
        at += ID_SIZE
    for i in range(count):
        write_ip(endpoint, rows[i].ip)
        rows[i].port = endpoint.port
        rows[i].num = told_num(message)
        rows[i].interval_s = <uint32_t>min(max(interval_s, <int64_t>0), <int64_t>MAX_INTERVAL_S)
        rows[i].time_s = time_s
        rows[i].count = <uint16_t>count
    return count


cdef Py_ssize_t count_rows(bytes block) except -1:
    if len(block) % sizeof(SampleRow):
        raise ValueError(f"a block of samples is {len(block)} bytes; a multiple of {ROW_SIZE} needed")
    return len(block) // sizeof(SampleRow)


cdef uint32_t write_node_ip(char* out, const SampleRow* row) noexcept nogil:
    cdef FoundRow place
    memcpy(place.ip, row.ip, 16)
    return write_address(out, &place)


cdef uint32_t write_line(char* out, const SampleRow* row) noexcept nogil:
    cdef uint32_t size = write_text(out, b'{"info_hash":"')
    size += write_hex(out + size, row.info_hash, ID_SIZE)
    size += write_text(out + size, b'","ip":"')
    size += write_node_ip(out + size, row)
    size += write_text(out + size, b'","port":')
    size += write_number(out + size, row.port)
    size += write_text(out + size, b',"num":')
    size += write_number(out + size, row.num)
    size += write_text(out + size, b',"interval":')
    size += write_number(out + size, row.interval_s)
    size += write_text(out + size, b',"t":')
    size += write_number(out + size, row.time_s)
    return size + write_text(out + size, b"}\n")


def hash_column(block: bytes) -> tuple[bytes, bytes]:
    """Infohashes as 40 hexadecimal digits: offsets (int32, one more than rows) and characters."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const SampleRow* rows = <const SampleRow*>PyBytes_AS_STRING(block)
    cdef bytes offsets = PyBytes_FromStringAndSize(NULL, (count + 1) * 4)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * 2 * ID_SIZE)
    cdef uint32_t* offset = <uint32_t*>PyBytes_AS_STRING(offsets)
    cdef char* out = PyBytes_AS_STRING(text)
    with nogil:
        for i in range(count):
            offset[i] = <uint32_t>(i * 2 * ID_SIZE)
            write_hex(out + offset[i], rows[i].info_hash, ID_SIZE)
        offset[count] = <uint32_t>(count * 2 * ID_SIZE)
    return offsets, text


def ip_column(block: bytes) -> tuple[bytes, bytes]:
    """Addresses as text: offsets (int32, one more than rows) and characters."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const SampleRow* rows = <const SampleRow*>PyBytes_AS_STRING(block)
    cdef bytes offsets = PyBytes_FromStringAndSize(NULL, (count + 1) * 4)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * MAX_ADDRESS_TEXT)
    cdef uint32_t* offset = <uint32_t*>PyBytes_AS_STRING(offsets)
    cdef char* out = PyBytes_AS_STRING(text)
    cdef uint32_t size = 0
    with nogil:
        for i in range(count):
            offset[i] = size
            size += write_node_ip(out + size, &rows[i])
        offset[count] = size
    return offsets, text[:size]


def number_columns(block: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Ports (uint16), nums, intervals in s, and Unix times in s (uint32 each)."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const SampleRow* rows = <const SampleRow*>PyBytes_AS_STRING(block)
    cdef bytes ports = PyBytes_FromStringAndSize(NULL, count * 2)
    cdef bytes nums = PyBytes_FromStringAndSize(NULL, count * 4)
    cdef bytes intervals = PyBytes_FromStringAndSize(NULL, count * 4)
    cdef bytes times = PyBytes_FromStringAndSize(NULL, count * 4)
    cdef uint16_t* port = <uint16_t*>PyBytes_AS_STRING(ports)
    cdef uint32_t* num = <uint32_t*>PyBytes_AS_STRING(nums)
    cdef uint32_t* interval = <uint32_t*>PyBytes_AS_STRING(intervals)
    cdef uint32_t* time = <uint32_t*>PyBytes_AS_STRING(times)
    with nogil:
        for i in range(count):
            port[i] = rows[i].port
            num[i] = rows[i].num
            interval[i] = rows[i].interval_s
            time[i] = rows[i].time_s
    return ports, nums, intervals, times


def json_lines(block: bytes) -> bytes:
    """One JSON object per row, each on a line: info_hash, ip, port, num, interval, t."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const SampleRow* rows = <const SampleRow*>PyBytes_AS_STRING(block)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * MAX_LINE)
    cdef char* out = PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = 0
    with nogil:
        for i in range(count):
            size += write_line(out + size, &rows[i])
    return text[:size]
