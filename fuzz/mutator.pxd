"""Hostile datagrams from a seed. Rate class: packet.

A base message is copied from the corpus and damaged in ways that keep most of its structure.
"""
from libc.stdint cimport uint8_t, uint32_t

from fastdht._ext.hashing cimport Rng

cdef enum:
    MAX_INPUT = 8192            # what the receive buffer of a node holds
    MAX_CORPUS = 1024


cdef class Mutator:
    cdef Rng rng
    cdef list corpus            # keeps the bytes alive
    cdef const uint8_t* bases[MAX_CORPUS]
    cdef uint32_t sizes[MAX_CORPUS]
    cdef uint32_t count
    cdef uint32_t next_input(self, uint8_t* out) noexcept nogil             # the size; `out` holds MAX_INPUT
    cdef uint32_t damage(self, uint8_t* data, uint32_t size) noexcept nogil  # 1 to 6 mutations in place
    cdef uint32_t mutate(self, uint8_t* data, uint32_t size) noexcept nogil
