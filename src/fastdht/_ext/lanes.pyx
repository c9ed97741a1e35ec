"""The order in which the contacts of one family get their turn. Rate class: packet.

Postponed contacts first, once due; then those under way, so that few are; then new ones, in the order they were named.
A postponed contact stands in a wheel of lists by due time; one due beyond the wheel is looked at again at its end.
"""
from libc.string cimport memset

from fastdht._ext.seen cimport NO_RECORD, free_store, open_store, pop_record, push_record


cdef bint open_lane(Lane* lane, uint16_t family, uint32_t capacity, uint64_t slots, uint64_t seed) noexcept nogil:
    """An empty lane; `capacity` 0 for a family that is not crawled. False when memory is short."""
    cdef int i
    memset(lane, 0, sizeof(Lane))
    lane.follow.first = NO_RECORD
    lane.silent.first = NO_RECORD
    for i in range(WHEEL_SIZE):
        lane.wheel[i].first = NO_RECORD
    return capacity == 0 or open_store(&lane.store, family, capacity, slots, seed)


cdef void free_lane(Lane* lane) noexcept nogil:
    free_store(&lane.store)


cdef void postpone(Lane* lane, uint32_t index, int64_t due_us, int64_t now_us) noexcept nogil:  # R0
    cdef int64_t tick = (due_us >> WHEEL_SHIFT) + 1         # rounded up, or it would be looked at too early
    if lane.postponed == 0:
        lane.wheel_tick = now_us >> WHEEL_SHIFT
    tick = min(tick, lane.wheel_tick + WHEEL_SIZE - 1)
    push_record(&lane.store, &lane.wheel[tick % WHEEL_SIZE], index)
    lane.postponed += 1


cdef uint32_t pop_postponed(Lane* lane, int64_t now_us) noexcept nogil:  # R0
    cdef int64_t now_tick = now_us >> WHEEL_SHIFT
    cdef uint32_t index
    if lane.postponed == 0:
        return NO_RECORD
    lane.wheel_tick = max(lane.wheel_tick, now_tick - WHEEL_SIZE + 1)
    while True:
        index = pop_record(&lane.store, &lane.wheel[lane.wheel_tick % WHEEL_SIZE])
        if index != NO_RECORD:
            lane.postponed -= 1
            return index
        if lane.wheel_tick >= now_tick:
            return NO_RECORD
        lane.wheel_tick += 1


cdef uint32_t pop_next(Lane* lane, int64_t now_us) noexcept nogil:  # R0
    """The next record that may be asked, or NO_RECORD."""
    cdef uint32_t index = pop_postponed(lane, now_us)
    if index == NO_RECORD:
        index = pop_record(&lane.store, &lane.follow)
    if index == NO_RECORD and lane.cursor < lane.store.count:
        index = lane.cursor
        lane.cursor += 1
    return index


cdef uint32_t forget_postponed(Lane* lane) noexcept nogil:  # R0
    """Give up whom the pace of its address has postponed; how many that were."""
    cdef uint32_t count = lane.postponed
    cdef int i
    for i in range(WHEEL_SIZE):
        lane.wheel[i].first = NO_RECORD
    lane.postponed = 0
    return count


cdef int64_t postponed_due(const Lane* lane) noexcept nogil:  # R0
    """When the first postponed record is due, in µs; -1 when none is postponed."""
    cdef int64_t tick = lane.wheel_tick
    if lane.postponed == 0:
        return -1
    while lane.wheel[tick % WHEEL_SIZE].first == NO_RECORD:
        tick += 1
    return tick << WHEEL_SHIFT
