"""A bounded cursor that appends bencode to a packet. Rate class: packet.

Once something did not fit, `is_full` is set and everything later is dropped: encoders check once, at their end.
All of it is inlined, so that fragments of constant size become plain stores.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from fastdht._ext.addresses cimport COMPACT_V6, Endpoint, write_compact
from fastdht._ext.bencode cimport Span, write_decimal


cdef struct Writer:
    uint8_t* at
    uint8_t* end
    bint is_full


cdef inline Writer open_writer(uint8_t* out, uint32_t size) noexcept nogil:
    cdef Writer writer
    writer.at = out
    writer.end = out + size
    writer.is_full = False
    return writer


cdef inline bint has_room(Writer* writer, uint32_t size) noexcept nogil:
    if <size_t>(writer.end - writer.at) < size:
        writer.is_full = True
        writer.end = writer.at      # a later, smaller piece must not fit either
        return False
    return True


cdef inline void put_raw(Writer* writer, const void* data, uint32_t size) noexcept nogil:
    if has_room(writer, size):
        memcpy(writer.at, data, size)
        writer.at += size


cdef inline void put_number(Writer* writer, int64_t value) noexcept nogil:
    cdef uint8_t digits[20]
    put_raw(writer, digits, write_decimal(digits, value))


cdef inline void put_length(Writer* writer, uint32_t size) noexcept nogil:
    """The length of a string and its colon; those of up to three digits without a loop."""
    cdef uint8_t digits[11]
    cdef uint32_t used = 0
    if size >= 1000:
        used = write_decimal(digits, size)
    else:
        if size >= 100:
            digits[0] = <uint8_t>(48 + size / 100)
            used = 1
        if size >= 10:
            digits[used] = <uint8_t>(48 + size / 10 % 10)
            used += 1
        digits[used] = <uint8_t>(48 + size % 10)
        used += 1
    digits[used] = c":"
    put_raw(writer, digits, used + 1)


cdef inline void put_string(Writer* writer, const uint8_t* data, uint32_t size) noexcept nogil:
    put_length(writer, size)
    put_raw(writer, data, size)


cdef inline void put_string_key(Writer* writer, const char* key, uint32_t key_size, const Span* text) noexcept nogil:
    """A key, given bencoded, and its string; nothing when the string is absent."""
    if text.data != NULL:
        put_raw(writer, key, key_size)
        put_string(writer, text.data, text.size)


cdef inline void put_raw_key(Writer* writer, const char* key, uint32_t key_size, const Span* encoded) noexcept nogil:
    """Likewise, of a value that is bencoded already."""
    if encoded.data != NULL:
        put_raw(writer, key, key_size)
        put_raw(writer, encoded.data, encoded.size)


cdef inline void put_number_key(Writer* writer, const char* key, uint32_t key_size, int64_t value) noexcept nogil:
    """A key, given bencoded with the `i` of its integer, and the integer."""
    put_raw(writer, key, key_size)
    put_number(writer, value)
    put_raw(writer, b"e", 1)


cdef inline void put_external(Writer* writer, const Endpoint* external) noexcept nogil:
    """`ip` of BEP 42; nothing when it is not known."""
    cdef uint8_t packed[COMPACT_V6]
    cdef uint32_t size
    if external != NULL:
        size = write_compact(external, packed)
        put_raw(writer, b"2:ip", 4)
        put_string(writer, packed, size)
