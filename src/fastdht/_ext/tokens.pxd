"""Write permits bound to ip, target and secret epoch. Rate class: packet. Source: BEP 5, "get_peers"."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.bencode cimport Span
from fastdht._ext.hashing cimport HashKey


cdef enum:
    TOKEN_SIZE = 8
    ROTATION_US = 300_000_000       # BEP 5: the secret changes every five minutes, and the last one still counts


cdef class TokenIssuer:
    cdef HashKey current
    cdef HashKey previous
    cdef readonly int64_t rotated_us
    cdef void issue(self, const Endpoint* source, const uint8_t* target, uint8_t* out) noexcept nogil
    cdef bint accepts(self, const Endpoint* source, const uint8_t* target, const Span* token) noexcept nogil
