"""Lookup mechanics: candidates in order of distance, who is asked, what was found. Rate class: packet.

A ShortlistPool holds `capacity` lookups. Policy lives above: it sees a View and answers how many more to ask.
Source: Kademlia (Maymounkov, Mazières 2002) §2.3; BEP 5 "get_peers".
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport AddressFilter, Endpoint
from fastdht._ext.bencode cimport Span
from fastdht._ext.hashing cimport HashKey
from fastdht._ext.ids cimport Contact, Distance
from fastdht._ext.krpc cimport Message


cdef enum:
    MAX_CANDIDATES = 128        # of one lookup; the farthest unasked one makes room
    MAX_TOKEN = 64              # a longer token is treated as absent: its node is no storage target
    MAX_NODES_PER_REPLY = 16    # contacts taken from one reply, so that one liar cannot fill a shortlist
    MAX_VALUES_PER_REPLY = 200
    NO_CANDIDATE = 0xFF
    VALUE_BUCKETS = 4           # hash buckets per value kept
    FIRST_BUCKETS = 64          # buckets before the index first grows


cdef enum CandidateState:
    CANDIDATE_FRESH             # not asked
    CANDIDATE_ASKED             # asked, no answer yet
    CANDIDATE_ANSWERED
    CANDIDATE_FAILED            # error, silence, or stalled; a late answer turns it into ANSWERED


cdef enum Flag:                 # of a View
    FLAG_LATE = 1               # the deadline has passed
    FLAG_RESULTS = 2            # values have arrived since the last step
    FLAG_BLOCKED = 4            # the last step could not send all it wanted
    FLAG_EXHAUSTED = 8          # the budget of queries is spent


cdef struct Candidate:          # what is seldom read; state and sort keys stand in the Shortlist's arrays
    Distance distance
    Endpoint endpoint
    uint32_t rtt_us
    uint8_t id[20]
    uint8_t is_open             # its query holds a place among those in flight
    uint8_t has_id              # a bootstrap host is asked before its id is known
    uint8_t depth               # hops from the seeds
    uint8_t token_size
    uint8_t token[MAX_TOKEN]


cdef packed struct PackedClosest:   # 109 bytes, for Python: fastdht.stats.CLOSEST
    uint32_t rtt_us
    uint8_t id[20]
    uint8_t size                # of the endpoint: 6 or 18
    uint8_t endpoint[18]
    uint8_t hops
    uint8_t token_size
    uint8_t token[MAX_TOKEN]


cdef packed struct PackedValue:     # 19 bytes: fastdht.stats.VALUE
    uint8_t size
    uint8_t endpoint[18]


cdef struct View:               # of the `width` closest that have not failed
    int in_flight               # all queries out for this lookup
    int fresh                   # not asked yet
    int pending                 # asked, no answer yet
    int answered
    int flags


cdef struct Shortlist:
    uint8_t target[20]
    uint8_t method
    uint8_t is_active
    uint8_t is_dirty
    uint8_t flags
    uint8_t want
    uint8_t noseed
    uint8_t is_fixed            # asks its seeds only: nodes that answers name are not merged
    uint16_t width              # how many of the closest must have answered
    uint16_t wide_width         # what `width` becomes once two of the closest have failed
    uint16_t subnet_limit       # candidates per /24 or /64; 0: no limit
    uint16_t max_queries
    uint32_t generation
    uint32_t count              # candidates in use
    uint32_t in_flight
    uint32_t queries
    uint32_t responses
    uint32_t failures           # errors and silence
    uint32_t values_dropped     # peers beyond the room for them
    uint32_t value_count
    uint32_t value_buckets      # of the index in use: it grows with the values, so that a few cost little to clear
    uint32_t values_taken       # how many of them the policy has already received
    int64_t started_us
    int64_t deadline_us
    int64_t first_value_us
    uint8_t order[MAX_CANDIDATES]               # candidate indexes, closest first
    uint8_t state[MAX_CANDIDATES]               # CandidateState, by index like all that follow
    uint32_t endpoint_mark[MAX_CANDIDATES]      # 32 bits of the endpoint: one pass finds a known one
    uint32_t id_mark[MAX_CANDIDATES]            # the id's last 32 bits
    uint64_t nearness[MAX_CANDIDATES]           # the distance's first 64 bits
    Candidate candidates[MAX_CANDIDATES]


cdef class ShortlistPool:
    cdef Shortlist* lists
    cdef uint32_t capacity
    cdef uint32_t active
    cdef uint32_t max_values    # peers kept of one lookup
    cdef Endpoint* values       # capacity × max_values
    cdef uint16_t* value_index  # capacity × max_values × VALUE_BUCKETS; 0: empty
    cdef uint32_t* free_slots
    cdef uint32_t free_count
    cdef uint32_t* dirty        # a ring of slots; each stands in it at most once
    cdef uint32_t dirty_head
    cdef uint32_t dirty_count
    cdef HashKey key
    cdef AddressFilter addresses
    cdef uint8_t own_id[20]     # others name us too: we are no candidate
    cdef uint32_t open(self, const uint8_t* target, int method) noexcept nogil      # NO_SLOT when all are in use
    cdef void close(self, uint32_t slot) noexcept nogil
    cdef bint is_current(self, uint32_t slot, uint32_t generation) noexcept nogil
    cdef void mark_dirty(self, uint32_t slot) noexcept nogil
    cdef uint32_t next_dirty(self) noexcept nogil                                   # NO_SLOT when none is left
    cdef bint add(self, uint32_t slot, const Contact* contact, bint has_id, int depth) noexcept nogil
    cdef View view(self, uint32_t slot) noexcept nogil
    cdef uint32_t pick_fresh(self, uint32_t slot) noexcept nogil                    # NO_CANDIDATE when none is left
    cdef void mark_asked(self, uint32_t slot, uint32_t index) noexcept nogil
    cdef void on_answer(self, uint32_t slot, uint32_t index, const Message* message, uint32_t rtt_us, int64_t now_us) noexcept nogil
    cdef void on_failure(self, uint32_t slot, uint32_t index) noexcept nogil
    cdef void add_value(self, uint32_t slot, const Endpoint* peer, int64_t now_us) noexcept nogil
    cdef void merge_nodes(self, uint32_t slot, const Span* nodes, uint16_t family, uint32_t record, int depth) noexcept nogil
    cdef void merge_values(self, uint32_t slot, const Span* values, uint16_t family, int64_t now_us) noexcept nogil
    cdef list take_values(self, uint32_t slot)
    cdef bytes pack_closest(self, uint32_t slot, uint32_t limit)
    cdef bytes pack_values(self, uint32_t slot)
    cdef void index_value(self, uint32_t slot, uint32_t number) noexcept nogil
    cdef void grow_index(self, uint32_t slot) noexcept nogil
