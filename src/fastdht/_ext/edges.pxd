"""Who names whom, as packed rows. Rate class: packet (filling), batch (columns)."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef struct EdgeRow:            # 16 bytes: the first 64 bits of two ids
    uint64_t from_id            # of the node that answered
    uint64_t to_id              # of a contact in its answer


cdef void fill_edges(EdgeRow* rows, const uint8_t* from_id, const uint8_t* nodes, uint32_t count, uint32_t size) noexcept nogil
