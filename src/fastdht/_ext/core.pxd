"""The sans-IO contract of one participant: datagrams and time in, datagrams and events out. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.direct cimport DirectQueries
from fastdht._ext.packets cimport Inbox, Outbox


cdef class Core(DirectQueries):
    cdef readonly Outbox outbox
    cpdef void receive_batch(self, Inbox inbox, int64_t now_us)
    cpdef void receive_unreachable(self, Inbox inbox, int64_t now_us)
    cpdef void advance(self, int64_t now_us)
    cpdef int64_t next_deadline(self, int64_t now_us)
