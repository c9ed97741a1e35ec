"""Queries for one Python caller each, and the events that answer them. Rate class: command."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastdht._ext.krpc cimport Query
from fastdht._ext.state cimport State


cdef class DirectQueries:
    cdef readonly State state
    cdef bint send(self, bytes endpoint, Query* query, caller, int64_t now_us, expected_id) except -1
