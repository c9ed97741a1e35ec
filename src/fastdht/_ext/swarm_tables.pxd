"""Routing tables that are generated, not stored. Rate class: packet."""
from libc.stdint cimport uint32_t, uint64_t

from fastdht._ext.hashing cimport HashKey
from fastdht._ext.swarm_population cimport Population


cdef enum:
    MAX_WIDTH = 20              # contacts in one reply; BEP 5 says 8, some clients send up to 20
    MAX_CANDIDATES = 2048       # 64 buckets of at most MAX_WIDTH, and room to spare
    WIDENED_BUCKETS = 4         # libtorrent's first buckets hold 128, 64, 32 and 16


cdef struct TableShape:         # how one virtual node keeps its table
    uint64_t prefix             # its id's first 8 bytes
    uint32_t place
    uint32_t width              # bucket size and contacts per reply
    bint is_widened             # libtorrent's larger first buckets


cdef uint32_t closest_contacts(Population people, const HashKey* key, const TableShape* shape, uint64_t target,
                               uint32_t* out) noexcept nogil
cdef uint32_t pick_bucket(Population people, const HashKey* key, const TableShape* shape, uint32_t salt,
                          uint32_t low, uint32_t high, uint32_t* out) noexcept nogil
cdef bint is_among_closest(Population people, uint64_t own_prefix, uint64_t target, uint32_t count) noexcept nogil
