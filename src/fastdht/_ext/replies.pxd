"""What a reply, an error, a stall or silence does to its owner. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.krpc cimport Message
from fastdht._ext.state cimport State


cdef void handle_response(State state, const Message* message, const Endpoint* source, const uint8_t* data, uint32_t size, int64_t now_us) noexcept nogil
cdef void handle_error(State state, const Message* message, const Endpoint* source, const uint8_t* data, uint32_t size, int64_t now_us) noexcept nogil
cdef void handle_stall(State state, uint32_t slot, int64_t now_us) noexcept nogil
cdef void handle_silence(State state, uint32_t slot, bint is_refused, int64_t now_us) noexcept nogil
