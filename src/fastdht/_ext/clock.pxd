"""The clock that deadlines and round trips are measured by. Rate class: packet."""
from cpython.time cimport monotonic_ns
from libc.stdint cimport int64_t


cdef inline int64_t read_us() noexcept nogil:
    """What clock.monotonic_us gives, for compiled code."""
    return monotonic_ns() // 1000
