"""The keys of `a` and `r`; used by krpc_decode and krpc alone. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.bencode cimport Scanner, Span
from fastdht._ext.krpc_message cimport Message


cdef bint read_slots(Scanner* scanner, Message* message) noexcept nogil
cdef bint take_value(Span* rest, uint16_t family, Endpoint* out) noexcept nogil
