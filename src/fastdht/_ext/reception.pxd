"""The road of one datagram, from the socket to its handler. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.state cimport State


cdef void receive_one(State state, const uint8_t* data, uint32_t size, const Endpoint* source, bint is_truncated, int64_t now_us) noexcept nogil
