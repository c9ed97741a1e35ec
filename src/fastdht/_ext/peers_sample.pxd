"""Which info-hashes are shown to whoever asks for a sample. Rate class: packet. Source: BEP 51."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.hashing cimport Rng
from fastdht._ext.peers cimport PeerStore


cdef enum:
    MAX_SAMPLES = 20            # with 8 nodes 731 bytes


cdef class InfoHashSample:
    cdef PeerStore store
    cdef int64_t interval_us
    cdef int64_t drawn_us
    cdef uint32_t count         # 0: nothing is drawn
    cdef uint8_t drawn[MAX_SAMPLES][20]
    cdef Rng rng
    cdef uint32_t write(self, uint32_t limit, int64_t now_us, uint8_t* out) noexcept nogil  # how many of 20 bytes
    cdef int64_t seconds_left(self, int64_t now_us) noexcept nogil
    cdef uint32_t write_all(self, uint32_t limit, int64_t now_us, uint8_t* out) noexcept nogil
    cdef void draw(self, int64_t now_us) noexcept nogil
    cdef bint renew(self, uint32_t place, int64_t now_us) noexcept nogil
    cdef bint has_drawn(self, const uint8_t* info_hash) noexcept nogil
