"""The contacts that answers name: the hearing half of a crawl's questions. Rate class: packet.

Theory of operation in queue.pyx.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport AddressFilter, Endpoint
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6
from fastdht._ext.krpc cimport Message
from fastdht._ext.lanes cimport Lane
from fastdht._ext.questions cimport MAX_NAMED, Plan


cdef enum:                       # filter reasons: why a contact, a reply or a node does not count
    FILTER_PORT_ZERO
    FILTER_BOGON
    FILTER_OWN_ID               # a contact with our id
    FILTER_OUTSIDE_ZONE
    FILTER_TOO_MANY             # beyond MAX_NAMED in one reply
    FILTER_FULL                 # max_contacts reached: the crawl is incomplete
    FILTER_NO_ID                # reply without an id
    FILTER_REFLECTED            # reply that carries our own id
    FILTER_CHANGED_ID           # answers every time under another id
    FILTER_COUNT


cdef struct Tally:
    uint64_t asked
    uint64_t answered
    uint64_t late               # of them, after they had stalled
    uint64_t errors
    uint64_t stalled
    uint64_t timeouts
    uint64_t retries            # first questions repeated
    uint64_t repeats            # other questions repeated
    uint64_t duplicates         # contacts named that were known
    uint64_t found
    uint64_t found_before       # of them, also found by the previous pass
    uint64_t renamed
    uint64_t known_answered     # questions to nodes already found
    uint64_t known_silent
    uint64_t postponed
    uint64_t not_asked          # questions given up because their address had too many
    uint64_t sample_queries
    uint64_t not_due            # first questions that could not be for samples yet
    uint64_t refused            # errors for samples
    uint64_t fallbacks          # questions asked instead; the budget of retries pays them
    uint64_t samplers           # answers with samples, or that tell how many there are
    uint64_t samples            # rows of them
    uint64_t samples_lost       # for want of room
    uint64_t num_sum            # infohashes that the samplers say they store
    uint64_t edges              # rows of them
    uint64_t edges_dropped      # for want of room
    uint64_t answered_v6        # of the answered
    uint64_t found_v6           # of the found
    uint64_t filtered[FILTER_COUNT]


cdef struct Named:              # 48 bytes: a contact just named, whose line is on its way into the cache
    uint64_t hashed
    uint8_t packed[38]          # compact node, 26 or 38 bytes
    uint8_t lane
    uint8_t spare


cdef enum:
    NAMED_RING = 64             # a power of two; eight replies long, which is as long as memory takes


cdef class Naming:
    cdef Lane lanes[2]          # IPv4, IPv6
    cdef Tally tally
    cdef Plan plan
    cdef AddressFilter address_filter
    cdef uint32_t guides        # contacts outside the zone that lead to it
    cdef uint32_t inside        # contacts inside it
    cdef uint8_t own_ids[2][20]     # on either socket
    cdef Named named[NAMED_RING]
    cdef uint32_t named_first
    cdef uint32_t named_count
    cdef void merge(self, const Message* message) noexcept nogil
    cdef void settle_named(self, uint32_t left) noexcept nogil
    cdef bint name_contact(self, Lane* lane, const Endpoint* endpoint, uint64_t hashed, const uint8_t* node_id,
                           const uint8_t* referrer) noexcept nogil
    # private
    cdef void note_nodes(self, uint8_t lane, const uint8_t* data, uint32_t count) noexcept nogil
    cdef void name_nodes(self, Lane* lane, const uint8_t* data, uint32_t count, const uint8_t* referrer) noexcept nogil
    cdef void name_packed(self, Lane* lane, const uint8_t* packed, uint64_t hashed,
                          const uint8_t* referrer) noexcept nogil
    cdef bint is_own(self, const uint8_t* node_id) noexcept nogil
    cdef int reason_to_filter(self, const Endpoint* endpoint, const uint8_t* node_id,
                              const uint8_t* referrer) noexcept nogil
    cdef bint is_guide(self, const uint8_t* node_id, const uint8_t* referrer) noexcept nogil


cdef inline void count_named(const Message* message, uint32_t* counts) noexcept nogil:
    """How many contacts of a reply are read: of IPv4, and of IPv6 with what the others leave."""
    counts[0] = min(message.nodes.size // COMPACT_NODE_V4, <uint32_t>MAX_NAMED)
    counts[1] = min(message.nodes6.size // COMPACT_NODE_V6, MAX_NAMED - counts[0])
