"""KRPC messages as slots that point into the datagram. Rate class: packet.

`decode` fills a Message in place; nothing is copied. The slots come from `a` of a query or `r` of a response, as `y`
decides; an error has neither. Encoders write canonical bencode, keys sorted, into a caller's buffer of at least
MAX_DATAGRAM bytes, and 0 means that the packet would be larger. The structs stand in krpc_message.pxd and may be
cimported from here. Source: BEP 5, 32, 33, 42, 43, 44, 51.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.bencode cimport Span
from fastdht._ext.krpc_message cimport *


cdef int decode(const uint8_t* data, uint32_t size, Message* message) noexcept nogil
cdef bint next_value(Span* rest, uint16_t family, Endpoint* out) noexcept nogil
cdef uint32_t encode_query(uint8_t* out, uint32_t tid, const Query* query) noexcept nogil       # 0: does not fit
cdef uint32_t encode_reply(uint8_t* out, const Reply* reply) noexcept nogil                     # 0: does not fit
cdef uint32_t encode_error(
    uint8_t* out, const Span* tid, const Endpoint* external, int code, const char* text) noexcept nogil
