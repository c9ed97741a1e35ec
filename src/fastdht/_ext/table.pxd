"""The routing table of one address family. Rate class: packet.

Only contacts that answered a query of ours stand in live buckets; what others tell us waits among the replacements.
An endpoint stands at most once, an IP at most once, and a subnet at most as often as the limits say.
Source: Kademlia (Maymounkov, Mazières 2002); BEP 5 (good, questionable, bad; splitting; refresh).
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport HashKey, Rng
from fastdht._ext.ids cimport Contact


cdef class RoutingTable:
    # data layout: see table.pyx's theory of operation
    cdef void saw_reply(self, const Contact* contact, uint32_t rtt_us, int64_t now_us) noexcept nogil
    cdef void saw_query(self, const Contact* contact, int64_t now_us) noexcept nogil
    cdef void saw_failure(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil
    cdef uint32_t write_closest(self, const uint8_t* target, uint32_t limit, uint8_t* out) noexcept nogil
    cdef uint32_t copy_closest(self, const uint8_t* target, uint32_t limit, Contact* out) noexcept nogil
    cdef bint pick_questionable(self, int64_t now_us, Contact* out) noexcept nogil
    cdef bint pick_refresh(self, int64_t now_us, uint8_t* target) noexcept nogil
    cdef void change_id(self, const uint8_t* own_id) noexcept nogil
