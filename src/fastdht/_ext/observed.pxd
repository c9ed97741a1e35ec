"""Queries that others have put to us, kept for who wants to watch them. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.krpc cimport Message


cdef struct Observed:
    Endpoint source
    uint8_t method              # krpc.Method
    uint8_t has_target
    uint8_t id[20]
    uint8_t target[20]          # `target` or `info_hash`


cdef class QueryLog:
    cdef Observed* records      # a ring of `capacity`
    cdef readonly uint32_t capacity
    cdef uint32_t first
    cdef readonly uint32_t count
    cdef readonly uint64_t lost
    cdef void note(self, const Message* message, const Endpoint* source) noexcept nogil
