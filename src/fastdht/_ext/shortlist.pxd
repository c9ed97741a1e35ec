"""Lookup mechanics: candidates in order of distance, who is asked, what was found. Rate class: packet.

A ShortlistPool holds `capacity` lookups. Policy lives above: it sees a View and answers how many more to ask.
Source: Kademlia (Maymounkov, Mazières 2002) §2.3; BEP 5 "get_peers".
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport AddressFilter, Endpoint
from fastdht._ext.bencode cimport Span
from fastdht._ext.candidates cimport MAX_CANDIDATES, MAX_TOKEN, NO_CANDIDATE, SHORT_TOKEN, Candidate, PackedClosest, Shortlist, Token
from fastdht._ext.findings cimport Result
from fastdht._ext.hashing cimport HashKey
from fastdht._ext.ids cimport Contact
from fastdht._ext.krpc cimport Message


cdef enum:
    MAX_NODES_PER_REPLY = 16    # contacts taken from one reply, so that one liar cannot fill a shortlist
    MAX_VALUES_PER_REPLY = 200
    VALUE_BUCKETS = 4           # hash buckets per value kept
    FIRST_BUCKETS = 64          # buckets before the index first grows


cdef enum Flag:                 # of a View
    FLAG_LATE = 1               # the deadline has passed
    FLAG_RESULTS = 2            # values have arrived since the last step
    FLAG_BLOCKED = 4            # the last step could not send all it wanted
    FLAG_EXHAUSTED = 8          # the budget of queries is spent


cdef packed struct PackedValue:     # 19 bytes: read by endpoints.unpack_values
    uint8_t size
    uint8_t endpoint[18]


cdef struct View:               # of the `width` closest that have not failed
    int in_flight               # all queries out for this lookup
    int fresh                   # not asked yet
    int pending                 # asked, no answer yet
    int answered
    int flags


cdef class ShortlistPool:
    cdef Shortlist* lists
    cdef void* memory           # of the candidates
    cdef Candidate* candidates  # capacity × MAX_CANDIDATES
    cdef Token* tokens
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
    cdef void expect_answer(self, uint32_t slot, uint32_t index) noexcept nogil
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
    cdef Result result_of(self, uint32_t slot, uint32_t limit)
    cdef bytes pack_closest(self, uint32_t slot, uint32_t limit)
    cdef bytes pack_values(self, uint32_t slot)
    cdef void index_value(self, uint32_t slot, uint32_t number) noexcept nogil
    cdef void grow_index(self, uint32_t slot) noexcept nogil
