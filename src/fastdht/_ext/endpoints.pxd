"""Endpoints as Python sees them: the text of an address, and a port. Rate class: lookup."""
from fastdht._ext.addresses cimport COMPACT_V6, Endpoint

cdef enum:
    VALUE_SIZE = 1 + COMPACT_V6     # shortlist.pxd: PackedValue


cdef class Endpoints:
    cdef object cls
    cdef bytes records
    cdef tuple unpacked
    cdef tuple unpack(self)


cdef str host_text(const Endpoint* endpoint)
cpdef tuple unpack_values(cls, bytes records)
