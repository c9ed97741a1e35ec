"""What a lookup has found, still packed. Rate class: lookup."""
from libc.stdint cimport int64_t


cdef class Result:
    cdef readonly int queries
    cdef readonly int responses
    cdef readonly int failures
    cdef readonly int value_count
    cdef readonly int values_dropped
    cdef readonly int64_t first_value_us
    cdef readonly bytes closest
    cdef readonly bytes values
    cdef Result other           # of the family that ended before


cdef class Findings:
    cdef readonly object target
    cdef readonly str outcome
    cdef readonly double elapsed
    cdef readonly int queries
    cdef readonly int responses
    cdef Result result          # of the family that ended last
    cdef public object unpacked_closest     # kept by the subclass for whoever looks again; None until then
    cdef public object unpacked_values
    cdef int fill(self, target, str outcome, int64_t elapsed_us, Result result) except -1
    cdef object read_values(self)
