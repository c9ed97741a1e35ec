"""The asking half of a crawl: its questions, counters and state. Rate class: packet.

Theory of operation in queue.pyx.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport AddressFilter, Endpoint
from fastdht._ext.hashing cimport Rng
from fastdht._ext.krpc cimport Message
from fastdht._ext.lanes cimport Lane
from fastdht._ext.ledger cimport Ledger
from fastdht._ext.pacing cimport AddressPace, Pace
from fastdht._ext.questions cimport Plan
from fastdht._ext.seen cimport Record
from fastdht._ext.transactions cimport Transaction


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


cdef struct Question:
    Endpoint endpoint
    uint8_t target[20]
    uint8_t expected_id[20]
    uint32_t record             # goes into Transaction.owner_slot
    uint32_t number             # goes into Transaction.owner_index: Stage, and Record.step in bits 8 to 15
    uint8_t method              # krpc Method
    uint8_t has_expected_id


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
    uint64_t filtered[FILTER_COUNT]


cdef struct Named:              # 64 bytes: a contact just named, whose slot is on its way into the cache
    Endpoint endpoint
    uint64_t hashed
    uint8_t id[20]
    uint32_t lane


cdef enum:
    NAMED_RING = 64             # a power of two; eight replies long, which is as long as memory takes


cdef class CrawlQueue:
    cdef Lane lanes[2]          # IPv4, IPv6
    cdef Tally tally
    cdef Plan plan
    cdef Rng rng
    cdef Pace pace
    cdef AddressPace address_pace
    cdef AddressFilter address_filter
    cdef uint32_t row_count     # rows not yet taken
    cdef uint32_t row_capacity
    cdef Ledger ledger          # None but in a harvest
    cdef bint is_harvest
    cdef uint32_t sample_count  # rows not yet taken
    cdef uint32_t sample_capacity
    cdef uint32_t in_flight     # asked, neither answered nor stalled
    cdef uint32_t waiting       # asked, not final; includes the stalled
    cdef uint32_t max_in_flight
    cdef uint32_t guides        # contacts outside the zone that lead to it
    cdef uint32_t inside        # contacts inside it
    cdef uint8_t is_stopped
    cdef uint8_t last_lane
    cdef uint8_t own_id[20]
    cdef Named named[NAMED_RING]
    cdef uint32_t named_first
    cdef uint32_t named_count
    cdef int64_t started_us     # -1 before the first question
    cdef int64_t looked_us      # when give_up_crowded was last called
    cdef int64_t crowded_us     # for how long nothing waited but for the pace of its address
    cdef bint next_question(self, int64_t now_us, Question* out) noexcept nogil
    cdef void give_back(self, const Question* question) noexcept nogil
    cdef int64_t next_due(self, int64_t now_us) noexcept nogil
    # private
    cdef int plan_depth(self, int depth, bytes zone, int zone_bits, double retry_share, uint32_t referrers) except -1
    cdef void release_memory(self) noexcept
    cdef bint is_held_back(self) noexcept nogil
    cdef bint has_budget(self) noexcept nogil
    cdef bint has_work(self, const Lane* lane) noexcept nogil
    cdef uint32_t pick(self, Lane* lane, int64_t now_us) noexcept nogil
    cdef uint32_t pop_silent(self, Lane* lane) noexcept nogil
    cdef void look_ahead(self, const Lane* lane) noexcept nogil
    cdef bint take_address_turn(self, Lane* lane, uint32_t index, int64_t now_us) noexcept nogil
    cdef void fill_question(self, Lane* lane, uint32_t index, int64_t now_us, Question* out) noexcept nogil
    cdef bint claim_sample(self, const Record* record, const Endpoint* endpoint, int64_t now_us) noexcept nogil
    cdef void release(self, const Transaction* tx) noexcept nogil
    cdef void merge(self, const Message* message) noexcept nogil
    cdef void merge_nodes(self, Lane* lane, const uint8_t* data, uint32_t count, const uint8_t* referrer) noexcept nogil
    cdef void settle_named(self, uint32_t left) noexcept nogil
    cdef bint name_contact(self, Lane* lane, const Endpoint* endpoint, uint64_t hashed, const uint8_t* node_id,
                           const uint8_t* referrer) noexcept nogil
    cdef int reason_to_filter(self, const Endpoint* endpoint, const uint8_t* node_id,
                              const uint8_t* referrer) noexcept nogil
    cdef bint is_guide(self, const uint8_t* node_id, const uint8_t* referrer) noexcept nogil
