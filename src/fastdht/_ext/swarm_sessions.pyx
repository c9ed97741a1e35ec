"""When the virtual nodes that come and go are there. Rate class: packet (is_away), command (records).

Nothing is stored: each such node repeats one session and one absence of its own, both drawn from its serial, and the
network starts at a random moment of that cycle. So the share that is there stays the same, and whether a node is can be
told for any time. Lengths: Weibull, shape 0.43, which fits the two figures known of the live network (half of all
sessions end within 200 minutes, 3 % last 9,000); a test gives another median.
"""
from math import log

from libc.stdint cimport uint32_t, uint64_t

from fastdht._ext.hashing cimport Rng, mix_words, next_random, seed_rng

SHAPE = 0.43
LEAST_MS = 1_000                # no node blinks faster than a question takes
MOST_MS = 30 * 86_400_000       # so that 32 bits hold it


cdef class Sessions:
    """`share` of the honest nodes come and go, half of their sessions and of their absences within `median_s`."""

    def __cinit__(self, seed, double share, double median_s):
        cdef Rng rng
        cdef int i
        seed_rng(&rng, (seed ^ 0x5E5510) & 0xFFFFFFFFFFFFFFFF)
        self.key.k0 = next_random(&rng)
        self.key.k1 = next_random(&rng)
        self.share_limit = round(share * 65536)
        for i in range(LENGTHS):
            quantile = (i + 0.5) / LENGTHS
            length = 1000 * median_s * (log(1 - quantile) / log(0.5)) ** (1 / SHAPE)
            self.lengths_ms[i] = round(min(max(length, LEAST_MS), MOST_MS))

    cdef bint churns(self, uint32_t serial) noexcept nogil:  # R0
        return serial >= STEADY_NODES and (mix_words(&self.key, serial, 0) & 0xFFFF) < self.share_limit

    cdef void cycle_of(self, uint32_t serial, Cycle* out) noexcept nogil:  # R0
        cdef uint64_t word = mix_words(&self.key, serial, 1)
        out.up = self.lengths_ms[word & (LENGTHS - 1)]
        out.down = self.lengths_ms[(word >> 32) & (LENGTHS - 1)]
        out.into = <int64_t>(mix_words(&self.key, serial, 2) % <uint64_t>(out.up + out.down))

    cdef bint is_away(self, uint32_t serial, int64_t elapsed_us) noexcept nogil:  # R0
        """Whether a node is absent, so long after the network's start."""
        cdef Cycle cycle
        if not self.churns(serial):
            return False
        self.cycle_of(serial, &cycle)
        return (cycle.into + elapsed_us // 1000) % (cycle.up + cycle.down) >= cycle.up

    def records(self, start: int, count: int) -> bytes:
        """Those of `count` honest nodes from serial `start` that come and go, 16 bytes each: serial, up, down and into,
        native uint32, the last three in ms. A node is there when (into + elapsed) % (up + down) < up."""
        cdef uint32_t serial, found = 0, first = start, last = start + count
        cdef bytearray out = bytearray(<Py_ssize_t>(last - first) * SESSION_RECORD_SIZE)
        cdef uint32_t* at = <uint32_t*><char*>out
        cdef Cycle cycle
        with nogil:
            for serial in range(first, last):
                if self.churns(serial):
                    self.cycle_of(serial, &cycle)
                    at[0] = serial
                    at[1] = <uint32_t>cycle.up
                    at[2] = <uint32_t>cycle.down
                    at[3] = <uint32_t>cycle.into
                    at += 4
                    found += 1
        return bytes(out[:found * SESSION_RECORD_SIZE])
