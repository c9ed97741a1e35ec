"""Address ranges, sorted and disjoint, behind an index of their upper bits. Rate class: packet."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef enum:
    INDEX_BITS = 16
    INDEX_SIZE = 65537          # one more, so that a bucket ends where the next one begins


cdef struct RangeV6:
    uint64_t first_high
    uint64_t first_low
    uint64_t last_high
    uint64_t last_low


cdef class AddressRanges:
    cdef uint32_t* v4           # (first << 16) | last of each range's part in one /16
    cdef RangeV6* v6
    cdef uint32_t* index_v4     # how many parts lie below each /16 …
    cdef uint32_t* index_v6     # … and how many ranges begin below each bucket
    cdef readonly uint32_t count_v4
    cdef readonly uint32_t count_v6
    cdef uint64_t base_v6       # upper words below it are in no range …
    cdef uint64_t top_v6        # … as are those above this one
    cdef int shift_v6           # (upper word - base) >> shift is its bucket
    cdef int store_v4(self, list ranges) except -1
    cdef int store_v6(self, list ranges) except -1
    cdef bint holds_v4(self, uint32_t ip) noexcept nogil
    cdef bint holds_v6(self, uint64_t high, uint64_t low) noexcept nogil
