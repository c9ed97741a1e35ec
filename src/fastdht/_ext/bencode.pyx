"""Bencode without objects: skipping, the strict check and writing. Rate class: packet.

Theory: containers that stand open are one bit each (dictionary or list) in a 64-bit word, so that skipping needs
neither recursion nor memory. Inside a dictionary a key is due first, then a value, in turn.
Source: BEP 3, "bencoding"; BEP 44 asks for canonical form in a put.
"""
from libc.string cimport memcmp


cdef bint open_container(Scanner* scanner) noexcept nogil:  # R0
    if scanner.depth >= scanner.max_depth:
        return stop_scan(scanner, FAULT_DEPTH)
    scanner.depth += 1
    scanner.at += 1
    return count_token(scanner)


cdef bint skip_scalar(Scanner* scanner) noexcept nogil:  # R0
    cdef Span text
    cdef int64_t number
    if scanner.at < scanner.end and scanner.at[0] == c"i":
        return scan_integer(scanner, &number)
    return scan_string(scanner, &text)


cdef bint skip_value(Scanner* scanner) noexcept nogil:  # R0
    """Step over one value of any kind. Its own nesting is at most 64, whatever max_depth says."""
    cdef uint64_t is_dict = 0           # bit n: the container n levels out of the innermost one
    cdef uint32_t nested = 0
    cdef bint key_due = False
    cdef uint8_t byte
    while True:
        if scanner.at >= scanner.end:
            return stop_scan(scanner, FAULT_SYNTAX)
        byte = scanner.at[0]
        if byte == c"e":
            if nested == 0 or (is_dict & 1 and not key_due):
                return stop_scan(scanner, FAULT_SYNTAX)
            scanner.at += 1
            scanner.depth -= 1
            nested -= 1
            is_dict >>= 1
        elif key_due:
            if not skip_key(scanner):
                return False
            key_due = False
            continue
        elif byte == c"d" or byte == c"l":
            if nested == 64:
                return stop_scan(scanner, FAULT_DEPTH)
            if not open_container(scanner):
                return False
            nested += 1
            is_dict = (is_dict << 1) | (byte == c"d")
        elif not skip_scalar(scanner):
            return False
        if nested == 0:
            return True
        key_due = is_dict & 1


cdef inline bint skip_key(Scanner* scanner) noexcept nogil:
    cdef Span key
    return scan_string(scanner, &key)


cdef bint is_canonical_number(const uint8_t* digits) noexcept nogil:  # R0
    """No leading zero and no -0; the digits end with a byte that is none."""
    if digits[0] == c"-":
        return digits[1] != c"0"
    return digits[0] != c"0" or not is_digit(digits[1])


cdef bint comes_after(const Span* key, const Span* previous) noexcept nogil:  # R0
    cdef uint32_t shared = min(key.size, previous.size)
    cdef int order = memcmp(key.data, previous.data, shared)
    return order > 0 or (order == 0 and key.size > previous.size)


cdef bint is_canonical(
    const uint8_t* data, uint32_t size, uint32_t max_depth, uint32_t max_tokens) noexcept nogil:  # R0
    """Whether the bytes are exactly one canonical value: keys sorted and unique, shortest numbers, nothing after it.

    max_depth is cut to MESSAGE_DEPTH + VALUE_DEPTH, which is what the key stack holds.
    """
    cdef Span last_key[MESSAGE_DEPTH + VALUE_DEPTH]     # of each open dictionary; NULL data: none yet
    cdef uint8_t is_dict[MESSAGE_DEPTH + VALUE_DEPTH]
    cdef Span text
    cdef const uint8_t* start
    cdef bint key_due = False
    cdef uint8_t byte
    cdef Scanner scanner = open_scanner(data, size, min(max_depth, <uint32_t>(MESSAGE_DEPTH + VALUE_DEPTH)), max_tokens)
    while scanner.at < scanner.end:
        start = scanner.at
        byte = start[0]
        if byte == c"e":
            if scanner.depth == 0 or (is_dict[scanner.depth - 1] and not key_due):
                return False
            scanner.at += 1
            scanner.depth -= 1
        elif key_due:
            if not scan_string(&scanner, &text) or not is_canonical_number(start):
                return False
            if last_key[scanner.depth - 1].data != NULL and not comes_after(&text, &last_key[scanner.depth - 1]):
                return False
            last_key[scanner.depth - 1] = text
            key_due = False
            continue
        elif byte == c"d" or byte == c"l":
            if not open_container(&scanner):
                return False
            is_dict[scanner.depth - 1] = byte == c"d"
            last_key[scanner.depth - 1].data = NULL
        elif not skip_scalar(&scanner) or not is_canonical_number(start + (byte == c"i")):
            return False
        if scanner.depth == 0:
            return scanner.at == scanner.end
        key_due = is_dict[scanner.depth - 1]
    return False


cdef uint32_t write_decimal(uint8_t* out, int64_t value) noexcept nogil:  # R0
    cdef uint8_t digits[20]
    cdef uint32_t count = 0
    cdef uint32_t sign = value < 0
    cdef uint64_t rest = 0 - <uint64_t>value if sign else <uint64_t>value
    while True:
        count += 1
        digits[20 - count] = <uint8_t>(48 + rest % 10)
        rest //= 10
        if rest == 0:
            break
    out[0] = c"-"
    memcpy(out + sign, digits + 20 - count, count)
    return count + sign


cdef uint32_t write_string(uint8_t* out, const uint8_t* data, uint32_t size) noexcept nogil:  # R0
    cdef uint32_t used = write_decimal(out, size)
    out[used] = c":"
    memcpy(out + used + 1, data, size)
    return used + 1 + size


def scan(data: bytes, max_depth: int = MESSAGE_DEPTH, max_tokens: int = MESSAGE_TOKENS) -> int:
    """Size in bytes of the first bencoded value in `data`, or -1 when the scanner refuses it; for tests and tools."""
    cdef const uint8_t* start = data
    cdef Scanner scanner = open_scanner(start, <uint32_t>len(data), max_depth, max_tokens)
    return scanner.at - start if skip_value(&scanner) else -1


def canonical(data: bytes, max_depth: int = VALUE_DEPTH, max_tokens: int = VALUE_TOKENS) -> bool:
    """Whether `data` is exactly one canonical bencoded value (BEP 44's demand on a put); for tests and tools."""
    return is_canonical(data, <uint32_t>len(data), max_depth, max_tokens)
