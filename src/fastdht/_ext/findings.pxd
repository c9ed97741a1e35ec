"""What a lookup has found, still packed. Rate class: lookup."""
from libc.stdint cimport int64_t


cdef class Findings:
    cdef int fill(self, target, str outcome, int64_t elapsed_us, list results) except -1
    cdef object read_values(self)
    cdef readonly object target
    cdef readonly str outcome
    cdef readonly double elapsed
    cdef readonly int queries
    cdef readonly int responses
    cdef readonly list results
    cdef public object unpacked_closest     # kept by the subclass for whoever looks again; None until then
    cdef public object unpacked_values
