"""Who may take our time and our bytes: keyed token buckets in fixed memory. Rate class: packet.

Inbound limits count queries only: a matched reply is never counted, so that a spoofed flood from a contact's address
cannot cut us off from it. A source is an IPv4 address or an IPv6 /64; a subnet is a /24 or a /56.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport HashKey


cdef enum:
    MAX_REPLY_V4 = 1400
    MAX_REPLY_V6 = 1232
    MAX_ITEM_REPLY_V4 = 1472        # a datagram that Ethernet carries whole: a value of 1,000 bytes needs more than
    MAX_ITEM_REPLY_V6 = 1452        # the above
    ITEM_AMPLIFICATION = 13         # the largest item is 1,208 bytes, libtorrent's question for it 95
    WAYS = 4                        # with two, a flood of 5,000 sources displaced each other and passed as newcomers
    CELLS = 256                     # an IPv4 /8 each, or hashed IPv6 /32s


cdef enum:                          # Slot.meters
    METER_QUERIES = 0
    METER_CALM = 1                  # of a source
    METER_BYTES = 1                 # of a subnet
    METER_ABUSE = 2                 # of a source
    METER_ITEMS = 2                 # of a subnet


cdef enum:                          # shares of the reply budget
    POOL_COMMON                     # half; first come, first served
    POOL_CALM                       # a quarter, for sources that ask rarely
    POOL_PROVED                     # a quarter, for sources whose address is proved
    POOL_COUNT
    POOL_NONE


cdef struct Meter:                  # 16 bytes; a set is WAYS of them, one cache line, as each query of ours needs two
    uint64_t tag                    # of source, subnet or destination; 0: empty
    int64_t drained                 # the time, in ns, at which it will have drained


cdef struct Slot:                   # 32 bytes, and the first 16 a Meter; a set is WAYS of them
    uint64_t tag
    int64_t meters[3]


cdef struct Table:
    void* records                   # sets of WAYS, each a Meter or a Slot
    uint64_t mask                   # sets - 1


cdef struct Limit:
    int64_t interval_ns             # what one query adds to its meter; 0: no limit
    int64_t tolerance_ns            # how far ahead of now a meter may be


cdef struct ByteLimit:
    int64_t cost                    # of one byte, in ns × 2^20
    int64_t tolerance_ns


cdef struct Proof:                  # 8 bytes; a set is eight, one cache line
    uint32_t tag
    uint32_t until_s


cdef struct Cell:                   # what one wide prefix took from the pool of the calm in this second
    uint32_t window
    uint32_t taken


cdef class Throttle:
    cdef void* memory[5]            # as allocated; the tables below point into it
    cdef Table sources
    cdef Table subnets
    cdef Table destinations
    cdef Table destination_nets
    cdef Proof* proofs
    cdef uint64_t proof_mask        # sets - 1
    cdef Cell cells[256]            # CELLS
    cdef uint32_t window            # the second that cells count
    cdef uint32_t active_cells
    cdef uint32_t active_before     # in the second before
    cdef uint32_t calm_bytes        # of POOL_CALM in one second
    cdef Limit per_source
    cdef Limit per_subnet
    cdef Limit per_destination
    cdef Limit per_destination_net
    cdef int64_t abuse_interval_ns
    cdef int64_t mute_ns
    cdef ByteLimit subnet_bytes
    cdef ByteLimit pool_limits[3]   # POOL_COUNT
    cdef int64_t pools[3]
    cdef uint64_t amplification
    cdef uint32_t proved_s
    cdef bint enabled
    cdef HashKey key
    cdef Endpoint recent            # the source that the next five are about; its port does not matter
    cdef uint64_t recent_tag
    cdef Slot* source
    cdef Slot* subnet
    cdef Cell* cell
    cdef int pool                   # where its next reply is charged
    cdef bint is_recent_proved      # as reply_allowance found …
    cdef uint32_t recent_size       # … for a query of this size
    cdef readonly uint64_t dropped_source       # queries over their source's limit, or muted
    cdef readonly uint64_t dropped_subnet
    cdef readonly uint64_t mutes
    cdef readonly uint64_t denied_subnet        # replies refused: their subnet took its share
    cdef readonly uint64_t denied_budget        # replies refused: nothing left for such a source
    cdef readonly uint64_t denied_items         # items too large for an unproved source, its subnet just had one
    cdef readonly uint64_t denied_outbound      # queries of ours held back
    cdef void expect(self, const Endpoint* source) noexcept nogil
    cdef void expect_answer(self, const Endpoint* source) noexcept nogil
    cdef void expect_query_to(self, const Endpoint* target) noexcept nogil
    cdef bint admit(self, const Endpoint* source, int64_t now_us) noexcept nogil
    cdef uint32_t reply_allowance(self, const Endpoint* source, uint32_t query_size, int64_t now_us) noexcept nogil
    cdef uint32_t item_allowance(self, int64_t now_us) noexcept nogil
    cdef void spend(self, const Endpoint* source, uint32_t reply_size, int64_t now_us) noexcept nogil
    cdef void prove(self, const Endpoint* source, int64_t now_us) noexcept nogil
    cdef bint is_proved(self, uint64_t tag, int64_t now_us) noexcept nogil
    cdef bint admit_query_to(self, const Endpoint* target, int64_t now_us) noexcept nogil
    cdef void locate(self, const Endpoint* source) noexcept nogil
    cdef uint64_t tag_of(self, const Endpoint* endpoint) noexcept nogil
    cdef uint64_t net_tag_of(self, const Endpoint* endpoint) noexcept nogil
    cdef int choose_pool(self, bint proved, int64_t now_ns) noexcept nogil
    cdef bint is_fair(self, int64_t now_ns) noexcept nogil
    cdef int allocate_table(self, int number, Table* table, records, size_t size) except -1
    cdef void* allocate(self, int number, size_t size) except NULL
