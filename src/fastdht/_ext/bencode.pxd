"""Bencode without objects: a bounded scanner and a writer over raw bytes. Rate class: packet.

The scanner never recurses, never allocates and never reads at or past `end`; every step consumes at least one byte.
Limits: BEP 3 sets none; ours are 10 deep and 512 tokens for a message, 64 deep and 1,024 tokens inside `v`.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    MESSAGE_DEPTH = 10
    MESSAGE_TOKENS = 512
    VALUE_DEPTH = 64
    VALUE_TOKENS = 1024
    MAX_LENGTH_DIGITS = 5       # of a string inside a datagram


cdef struct Span:               # bytes inside somebody else's buffer; data is NULL when absent
    const uint8_t* data
    uint32_t size


cdef struct Scanner:
    const uint8_t* at
    const uint8_t* end
    uint32_t depth              # containers open now
    uint32_t max_depth
    uint32_t tokens_left


cdef bint scan_string(Scanner* scanner, Span* out) noexcept nogil
cdef bint scan_integer(Scanner* scanner, int64_t* out) noexcept nogil
cdef bint skip_value(Scanner* scanner) noexcept nogil
cdef bint is_canonical(const uint8_t* data, uint32_t size, uint32_t max_depth, uint32_t max_tokens) noexcept nogil
cdef uint32_t write_decimal(uint8_t* out, int64_t value) noexcept nogil     # returns the bytes written, ≤ 20
cdef uint32_t write_string(uint8_t* out, const uint8_t* data, uint32_t size) noexcept nogil
