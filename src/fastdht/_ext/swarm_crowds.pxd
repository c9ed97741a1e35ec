"""How many peers the torrents of a virtual network have, and what each node knows of them. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastdht._ext.hashing cimport HashKey
from fastdht._ext.krpc cimport Message
from fastdht._ext.swarm_replies cimport Draft


cdef enum:
    CROWD_RECORD_SIZE = 16      # of the truth: seeds, others, first address, stride, 4 each


cdef struct Crowd:              # the peers of one torrent; the first `seeds` of them have it all
    uint32_t seeds
    uint32_t others
    uint32_t first              # low 24 bits of the first address under 127/8
    uint32_t stride             # odd: from each address to the next, modulo 2^24
    uint64_t name               # of the torrent, for keyed choices


cdef class Crowds:
    cdef HashKey key
    cdef double log_largest
    cdef uint32_t full_limit    # of 65536: nodes whose filters are full
    cdef void gather(self, const uint8_t* info_hash, Crowd* crowd) noexcept nogil
    cdef void tell(self, uint32_t serial, const Message* message, Draft* draft) noexcept nogil
    # private
    cdef bint has_heard(self, const Crowd* crowd, uint32_t serial, uint32_t number) noexcept nogil
    cdef void write_filters(self, const Crowd* crowd, uint32_t serial, Draft* draft) noexcept nogil
    cdef void write_values(self, const Crowd* crowd, uint32_t serial, Draft* draft) noexcept nogil
