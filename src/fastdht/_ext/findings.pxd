"""What a lookup has found, still packed. Rate class: lookup."""


cdef class Findings:
    cdef readonly object target
    cdef readonly str outcome
    cdef readonly double elapsed
    cdef readonly int queries
    cdef readonly int responses
    cdef readonly object results
    cdef public object unpacked_closest     # kept by the subclass for whoever looks again; None until then
    cdef public object unpacked_values
