"""The sans-IO contract of one participant: datagrams and time in, datagrams and events out. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.direct cimport DirectQueries
from fastdht._ext.findings cimport Result
from fastdht._ext.packets cimport Inbox, Outbox
from fastdht._ext.state cimport State


cdef class Core(DirectQueries):
    cdef readonly Outbox outbox
    cpdef void receive_batch(self, Inbox inbox, int64_t now_us)
    cpdef void receive_unreachable(self, Inbox inbox, int64_t now_us)
    cpdef void advance(self, int64_t now_us)
    cpdef int64_t next_deadline(self, int64_t now_us)
    cpdef void step_lookups(self, list branches, int64_t now_us, list machines=*)
    cpdef int open_lookup(self, int method, target, int width, int wide_width, int subnet_limit, int max_queries,
                          int64_t deadline_us, int64_t now_us, seeds=*, bint noseed=*, bint is_fixed=*, bint scrape=*,
                          uint32_t reader=*, int alpha=*) except -2
    cpdef Result finish_lookup(self, uint32_t slot, uint32_t limit)
    cpdef void watch_lookup(self, uint32_t slot)
    cpdef list lookup_values(self, uint32_t slot)
    cpdef bint has_contacts(self)


cdef void take_in(State state, Inbox inbox, int64_t now_us) noexcept nogil      # one batch
cdef void advance(State state, int64_t now_us) noexcept nogil                   # what time demands
cdef int64_t next_deadline(State state, int64_t now_us) noexcept nogil
