"""Node ids: XOR distance, prefix length, BEP 42. Rate class: packet.

An id is 20 bytes in network order; compiled code passes `const uint8_t*`. A Distance holds the same 160 bits as
host-order words, so that comparing two is at most three integer compares.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.addresses cimport Endpoint, read_be32, read_be64
from fastdht._ext.hashing cimport Rng


cdef enum:
    ID_SIZE = 20
    COMPACT_NODE_V4 = 26    # bytes of a compact node (BEP 5)
    COMPACT_NODE_V6 = 38    # BEP 32


cdef struct Distance:
    uint64_t high           # bits 0-63, most significant first
    uint64_t middle         # bits 64-127
    uint32_t low            # bits 128-159


cdef struct Contact:        # a remote node: who and where
    Endpoint endpoint
    uint8_t id[20]


cdef bint is_secure_id(const uint8_t* node_id, const Endpoint* endpoint) noexcept nogil
cdef uint32_t secure_prefix(const Endpoint* endpoint, uint8_t last_byte) noexcept nogil
cdef void make_secure_id(const Endpoint* endpoint, Rng* rng, uint8_t* out) noexcept nogil
cdef int load_seed(bytes packed, Contact* out) except -1
cdef uint32_t crc32c(const uint8_t* data, uint32_t size) noexcept nogil


cdef inline Distance distance_between(const uint8_t* a, const uint8_t* b) noexcept nogil:
    cdef Distance d
    d.high = read_be64(a) ^ read_be64(b)
    d.middle = read_be64(a + 8) ^ read_be64(b + 8)
    d.low = read_be32(a + 16) ^ read_be32(b + 16)
    return d


cdef inline bint is_less(const Distance* a, const Distance* b) noexcept nogil:
    if a.high != b.high:
        return a.high < b.high
    if a.middle != b.middle:
        return a.middle < b.middle
    return a.low < b.low


cdef inline bint same_id(const uint8_t* a, const uint8_t* b) noexcept nogil:
    return memcmp(a, b, ID_SIZE) == 0


cdef int prefix_length(const uint8_t* a, const uint8_t* b) noexcept nogil
