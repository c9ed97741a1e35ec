"""Sampled infohashes as packed rows. Rate class: packet (filling), batch (columns)."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.krpc cimport Message


cdef enum:
    MAX_SAMPLES_READ = 70       # of one answer: more do not fit a datagram that is not split
    MAX_NUM = 1 << 20           # a node that says it stores more counts as one that stores so many


cdef struct SampleRow:          # 52 bytes, no padding
    uint8_t info_hash[20]
    uint8_t ip[16]              # of the node that told it; an IPv4 address as ::ffff:a.b.c.d
    uint32_t num                # what the node says it stores
    uint32_t interval_s
    uint32_t time_s             # Unix time
    uint16_t port               # host order
    uint16_t count              # samples in the same answer


cdef uint32_t fill_samples(SampleRow* rows, uint32_t room, const Endpoint* endpoint, const Message* message, uint32_t time_s) noexcept nogil
cdef uint32_t told_num(const Message* message) noexcept nogil
