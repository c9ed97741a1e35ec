"""The contacts that a routing table holds: a slab, found by endpoint, address or subnet. Rate class: packet.

Which bucket an entry stands in is the table's affair; this only keeps it findable without ever scanning the table.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport FAMILY_V4, Endpoint, subnet_of
from fastdht._ext.hashing cimport HashKey
from fastdht._ext.ids cimport COMPACT_NODE_V6, Contact


cdef enum:
    NO_ENTRY = 0                # so that zeroed memory is an empty index
    MAX_ENTRIES = 65535         # indices are 16 bits wide


cdef enum Role:
    ROLE_FREE
    ROLE_LIVE                   # verified, in its bucket
    ROLE_REPLACEMENT            # verified, waiting for a place
    ROLE_CANDIDATE              # never answered us


cdef enum:                      # chains, an index into Entry.next
    BY_ENDPOINT
    BY_ADDRESS                  # IPv4: the address; IPv6: its /64, which one host may fill
    BY_SUBNET                   # IPv4: /24; IPv6: /48
    BY_NETWORK                  # IPv4: /16; IPv6: /32
    CHAIN_COUNT


cdef struct Entry:              # 120 bytes
    Endpoint endpoint
    uint64_t id_high            # the id in host order, most significant first
    uint64_t id_middle
    uint32_t id_low
    uint32_t rtt_us
    int64_t seen_us             # its last answer, or its last query while in good standing
    int64_t pinged_us           # when it was last picked for a ping
    uint16_t next[4]            # in each chain; next[0] of a free entry is the free list
    uint16_t position           # within its bucket's live or waiting list
    uint8_t bucket
    uint8_t role
    uint8_t failures            # queries in a row without an answer
    uint8_t compact[38]         # as it goes into `nodes` or `nodes6`


cdef class EntrySlab:
    cdef Entry* entries         # entries[0] stays unused
    cdef uint16_t* heads        # CHAIN_COUNT × (mask + 1)
    cdef uint32_t capacity
    cdef uint32_t mask
    cdef uint32_t count
    cdef uint32_t untouched     # entries from here on were never used
    cdef uint32_t shifts[4]     # of subnet_of, to what BY_SUBNET and BY_NETWORK count
    cdef uint16_t free_first
    cdef uint16_t family
    cdef bint in_use[4]         # chains that nobody asks for are not kept: on loopback they would be one long list
    cdef HashKey key
    cdef uint16_t take(self, const Contact* contact, int64_t now_us) noexcept nogil     # NO_ENTRY when full
    cdef void release(self, uint16_t entry) noexcept nogil
    cdef uint16_t find(self, const Endpoint* endpoint) noexcept nogil
    cdef uint16_t find_address(self, const Endpoint* endpoint) noexcept nogil
    cdef uint16_t first_like(self, int chain, const Endpoint* endpoint) noexcept nogil  # BY_SUBNET or BY_NETWORK
    cdef uint16_t next_like(self, int chain, uint16_t entry) noexcept nogil
    cdef uint16_t* head_of(self, int chain, const Endpoint* endpoint) noexcept nogil
    cdef uint16_t skip_others(self, int chain, uint16_t entry, uint64_t prefix) noexcept nogil
    cdef uint64_t prefix_of(self, int chain, const Endpoint* endpoint) noexcept nogil


cdef inline uint64_t address_word(const Endpoint* e) noexcept nogil:
    return e.low if e.family == FAMILY_V4 else e.high


cdef bint has_id(const Entry* entry, const uint8_t* node_id) noexcept nogil
