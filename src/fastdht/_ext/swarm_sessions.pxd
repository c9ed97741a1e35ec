"""When the virtual nodes that come and go are there. Rate class: packet."""
from libc.stdint cimport int64_t, uint32_t

from fastdht._ext.hashing cimport HashKey


cdef enum:
    LENGTHS = 1024              # quantiles of a session's length
    STEADY_NODES = 8            # the first: where crawls start
    SESSION_RECORD_SIZE = 16    # of the truth: serial, up, down, into, uint32 each


cdef struct Cycle:              # of one node, over and over; ms
    int64_t up
    int64_t down
    int64_t into                # how far into it the node is when the network starts


cdef class Sessions:
    cdef HashKey key
    cdef uint32_t share_limit   # of 65536
    cdef int64_t lengths_ms[LENGTHS]
    cdef bint churns(self, uint32_t serial) noexcept nogil
    cdef bint is_away(self, uint32_t serial, int64_t elapsed_us) noexcept nogil
    cdef void cycle_of(self, uint32_t serial, Cycle* out) noexcept nogil
