"""Sending queries on behalf of lookups, crawls, the table and single callers. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.frontier cimport Question
from fastdht._ext.ids cimport Contact
from fastdht._ext.state cimport State


cdef void own_transaction(State state, uint32_t slot, int owner, uint32_t owner_slot, uint32_t generation, uint32_t index) noexcept nogil
cdef void expect_id(State state, uint32_t slot, const uint8_t* node_id) noexcept nogil
cdef bint ask_candidate(State state, uint32_t lookup, uint32_t index, int64_t now_us) noexcept nogil
cdef bint ask_question(State state, const Question* question, int64_t now_us) noexcept nogil
cdef bint ping_contact(State state, const Contact* contact, int64_t now_us) noexcept nogil
cdef void wake_lookups(State state, int64_t now_us) noexcept nogil
cdef void expect_questions(State state, uint32_t slot, int fresh) noexcept nogil
cdef int ask_closest(State state, uint32_t slot, int wanted, int64_t now_us) noexcept nogil
cdef void pump(State state, int64_t now_us) noexcept nogil
