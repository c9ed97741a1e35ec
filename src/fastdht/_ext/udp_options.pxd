"""What a socket is told once. Rate class: command."""
from libc.stdint cimport int64_t, uint16_t, uint32_t

cdef enum:
    MEMINFO_DROPS = 8           # position of the drop count among the words of SO_MEMINFO


cdef int size_buffer(sock, int forced, int asked, int size) except -1
cdef int ask_reports(sock, uint16_t family, bint sees_local) except -1
cdef uint32_t read_drops(sock) except? 0
cdef int set_patience(sock, int64_t wait_us) except -1
