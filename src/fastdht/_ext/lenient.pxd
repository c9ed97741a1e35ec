"""Lenient steps of a KRPC decoder over the bencode scanner. Rate class: packet.

A step that meets another type than it wants skips the value and leaves its target alone: that slot counts as absent.
False means that the bytes are no bencode, or break a limit; the scanner's `fault` says which.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastdht._ext.bencode cimport (
    FAULT_DEPTH, FAULT_SYNTAX, VALUE_DEPTH, VALUE_TOKENS, Scanner, Span, count_token, is_digit, open_scanner,
    scan_integer, scan_string, skip_value, stop_scan)


cdef inline void clear(Span* span) noexcept nogil:
    span.data = NULL
    span.size = 0


cdef inline uint8_t peek(const Scanner* scanner) noexcept nogil:
    return scanner.at[0] if scanner.at < scanner.end else 0


cdef inline bint enter(Scanner* scanner, uint8_t opening) noexcept nogil:
    """Step into a list or dictionary."""
    if peek(scanner) != opening:
        return stop_scan(scanner, FAULT_SYNTAX)
    if scanner.depth >= scanner.max_depth:
        return stop_scan(scanner, FAULT_DEPTH)
    scanner.at += 1
    scanner.depth += 1
    return count_token(scanner)


cdef inline bint is_peer(const uint8_t* at, uint64_t left) noexcept nogil:
    """Whether a peer's string of 6 bytes starts here: nearly every element of a list of values is one."""
    return left >= 8 and at[0] == c"6" and at[1] == c":"


cdef inline bint has_more(Scanner* scanner) noexcept nogil:
    """Whether the open container goes on; its `e` is consumed. Running off the end is left to the next step."""
    if peek(scanner) == c"e":
        scanner.at += 1
        scanner.depth -= 1
        return False
    return True


cdef inline bint read_string(Scanner* scanner, Span* out) noexcept nogil:
    return scan_string(scanner, out) if is_digit(peek(scanner)) else skip_value(scanner)


cdef inline bint read_number(Scanner* scanner, int64_t* out, uint32_t* present, uint32_t bit) noexcept nogil:
    """An integer, whose presence is a bit."""
    if peek(scanner) != c"i":
        return skip_value(scanner)
    present[0] |= bit
    return scan_integer(scanner, out)


cdef inline bint read_flag(Scanner* scanner, uint8_t* out) noexcept nogil:
    """An integer as 0 or 1."""
    cdef int64_t number = 0
    if peek(scanner) != c"i":
        return skip_value(scanner)
    if not scan_integer(scanner, &number):
        return False
    out[0] = number != 0
    return True


cdef inline bint skip_stored_value(Scanner* scanner) noexcept nogil:
    """Skip a value of BEP 44, which has limits of its own: 1,000 bytes may hold 500 small integers."""
    cdef Scanner inner = open_scanner(scanner.at, <uint32_t>(scanner.end - scanner.at), VALUE_DEPTH, VALUE_TOKENS)
    if not skip_value(&inner):
        return stop_scan(scanner, inner.fault)
    scanner.at = inner.at
    return True
