"""The road of one datagram, from the socket to its handler. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.state cimport State


cdef void receive_one(State state, const uint8_t* data, uint32_t size, const Endpoint* source, bint is_truncated, int64_t now_us) noexcept nogil


cdef inline bint looks_like_query(const uint8_t* data, uint32_t size) noexcept nogil:
    """A canonical query ends in its kind: `y` sorts last. `size`: at least 7."""
    return memcmp(data + size - 7, b"1:y1:qe", 7) == 0
