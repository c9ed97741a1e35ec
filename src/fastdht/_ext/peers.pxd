"""Announced peers of one address family: bounded, expiring, fair per source. Rate class: packet.

Source: BEP 5 (announce_peer), BEP 33 (seeds), and the ceilings of docs/design.md.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport HashKey, Rng


cdef class PeerStore:
    # data layout: see peers.pyx
    cdef bint add(self, const uint8_t* info_hash, const Endpoint* peer, bint is_seed, int64_t now_us) noexcept nogil
    cdef uint32_t write_values(self, const uint8_t* info_hash, bint noseed, uint32_t limit, Rng* rng, int64_t now_us, uint8_t* out, uint32_t* written) noexcept nogil
    cdef uint32_t expire(self, int64_t now_us, uint32_t budget) noexcept nogil
