"""How often each virtual node has answered each address lately. Rate class: packet."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastdht._ext.hashing cimport HashKey


cdef enum:
    LIMIT_SETS = 1 << 18        # of four: a million pairs of node and asker, 16 MB
    LIMIT_WAYS = 4
    LIMIT_WINDOW_US = 10000000  # as libtorrent counts


cdef struct Askings:            # of one address at one node
    uint64_t mark               # of both; 0: free
    uint32_t started_ms         # when its window began
    uint32_t count


cdef class AnswerLimit:
    cdef HashKey key
    cdef Askings* askings
    cdef readonly uint64_t forgotten    # windows that ended early, for want of room
    cdef bint is_over(self, uint32_t serial, uint32_t source_ip, uint32_t limit, int64_t now_us) noexcept nogil
