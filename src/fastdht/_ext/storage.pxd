"""Values of BEP 44, asked for and stored; what happens to a put whose signature has been verified. Rate class: packet."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastdht._ext.state cimport State


cdef enum Signature:                # what became of a verification
    SIGNATURE_BAD
    SIGNATURE_GOOD
    SIGNATURE_UNKNOWN               # it could not be verified


cdef void finish_put(State state, uint64_t handle, int signature, int64_t now_us) noexcept nogil
cdef list take_parked(State state, uint32_t limit, int64_t now_us)
