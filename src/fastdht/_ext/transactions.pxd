"""Outstanding queries: a slab keyed by transaction id and endpoint. Rate class: packet.

A slot is FREE, OPEN (waiting), or STALLED (its owner has been told that it is late; an answer still counts) and is
freed by its answer, its error or its timeout, never by cancelling: a late answer must find its slot or nobody's.
The tid on the wire is a keyed permutation of (index, generation), so that one seen tid says nothing of the next.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.bencode cimport Span
from fastdht._ext.hashing cimport HashKey


cdef enum:
    NO_SLOT = 0xFFFFFFFF


cdef enum Owner:
    OWNER_NONE
    OWNER_UPKEEP                # pings and refreshes of the table
    OWNER_LOOKUP
    OWNER_CRAWL
    OWNER_DIRECT                # one query for one Python caller


cdef enum SlotState:
    SLOT_FREE
    SLOT_OPEN
    SLOT_STALLED


cdef struct Transaction:        # 96 bytes
    Endpoint endpoint
    int64_t sent_us
    uint32_t owner_slot         # lookup slot, caller's number; crawl: record
    uint32_t owner_generation
    uint32_t owner_index        # lookup: candidate; crawl: which question
    uint32_t generation
    uint32_t next               # neighbours in the deadline list or the free list
    uint32_t previous
    uint8_t owner
    uint8_t method
    uint8_t state
    uint8_t has_expected_id
    uint8_t expected_id[20]


cdef struct DeadlineList:       # in order of sent_us; one per state
    uint32_t first
    uint32_t last


cdef class TransactionTable:
    cdef Transaction* slots
    cdef uint32_t capacity
    cdef uint32_t count                 # not free
    cdef uint32_t open_count            # OPEN, not stalled
    cdef uint32_t free_first
    cdef DeadlineList open_list
    cdef DeadlineList stalled_list
    cdef int64_t stall_us               # after this long an OPEN slot stalls; the caller may change it at any time
    cdef int64_t timeout_us             # after this long a slot times out
    cdef uint32_t round_keys[4]
    cdef uint64_t mismatched            # replies whose tid was ours but whose endpoint was not
    cdef uint64_t unknown               # replies whose tid was not ours
    cdef uint32_t open(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil   # NO_SLOT when full
    cdef uint32_t tid_of(self, uint32_t slot) noexcept nogil
    cdef uint32_t match(self, const Span* tid, const Endpoint* source) noexcept nogil   # NO_SLOT when not ours
    cdef void close(self, uint32_t slot) noexcept nogil
    cdef uint32_t next_stalled(self, int64_t now_us) noexcept nogil     # moves one slot to STALLED; NO_SLOT when none is due
    cdef uint32_t next_timed_out(self, int64_t now_us) noexcept nogil   # a due slot, still open: the caller closes it
    cdef int64_t next_deadline(self) noexcept nogil                     # µs; -1 when nothing is outstanding
