"""When each endpoint may be asked for samples again (BEP 51). Rate class: packet."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport HashKey


cdef enum:
    MAX_INTERVAL_S = 21600      # BEP 51; also assumed of a node that has not told its own
    MARGIN_S = 15               # a second question may travel faster than the first: no round trip takes longer
    LEDGER_HEADER = 64


cdef struct LedgerEntry:        # 16 bytes, in the byte order of the machine
    uint64_t mark               # of an endpoint; 0: free
    uint32_t not_before_s       # Unix time
    uint32_t spare


cdef class Ledger:
    cdef object buffer
    cdef unsigned char[::1] view
    cdef LedgerEntry* entries
    cdef uint64_t size          # a power of two
    cdef uint64_t count
    cdef HashKey key
    cdef int64_t wall_offset_us
    cdef uint32_t wall_s(self, int64_t now_us) noexcept nogil
    cdef bint claim(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil
    cdef void settle(self, const Endpoint* endpoint, int64_t interval_s, int64_t now_us) noexcept nogil
    cdef bint is_crowded(self) noexcept nogil
    # private
    cdef int adopt(self, object buffer) except -1
    cdef LedgerEntry* find(self, uint64_t mark) noexcept nogil
    cdef uint64_t mark_of(self, const Endpoint* endpoint) noexcept nogil
