"""Bloom filters over addresses, and how many they hold. Rate class: packet. Source: BEP 33."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum:
    FILTER_SIZE = 256               # bytes
    FILTER_BITS = 2048


cdef struct FilterBits:             # the two bits of one address; they may be the same
    uint16_t first
    uint16_t second


cdef FilterBits filter_bits(const uint8_t* ip, uint32_t ip_size) noexcept nogil
cdef void set_bits(uint8_t* data, FilterBits bits) noexcept nogil
cdef void merge_filter(uint8_t* data, const uint8_t* other) noexcept nogil
cdef uint32_t count_zeros(const uint8_t* data) noexcept nogil
cdef double estimate_of(double zeros) noexcept nogil


cdef class Filter:
    cdef uint8_t data[FILTER_SIZE]
