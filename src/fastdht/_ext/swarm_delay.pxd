"""Queries that wait for their node's round-trip time. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastdht._ext.hashing cimport HashKey
from fastdht._ext.swarm cimport Asked


cdef enum:
    DELAY_SLOTS = 131072        # waiting at once: 200k queries/s at a mean of 0.3 s would need half of them
    DELAY_BYTES = 232           # of a waiting query; a larger one is answered at once
    WHEEL_TICKS = 8192          # of 1 ms: longer than the longest delay
    QUANTILES = 1024


cdef struct Waiting:
    uint32_t next               # slot + 1; 0 ends a list
    uint32_t serial
    uint32_t place
    uint32_t source_ip
    uint16_t source_port
    uint16_t size
    uint32_t spare
    uint8_t data[DELAY_BYTES]


cdef class DelayLine:
    cdef Waiting* slots
    cdef uint32_t* ticks        # first of each tick's list, slot + 1
    cdef uint32_t free_first
    cdef uint32_t count
    cdef int64_t tick           # the next to run, ms
    cdef HashKey key
    cdef int64_t delays_us[QUANTILES]
    cdef bint put(self, const Asked* asked, uint32_t serial, int64_t now_us) noexcept nogil
    cdef Waiting* take(self, int64_t now_us) noexcept nogil     # valid until the next put
    cdef int64_t delay_of(self, uint32_t serial) noexcept nogil
