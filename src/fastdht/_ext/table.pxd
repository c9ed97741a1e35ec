"""The routing table of one address family. Rate class: packet.

Only contacts that answered a query of ours stand in live buckets; what others tell us waits among the replacements.
An endpoint stands at most once, an IP at most once, and a subnet at most as often as the limits say. The layout is in
entries.pxd (the contacts) and buckets.pxd (the lists), the rules of filing are in placement.pyx.
Source: Kademlia (Maymounkov, Mazières 2002); BEP 5 (good, questionable, bad; splitting; refresh).
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.entries cimport Entry
from fastdht._ext.hashing cimport Rng
from fastdht._ext.ids cimport Contact
from fastdht._ext.placement cimport Placement


cdef enum:
    PING_GAP_US = 15_000_000    # between pings of one contact: longer than any query timeout
    BAD_GAP_US = 300_000_000    # between pings of a bad one, doubled with each failure
    MAX_BAD_DOUBLINGS = 4       # up to 80 minutes


cdef class RoutingTable(Placement):
    cdef public int64_t candidate_wait_us
    cdef Rng rng
    cdef readonly uint64_t changed_ids  # contacts evicted because they answered with another id
    cdef void saw_reply(self, const Contact* contact, uint32_t rtt_us, int64_t now_us) noexcept nogil
    cdef void saw_query(self, const Contact* contact, int64_t now_us) noexcept nogil
    cdef void saw_failure(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil
    cdef uint32_t write_closest(self, const uint8_t* target, uint32_t limit, uint8_t* out) noexcept nogil
    cdef uint32_t copy_closest(self, const uint8_t* target, uint32_t limit, Contact* out) noexcept nogil
    cdef bint pick_questionable(self, int64_t now_us, Contact* out) noexcept nogil
    cdef bint pick_refresh(self, int64_t now_us, uint8_t* target) noexcept nogil
    cdef void change_id(self, const uint8_t* own_id) noexcept nogil
    cdef bint is_due(self, const Entry* e, bint wanted) noexcept nogil
