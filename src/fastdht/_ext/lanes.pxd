"""The contacts of one address family and the lists they wait in. Rate class: packet."""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.seen cimport ContactStore, RecordList


cdef enum:
    WHEEL_SIZE = 128            # lists of postponed records, each 2^15 µs wide: 4.2 s
    WHEEL_SHIFT = 15


cdef struct Lane:
    ContactStore store
    uint32_t cursor             # records before it have left the queue of first questions
    RecordList follow           # due another question
    RecordList silent           # candidates for a retry, in order of their timeouts
    RecordList wheel[WHEEL_SIZE]    # postponed by their address's pace, by due time
    int64_t wheel_tick          # the list that is looked at now
    uint32_t postponed


cdef bint open_lane(Lane* lane, uint16_t family, uint32_t capacity, uint64_t slots, uint64_t seed) noexcept nogil
cdef void free_lane(Lane* lane) noexcept nogil
cdef void postpone(Lane* lane, uint32_t index, int64_t due_us, int64_t now_us) noexcept nogil
cdef uint32_t pop_next(Lane* lane, int64_t now_us) noexcept nogil
cdef uint32_t forget_postponed(Lane* lane) noexcept nogil
cdef int64_t postponed_due(const Lane* lane) noexcept nogil


cdef inline bint has_next(const Lane* lane) noexcept nogil:
    """Whether a record waits for nothing but its turn."""
    return lane.cursor < lane.store.count or lane.follow.first != <uint32_t>0xFFFFFFFF
