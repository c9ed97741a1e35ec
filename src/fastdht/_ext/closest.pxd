"""The live entries closest to a target. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastdht._ext.buckets cimport KBuckets


cdef struct Ranked:             # a live entry at its distance from some target
    uint64_t high
    uint64_t middle
    uint32_t low
    uint32_t entry


cdef uint32_t find_closest(KBuckets table, const uint8_t* target, uint32_t limit, Ranked* out) noexcept nogil
