"""The asking half of a crawl: its questions, counters and state. Rate class: packet.

Theory of operation in queue.pyx.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport Rng
from fastdht._ext.lanes cimport Lane
from fastdht._ext.ledger cimport Ledger
from fastdht._ext.naming cimport Naming
from fastdht._ext.pacing cimport AddressPace, Pace
from fastdht._ext.seen cimport Record
from fastdht._ext.transactions cimport Transaction


cdef struct Question:
    Endpoint endpoint
    uint8_t target[20]
    uint8_t expected_id[20]
    uint32_t record             # goes into Transaction.owner_slot
    uint32_t number             # goes into Transaction.owner_index: Stage, and Record.step in bits 8 to 15
    uint8_t method              # krpc Method
    uint8_t has_expected_id


cdef class CrawlQueue(Naming):
    cdef Rng rng
    cdef Pace paces[2]          # IPv4, IPv6: each has its socket, and its share of the rate and the window
    cdef AddressPace address_pace
    cdef uint32_t row_count     # rows not yet taken
    cdef uint32_t row_capacity
    cdef Ledger ledger          # None but in a harvest
    cdef bint is_harvest
    cdef uint32_t sample_count  # rows not yet taken
    cdef uint32_t sample_capacity
    cdef uint32_t edge_count    # rows not yet taken
    cdef uint32_t edge_capacity     # 0: edges are not kept
    cdef uint32_t in_flight[2]  # asked, neither answered nor stalled
    cdef uint32_t waiting       # asked, not final; includes the stalled
    cdef uint32_t max_in_flight[2]
    cdef uint8_t want           # krpc Want bits of every question; 0 while one family is crawled
    cdef uint8_t is_stopped
    cdef uint8_t last_lane
    cdef int64_t started_us     # -1 before the first question
    cdef int64_t looked_us      # when give_up_crowded was last called
    cdef int64_t crowded_us     # for how long nothing waited but for the pace of its address
    cdef bint next_question(self, uint8_t families, int64_t now_us, Question* out) noexcept nogil
    cdef void give_back(self, const Question* question) noexcept nogil
    cdef int64_t next_due(self, uint8_t families, int64_t now_us) noexcept nogil
    # private
    cdef int plan_depth(self, int depth, bytes zone, int zone_bits, double retry_share, uint32_t referrers) except -1
    cdef void release_memory(self) noexcept nogil
    cdef bint is_held_back(self) noexcept nogil
    cdef bint is_full(self, int lane) noexcept nogil
    cdef int64_t lane_due(self, const Lane* lane, int64_t now_us) noexcept nogil
    cdef bint has_budget(self) noexcept nogil
    cdef bint has_work(self, const Lane* lane) noexcept nogil
    cdef uint32_t pick(self, Lane* lane, int64_t now_us) noexcept nogil
    cdef uint32_t pop_silent(self, Lane* lane) noexcept nogil
    cdef void look_ahead(self, const Lane* lane) noexcept nogil
    cdef void expect_address(self, const Endpoint* endpoint) noexcept nogil
    cdef bint take_address_turn(self, Lane* lane, uint32_t index, int64_t now_us) noexcept nogil
    cdef void fill_question(self, Lane* lane, uint32_t index, int64_t now_us, Question* out) noexcept nogil
    cdef bint claim_sample(self, const Record* record, const Endpoint* endpoint, int64_t now_us) noexcept nogil
    cdef void release(self, const Transaction* tx) noexcept nogil
