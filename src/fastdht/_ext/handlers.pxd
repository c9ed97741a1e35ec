"""What a query does: one function per method, in a table. Rate class: packet."""
from libc.stdint cimport int64_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.krpc cimport Message
from fastdht._ext.state cimport State


cdef void handle_query(State state, const Message* message, const Endpoint* source, uint32_t size, int64_t now_us) noexcept nogil
cdef void send_error(State state, const Message* message, const Endpoint* source, uint32_t query_size, int code, const char* text) noexcept nogil
