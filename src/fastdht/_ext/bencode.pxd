"""Bencode without objects: a bounded scanner and a writer over raw bytes. Rate class: packet.

The scanner never recurses, never allocates and never reads at or past `end`; every step consumes at least one byte.
It reads what the network sends: leading zeros, `-0`, unsorted and repeated keys pass; `is_canonical` is the strict one.
Limits: BEP 3 sets none; ours are 10 deep and 512 tokens for a message, 64 deep and 1,024 tokens inside `v`. A token
is an integer, a string (a key is one too), a list or a dictionary. An integer must fit 64 bits.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    MESSAGE_DEPTH = 10
    MESSAGE_TOKENS = 512
    VALUE_DEPTH = 64
    VALUE_TOKENS = 1024
    MAX_LENGTH_DIGITS = 5       # of a string inside a datagram
    MAX_INTEGER_DIGITS = 19     # as many as 2^63 has; their sum cannot overflow 64 unsigned bits


cdef enum Fault:                # why a scan stopped
    FAULT_NONE
    FAULT_SYNTAX
    FAULT_DEPTH
    FAULT_TOKENS


cdef struct Span:               # bytes inside somebody else's buffer; data is NULL when absent
    const uint8_t* data
    uint32_t size


cdef struct Scanner:
    const uint8_t* at
    const uint8_t* end
    uint32_t depth              # containers open now
    uint32_t max_depth
    uint32_t tokens_left
    uint32_t fault              # Fault; set by the step that returned False


cdef bint skip_value(Scanner* scanner) noexcept nogil
cdef bint is_canonical(const uint8_t* data, uint32_t size, uint32_t max_depth, uint32_t max_tokens) noexcept nogil
cdef uint32_t write_decimal(uint8_t* out, int64_t value) noexcept nogil     # returns the bytes written, ≤ 20
cdef uint32_t write_string(uint8_t* out, const uint8_t* data, uint32_t size) noexcept nogil


cdef inline Scanner open_scanner(
    const uint8_t* data, uint32_t size, uint32_t max_depth, uint32_t max_tokens) noexcept nogil:
    cdef Scanner scanner
    scanner.at = data
    scanner.end = data + size
    scanner.depth = 0
    scanner.max_depth = max_depth
    scanner.tokens_left = max_tokens
    scanner.fault = FAULT_NONE
    return scanner


cdef inline bint stop_scan(Scanner* scanner, uint32_t fault) noexcept nogil:
    scanner.fault = fault
    return False


cdef inline bint count_token(Scanner* scanner) noexcept nogil:
    if scanner.tokens_left == 0:
        return stop_scan(scanner, FAULT_TOKENS)
    scanner.tokens_left -= 1
    return True


cdef inline bint is_digit(uint8_t byte) noexcept nogil:
    return <uint8_t>(byte - 48) <= 9


cdef inline bint scan_string(Scanner* scanner, Span* out) noexcept nogil:
    """Read a byte string; its length is refused before anything is added to a pointer."""
    cdef const uint8_t* p = scanner.at
    cdef uint64_t left = <uint64_t>(scanner.end - p)
    cdef uint64_t used = 0
    cdef uint64_t length = 0
    if left >= 2 and p[1] == c":" and is_digit(p[0]):       # nearly every string: no loop over its length
        length = p[0] - 48
        if length > left - 2:
            return stop_scan(scanner, FAULT_SYNTAX)
        out.data = p + 2
        out.size = <uint32_t>length
        scanner.at = p + 2 + length
        return count_token(scanner)
    while used < left and used <= MAX_LENGTH_DIGITS and is_digit(p[used]):
        length = length * 10 + (p[used] - 48)
        used += 1
    if used == 0 or used > MAX_LENGTH_DIGITS or used == left or p[used] != c":":
        return stop_scan(scanner, FAULT_SYNTAX)
    used += 1
    if length > left - used:
        return stop_scan(scanner, FAULT_SYNTAX)
    out.data = p + used
    out.size = <uint32_t>length
    scanner.at = p + used + length
    return count_token(scanner)


cdef inline bint scan_integer(Scanner* scanner, int64_t* out) noexcept nogil:
    """Read `i…e`; what does not fit 64 signed bits is malformed."""
    cdef const uint8_t* p = scanner.at
    cdef uint64_t left = <uint64_t>(scanner.end - p)
    cdef uint64_t used, first
    cdef uint64_t value = 0
    cdef uint64_t negative = 0
    if left < 3 or p[0] != c"i":
        return stop_scan(scanner, FAULT_SYNTAX)
    negative = p[1] == c"-"
    first = 1 + negative
    used = first
    while used < left and used - first < MAX_INTEGER_DIGITS and is_digit(p[used]):
        value = value * 10 + (p[used] - 48)
        used += 1
    if used == first or used == left or p[used] != c"e" or value > (<uint64_t>0x7FFFFFFFFFFFFFFF + negative):
        return stop_scan(scanner, FAULT_SYNTAX)
    out[0] = <int64_t>(0 - value if negative else value)
    scanner.at = p + used + 1
    return count_token(scanner)
