"""Peers announced to virtual nodes. Rate class: packet."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastdht._ext.hashing cimport HashKey


cdef enum:
    STORE_SETS = 4096           # a power of two
    STORE_WAYS = 64             # announced peers a set holds: more than one reply carries


cdef struct StoredPeer:         # announced to one virtual node
    uint8_t info_hash[20]
    uint32_t serial
    uint32_t ip
    uint16_t port               # 0: free
    uint16_t spare


cdef class PeerStore:
    cdef HashKey key
    cdef StoredPeer* peers
    cdef uint16_t* next         # by set: which way the next peer overwrites
    cdef bint add(self, uint32_t serial, const uint8_t* info_hash, uint32_t ip, uint16_t port) noexcept nogil
    cdef uint32_t write(self, uint32_t serial, const uint8_t* info_hash, uint32_t room, uint8_t* out) noexcept nogil
    cdef uint32_t find_set(self, uint32_t serial, const uint8_t* info_hash) noexcept nogil
