"""Who may take our time and our bytes: keyed token buckets in fixed memory. Rate class: packet.

Inbound limits count queries only: a matched reply is never counted, so that a spoofed flood from a contact's address
cannot cut us off from it.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport HashKey


cdef class Throttle:
    # data layout: see throttle.pyx
    cdef bint admit(self, const Endpoint* source, int64_t now_us) noexcept nogil
    cdef uint32_t reply_allowance(self, const Endpoint* source, uint32_t query_size, int64_t now_us) noexcept nogil
    cdef void spend(self, const Endpoint* source, uint32_t reply_size, int64_t now_us) noexcept nogil
    cdef void prove(self, const Endpoint* source, int64_t now_us) noexcept nogil
    cdef bint admit_query_to(self, const Endpoint* target, int64_t now_us) noexcept nogil
