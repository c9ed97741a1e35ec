"""Found nodes: from packed rows to columns and lines, without an object per row. Rate class: batch.

Row layout in rows.pxd (FoundRow, 48 bytes, host order). Columns are what Arrow calls buffers: text as 32-bit offsets
and bytes, truth values and validity as bits, low bit first. Ids are 40 hexadecimal digits, `v` 8 of them or absent.
Sources: Apache Arrow columnar format 1.4 (buffers); RFC 5952 (text of IPv6 addresses).
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport (
    FAMILY_V4, FAMILY_V6, dump_compact, read_be32, read_be64, write_be32, write_be64)
from fastdht._ext.ids cimport ID_SIZE, is_secure_id

ROW_SIZE = sizeof(FoundRow)

cdef enum:
    MAX_ADDRESS_TEXT = 40       # 39 characters, rounded up
    MAX_LINE = 256              # of JSON: 196 at most
    MAX_STATUS = 8              # "renamed"

ctypedef uint32_t (*Write)(char* out, const FoundRow* row) noexcept nogil

cdef const char* HEX = "0123456789abcdef"


cdef struct Octet:              # one number of an IPv4 address, as it is written
    char text[4]                # with the dot after it
    uint32_t size               # of both


cdef char PAIRS[256][2]         # each byte in hexadecimal: a quarter of a crawl's rows is digits
cdef Octet OCTETS[256]


cdef void fill_tables() noexcept:
    cdef uint32_t i
    for i in range(256):
        PAIRS[i][0] = HEX[i >> 4]
        PAIRS[i][1] = HEX[i & 15]
        OCTETS[i].size = write_number(OCTETS[i].text, i)
        OCTETS[i].text[OCTETS[i].size] = c"."
        OCTETS[i].size += 1


fill_tables()


cdef void fill_row(FoundRow* row, const Endpoint* endpoint, const Message* message, uint8_t status,
                   int64_t rtt_us) noexcept nogil:  # R0
    memset(row, 0, sizeof(FoundRow))
    write_ip(endpoint, row.ip)
    memcpy(row.id, message.id, ID_SIZE)
    row.rtt_us = <uint32_t>min(max(rtt_us, 0), <int64_t>0x7FFFFFFF)
    row.port = endpoint.port
    row.status = status
    if message.version.size == 4:
        memcpy(row.version, message.version.data, 4)
        row.has_version = 1


cdef void write_ip(const Endpoint* endpoint, uint8_t* out) noexcept nogil:  # R0
    """An address as 16 bytes, into zeros."""
    if endpoint.family == FAMILY_V4:
        out[10] = 0xFF
        out[11] = 0xFF
        write_be32(out + 12, <uint32_t>endpoint.low)
    else:
        write_be64(out, endpoint.high)
        write_be64(out + 8, endpoint.low)


cdef bint is_mapped(const FoundRow* row) noexcept nogil:
    return read_be64(row.ip) == 0 and read_be32(row.ip + 8) == 0xFFFF


cdef void load_endpoint(const FoundRow* row, Endpoint* out) noexcept nogil:
    memset(out, 0, sizeof(Endpoint))
    out.port = row.port
    if is_mapped(row):
        out.family = FAMILY_V4
        out.low = read_be32(row.ip + 12)
    else:
        out.family = FAMILY_V6
        out.high = read_be64(row.ip)
        out.low = read_be64(row.ip + 8)


cdef uint32_t write_number(char* out, uint32_t value) noexcept nogil:
    cdef char digits[10]
    cdef uint32_t count = 0, i
    while True:
        digits[count] = c"0" + <char>(value % 10)
        count += 1
        value //= 10
        if value == 0:
            break
    for i in range(count):
        out[i] = digits[count - 1 - i]
    return count


cdef uint32_t write_hex(char* out, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef uint32_t i
    for i in range(size):
        memcpy(out + 2 * i, PAIRS[data[i]], 2)
    return 2 * size


cdef uint32_t write_group(char* out, uint32_t value) noexcept nogil:
    """One group of an IPv6 address, without leading zeros."""
    cdef uint32_t size = 0
    cdef int shift = 12
    while shift > 0 and value >> shift == 0:
        shift -= 4
    while shift >= 0:
        out[size] = HEX[(value >> shift) & 15]
        size += 1
        shift -= 4
    return size


cdef uint32_t write_v6(char* out, const uint8_t* ip) noexcept nogil:
    """RFC 5952: the longest run of two or more zero groups, the first of equals, becomes `::`."""
    cdef int start = -1, length = 1, i = 0, j
    cdef uint32_t size = 0
    while i < 8:
        j = i
        while j < 8 and ip[2 * j] == 0 and ip[2 * j + 1] == 0:
            j += 1
        if j - i > length:
            start = i
            length = j - i
        i = j + 1
    i = 0
    while i < 8:
        if i == start:
            out[size] = c":"
            out[size + 1] = c":"
            size += 2
            i += length
            continue
        if i and i != start + length or i and start < 0:
            out[size] = c":"
            size += 1
        size += write_group(out + size, (<uint32_t>ip[2 * i] << 8) | ip[2 * i + 1])
        i += 1
    return size


cdef uint32_t write_address(char* out, const FoundRow* row) noexcept nogil:
    cdef uint32_t size = 0
    cdef int i
    if not is_mapped(row):
        return write_v6(out, row.ip)
    for i in range(12, 16):             # whole words: the room of an address is always larger than its text
        memcpy(out + size, OCTETS[row.ip[i]].text, 4)
        size += OCTETS[row.ip[i]].size
    return size - 1                     # no dot after the last


cdef uint32_t write_text(char* out, const char* text) noexcept nogil:
    cdef uint32_t size = 0
    while text[size]:
        out[size] = text[size]
        size += 1
    return size


cdef uint32_t write_status(char* out, const FoundRow* row) noexcept nogil:
    return write_text(out, b"ok" if row.status == ROW_OK else b"renamed")


cdef uint32_t write_line(char* out, const FoundRow* row) noexcept nogil:
    cdef uint32_t size = write_text(out, b'{"ip":"')
    cdef Endpoint endpoint
    load_endpoint(row, &endpoint)
    size += write_address(out + size, row)
    size += write_text(out + size, b'","port":')
    size += write_number(out + size, row.port)
    size += write_text(out + size, b',"id":"')
    size += write_hex(out + size, row.id, ID_SIZE)
    size += write_text(out + size, b'","status":"')
    size += write_status(out + size, row)
    size += write_text(out + size, b'","rtt_us":')
    size += write_number(out + size, row.rtt_us)
    size += write_text(out + size, b',"v":')
    if row.has_version:
        out[size] = c'"'
        size += 1 + write_hex(out + size + 1, row.version, 4)
        out[size] = c'"'
        size += 1
    else:
        size += write_text(out + size, b"null")
    size += write_text(out + size, b',"bep42":')
    size += write_text(out + size, b"true" if is_secure_id(row.id, &endpoint) else b"false")
    size += write_text(out + size, b"}\n")
    return size


cdef Py_ssize_t count_rows(bytes block) except -1:
    if len(block) % sizeof(FoundRow):
        raise ValueError(f"a block of rows is {len(block)} bytes; a multiple of {ROW_SIZE} needed")
    return len(block) // sizeof(FoundRow)


cdef tuple write_column(bytes block, Write write, Py_ssize_t most):
    """Texts of at most `most` characters: offsets (int32, one more than rows) and characters."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const FoundRow* rows = <const FoundRow*>PyBytes_AS_STRING(block)
    cdef bytes offsets = PyBytes_FromStringAndSize(NULL, (count + 1) * 4)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * most)
    cdef uint32_t* offset = <uint32_t*>PyBytes_AS_STRING(offsets)
    cdef char* out = PyBytes_AS_STRING(text)
    cdef uint32_t size = 0
    with nogil:
        for i in range(count):
            offset[i] = size
            size += write(out + size, &rows[i])
        offset[count] = size
    return offsets, text[:size]


def ip_column(block: bytes) -> tuple[bytes, bytes]:
    """Addresses as text: offsets (int32, one more than rows) and characters. Raises ValueError for a broken block."""
    return write_column(block, write_address, MAX_ADDRESS_TEXT)


def status_column(block: bytes) -> tuple[bytes, bytes]:
    """The statuses as words, ok or renamed, likewise."""
    return write_column(block, write_status, MAX_STATUS)


def id_column(block: bytes) -> tuple[bytes, bytes]:
    """Ids as 40 hexadecimal digits each: offsets (int32, one more than rows) and characters."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const FoundRow* rows = <const FoundRow*>PyBytes_AS_STRING(block)
    cdef bytes offsets = PyBytes_FromStringAndSize(NULL, (count + 1) * 4)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * 2 * ID_SIZE)
    cdef uint32_t* offset = <uint32_t*>PyBytes_AS_STRING(offsets)
    cdef char* out = PyBytes_AS_STRING(text)
    with nogil:
        for i in range(count):
            offset[i] = <uint32_t>(i * 2 * ID_SIZE)
            write_hex(out + offset[i], rows[i].id, ID_SIZE)
        offset[count] = <uint32_t>(count * 2 * ID_SIZE)
    return offsets, text


def version_column(block: bytes) -> tuple[bytes, bytes, bytes]:
    """`v` as 8 hexadecimal digits: validity bits, offsets and characters; absent where the answer had no 4-byte `v`."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const FoundRow* rows = <const FoundRow*>PyBytes_AS_STRING(block)
    cdef bytes offsets = PyBytes_FromStringAndSize(NULL, (count + 1) * 4)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * 8)
    cdef bytes validity = bytes((count + 7) // 8)
    cdef uint32_t* offset = <uint32_t*>PyBytes_AS_STRING(offsets)
    cdef uint8_t* bits = <uint8_t*>PyBytes_AS_STRING(validity)
    cdef char* out = PyBytes_AS_STRING(text)
    cdef uint32_t size = 0
    with nogil:
        for i in range(count):
            offset[i] = size
            if rows[i].has_version:
                bits[i >> 3] |= 1 << (i & 7)
                size += write_hex(out + size, rows[i].version, 4)
        offset[count] = size
    return validity, offsets, text[:size]


def number_columns(block: bytes) -> tuple[bytes, bytes, bytes]:
    """Ports (uint16), round-trip times in µs (uint32), BEP 42 bits."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const FoundRow* rows = <const FoundRow*>PyBytes_AS_STRING(block)
    cdef bytes ports = PyBytes_FromStringAndSize(NULL, count * 2)
    cdef bytes rtts = PyBytes_FromStringAndSize(NULL, count * 4)
    cdef bytes secure = bytes((count + 7) // 8)
    cdef uint16_t* port = <uint16_t*>PyBytes_AS_STRING(ports)
    cdef uint32_t* rtt = <uint32_t*>PyBytes_AS_STRING(rtts)
    cdef uint8_t* bits = <uint8_t*>PyBytes_AS_STRING(secure)
    cdef Endpoint endpoint
    with nogil:
        for i in range(count):
            load_endpoint(&rows[i], &endpoint)
            port[i] = rows[i].port
            rtt[i] = rows[i].rtt_us
            bits[i >> 3] |= <uint8_t>is_secure_id(rows[i].id, &endpoint) << (i & 7)
    return ports, rtts, secure


def endpoints(block: bytes, most: int) -> list:
    """The compact endpoints (6 or 18 bytes) of the first `most` rows."""
    cdef const FoundRow* rows = <const FoundRow*>PyBytes_AS_STRING(block)
    cdef Py_ssize_t i
    cdef Endpoint endpoint
    found = []
    for i in range(min(count_rows(block), <Py_ssize_t>most)):
        load_endpoint(&rows[i], &endpoint)
        found.append(dump_compact(&endpoint))
    return found


def json_lines(block: bytes) -> bytes:
    """One JSON object per row, each on a line: ip, port, id, status, rtt_us, v (or null), bep42."""
    cdef Py_ssize_t count = count_rows(block), i
    cdef const FoundRow* rows = <const FoundRow*>PyBytes_AS_STRING(block)
    cdef bytes text = PyBytes_FromStringAndSize(NULL, count * MAX_LINE)
    cdef char* out = PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = 0
    with nogil:
        for i in range(count):
            size += write_line(out + size, &rows[i])
    return text[:size]
