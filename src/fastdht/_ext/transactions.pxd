"""Outstanding queries: a slab keyed by transaction id and endpoint. Rate class: packet.

A slot is FREE, OPEN (waiting), or STALLED (its owner has been told that it is late; an answer still counts) and is
freed by its answer, its error or its timeout, never by cancelling: a late answer must find its slot or nobody's.
The tid on the wire is a keyed permutation of (index, generation), so that one seen tid says nothing of the next.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.bencode cimport Span


cdef enum:
    NO_SLOT = 0xFFFFFFFF
    MAX_TRANSACTIONS = 131072   # 17 bits of index leave 15 of generation: a slot's tid recurs after 32,768 uses


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


cdef struct Transaction:        # 80 bytes
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
    cdef readonly uint32_t capacity
    cdef readonly uint32_t count        # not free
    cdef readonly uint32_t open_count   # OPEN, not stalled
    cdef uint32_t free_first
    cdef uint32_t untouched             # slots from here on were never used and are not in the free list
    cdef uint32_t index_bits            # of the tid; the rest is generation
    cdef DeadlineList open_list
    cdef DeadlineList stalled_list
    cdef public int64_t stall_us        # after this long an OPEN slot stalls; the caller may change it at any time
    cdef public int64_t timeout_us      # after this long a slot times out
    cdef uint32_t round_keys[4]
    cdef readonly uint64_t mismatched   # replies whose tid was ours but whose endpoint was not
    cdef readonly uint64_t unknown      # replies whose tid was not ours
    cdef readonly uint64_t refused      # queries that found every slot taken
    cdef uint32_t open(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil   # NO_SLOT when full
    cdef uint32_t tid_of(self, uint32_t slot) noexcept nogil    # goes on the wire in network order
    cdef uint32_t match(self, const Span* tid, const Endpoint* source) noexcept nogil   # NO_SLOT when not ours
    cdef void close(self, uint32_t slot) noexcept nogil
    cdef uint32_t next_stalled(self, int64_t now_us) noexcept nogil     # moves one slot to STALLED; NO_SLOT when none is due
    cdef uint32_t next_timed_out(self, int64_t now_us) noexcept nogil   # a due slot, still open: the caller closes it
    cdef int64_t next_deadline(self) noexcept nogil                     # µs; -1 when nothing is outstanding
    cdef void append(self, DeadlineList* deadlines, uint32_t slot) noexcept nogil
    cdef void unlink(self, DeadlineList* deadlines, uint32_t slot) noexcept nogil
    cdef uint32_t permute(self, uint32_t plain) noexcept nogil
    cdef uint32_t invert(self, uint32_t tid) noexcept nogil
    cdef uint32_t plain_tid(self, uint32_t slot) noexcept nogil         # before the permutation
    cdef list slots_in(self, uint32_t first, uint32_t last, int state)
    cdef int check_outstanding(self, slot) except -1
