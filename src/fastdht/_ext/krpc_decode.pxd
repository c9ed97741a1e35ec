"""The envelope of a KRPC message; what the rest of the code calls is krpc.decode. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t

from fastdht._ext.bencode cimport Span
from fastdht._ext.krpc_message cimport Message


cdef int read_message(const uint8_t* data, uint32_t size, Message* message) noexcept nogil
