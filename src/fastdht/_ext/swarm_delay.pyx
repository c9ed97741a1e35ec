"""Queries that wait for their node's round-trip time: a timing wheel of 1 ms. Rate class: packet.

Each node has one delay for all its life: log-normal with median 120 ms and 90 % below 400 ms, but 2 % of the nodes
take 2 to 6 s. A query waits once, for the whole round trip; its answer is made when it is due.
"""
from libc.math cimport exp
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from statistics import NormalDist

from fastdht._ext.hashing cimport mix_words

MEDIAN_US = 117_330             # of the 98 % that are not slow; with these two figures half of all nodes take less
SPREAD = 0.880                  # than 120 ms and 90 % less than 400 ms; it is the deviation of the logarithm
SLOW_SHARE = 0.02
SLOW_US = (2_000_000, 6_000_000)


cdef class DelayLine:
    """`seed` decides which node is how far away."""

    def __cinit__(self, seed):
        cdef int i
        cdef uint32_t slot
        self.key.k0 = (seed * 0x9E3779B97F4A7C15 + 1) & 0xFFFFFFFFFFFFFFFF
        self.key.k1 = 0x0DE1A7
        self.slots = <Waiting*>calloc(DELAY_SLOTS, sizeof(Waiting))
        self.ticks = <uint32_t*>calloc(WHEEL_TICKS, sizeof(uint32_t))
        if not self.slots or not self.ticks:
            raise MemoryError("no memory for delayed queries")
        for slot in range(DELAY_SLOTS - 1):
            self.slots[slot].next = slot + 2
        self.free_first = 1
        for i in range(QUANTILES):
            self.delays_us[i] = delay_at((i + 0.5) / QUANTILES)

    def __dealloc__(self):
        free(self.slots)
        free(self.ticks)

    cdef int64_t delay_of(self, uint32_t serial) noexcept nogil:  # R0
        return self.delays_us[mix_words(&self.key, serial, 7) & (QUANTILES - 1)]

    cdef bint put(self, const Asked* asked, uint32_t serial, int64_t now_us) noexcept nogil:  # R0
        """Keep a copy until it is due; False when it is too large or too many wait."""
        cdef uint32_t slot = self.free_first
        cdef Waiting* waiting
        cdef int64_t due
        if asked.size > DELAY_BYTES or slot == 0:
            return False
        if self.count == 0 or self.tick == 0:
            self.tick = now_us // 1000
        due = max((now_us + self.delay_of(serial)) // 1000, self.tick) % WHEEL_TICKS
        waiting = &self.slots[slot - 1]
        self.free_first = waiting.next
        self.count += 1
        waiting.serial = serial
        waiting.place = asked.place
        waiting.source_ip = asked.source_ip
        waiting.source_port = asked.source_port
        waiting.size = <uint16_t>asked.size
        memcpy(waiting.data, asked.data, asked.size)
        waiting.next = self.ticks[due]
        self.ticks[due] = slot
        return True

    cdef Waiting* take(self, int64_t now_us) noexcept nogil:  # R0
        """One query that is due, its slot already free; NULL when there is none."""
        cdef int64_t now = now_us // 1000
        cdef uint32_t slot
        cdef Waiting* waiting
        while self.count and self.tick <= now:
            slot = self.ticks[self.tick % WHEEL_TICKS]
            if slot == 0:
                self.tick += 1
                continue
            waiting = &self.slots[slot - 1]
            self.ticks[self.tick % WHEEL_TICKS] = waiting.next
            waiting.next = self.free_first
            self.free_first = slot
            self.count -= 1
            return waiting
        return NULL

    def delay(self, serial: int) -> int:
        """The round-trip time of a node, microseconds."""
        return self.delay_of(serial)


cdef int64_t delay_at(double quantile) except -1:
    """Microseconds below which that share of the nodes answers."""
    if quantile > 1 - SLOW_SHARE:
        low, high = SLOW_US
        return round(low + (high - low) * (quantile - 1 + SLOW_SHARE) / SLOW_SHARE)
    return round(MEDIAN_US * exp(SPREAD * NormalDist().inv_cdf(quantile / (1 - SLOW_SHARE))))
