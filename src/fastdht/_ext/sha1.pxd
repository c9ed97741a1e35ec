"""SHA-1, for what the protocol itself hashes. Rate class: packet.

Ids, bloom filters and item targets are SHA-1 by definition of the BEPs; nothing of ours relies on its strength.
"""
from libc.stdint cimport uint8_t, uint32_t


cdef enum:
    SHA1_SIZE = 20


cdef void sha1(const uint8_t* data, uint32_t size, uint8_t* out) noexcept nogil
