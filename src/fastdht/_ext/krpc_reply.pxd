"""Replies of the usual layout; used by krpc_decode alone. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t

from fastdht._ext.krpc_message cimport Message


cdef bint ends_as_reply(const uint8_t* data, uint32_t size) noexcept nogil
cdef bint read_usual_reply(const uint8_t* data, uint32_t size, Message* message) noexcept nogil
