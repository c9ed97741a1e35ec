"""What callers hold: the walks of a node that they share, and each one's own hold on its walk. Rate class: lookup."""
from fastdht._ext.walks cimport LookupSlots, Walk


cdef class Walks:
    cdef public list slots
    cdef list running           # by kind: a dict by target
    cdef object entries


cdef class Handle:
    cdef readonly Walk walk
    cdef readonly bint is_cancelled
