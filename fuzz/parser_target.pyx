"""F1: the scanner and the decoder of messages, on inputs in blocks of exactly their size. Rate class: batch.

A block of its own per input lets AddressSanitizer see a read of one byte past either end. What is decoded must lie
inside the block: a span that does not is a defect even before anybody reads it.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcpy

from fastdht._ext.addresses cimport Endpoint, FAMILY_V4, FAMILY_V6
from fastdht._ext.bencode cimport (
    MESSAGE_DEPTH, MESSAGE_TOKENS, Scanner, Span, VALUE_DEPTH, VALUE_TOKENS, is_canonical, open_scanner, skip_value)
from fastdht._ext.krpc cimport DECODE_OK, Message, decode, next_value
from mutator cimport MAX_INPUT, Mutator

cdef extern from *:
    """
    /* A decoder with one check missing: the fuzzer must find it at once. Only the self-test calls it. */
    static volatile unsigned fuzz_sink;      /* or the compiler leaves the reads out */
    static unsigned fuzz_broken_string(const unsigned char* data, unsigned size) {
        unsigned length = 0, used = 0, sum = 0;
        while (used < size && data[used] >= '0' && data[used] <= '9') length = length * 10 + (data[used++] - '0');
        if (used == 0 || used >= size || data[used] != ':' || (int)(used + length + 1) > (int)size) return 0;
        for (unsigned i = 0; i < length && i < 4096; i++) sum += data[used + 1 + i];
        fuzz_sink = sum;
        return sum;
    }
    """
    uint32_t fuzz_broken_string(const uint8_t* data, uint32_t size) nogil


def run(Mutator mutator, uint64_t inputs, uint8_t[::1] current, bint is_broken=False) -> int:
    """Feed `inputs` inputs; `current` (8 + MAX_INPUT bytes) holds the one under way. Returns how many were decoded."""
    cdef uint8_t* buffer = &current[8]
    cdef uint64_t i, decoded = 0
    cdef uint32_t size
    if current.shape[0] < 8 + MAX_INPUT:
        raise ValueError(f"current is {current.shape[0]} bytes; {8 + MAX_INPUT} needed")
    with nogil:
        for i in range(inputs):
            size = mutator.next_input(buffer)
            memcpy(&current[0], &size, 4)
            decoded += feed(buffer, size, is_broken)
    return decoded


def feed_one(data: bytes) -> bool:
    """One input, for replay; whether it was decoded."""
    return feed(data, <uint32_t>len(data), False)


cdef bint feed(const uint8_t* data, uint32_t size, bint is_broken) noexcept nogil:
    cdef uint8_t* block = <uint8_t*>malloc(size if size else 1)
    cdef Message message
    cdef Scanner scanner
    cdef bint is_decoded
    cdef uint32_t i
    memcpy(block, data, size)
    if is_broken:
        for i in range(size):
            fuzz_broken_string(block + i, size - i)
    scanner = open_scanner(block, size, MESSAGE_DEPTH, MESSAGE_TOKENS)
    if skip_value(&scanner):
        require(block < scanner.at <= block + size and scanner.depth == 0)
    is_canonical(block, size, VALUE_DEPTH, VALUE_TOKENS)
    is_decoded = decode(block, size, &message) == DECODE_OK
    if is_decoded:
        check_message(&message, block, size)
    free(block)
    return is_decoded


cdef void check_message(const Message* message, const uint8_t* block, uint32_t size) noexcept nogil:
    """Every slot points into the datagram, and peers can be taken to the end."""
    cdef Span one
    one.size = 20
    one.data = message.id
    check_span(&one, block, size)
    one.data = message.target
    check_span(&one, block, size)
    check_span(&message.tid, block, size)
    check_span(&message.method_name, block, size)
    check_span(&message.arguments, block, size)
    check_span(&message.version, block, size)
    check_span(&message.external, block, size)
    check_span(&message.token, block, size)
    check_span(&message.nodes, block, size)
    check_span(&message.nodes6, block, size)
    check_span(&message.values, block, size)
    check_span(&message.value, block, size)
    check_span(&message.key, block, size)
    check_span(&message.signature, block, size)
    check_span(&message.salt, block, size)
    check_span(&message.samples, block, size)
    check_span(&message.seed_filter, block, size)
    check_span(&message.peer_filter, block, size)
    check_span(&message.error_text, block, size)
    require(message.nodes.size % 26 == 0 and message.nodes6.size % 38 == 0 and message.tid.size <= 32)
    take_all(message.values, FAMILY_V4, size)
    take_all(message.values, FAMILY_V6, size)
    if message.value.data != NULL:
        is_canonical(message.value.data, message.value.size, VALUE_DEPTH, VALUE_TOKENS)


cdef void take_all(Span values, int family, uint32_t size) noexcept nogil:
    cdef Endpoint endpoint
    cdef uint32_t taken = 0
    while values.data != NULL and next_value(&values, family, &endpoint):
        taken += 1
        require(taken <= size)


cdef void check_span(const Span* span, const uint8_t* block, uint32_t size) noexcept nogil:
    if span.data != NULL:
        require(block <= span.data and span.data + span.size <= block + size)


cdef inline void require(bint condition) noexcept nogil:
    if not condition:
        abort()
