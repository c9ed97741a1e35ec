"""The decisions of a lookup, on counts alone. Rate class: lookup.

fastdht.lookup.machine has the theory of operation and is the same for Python. Source: Kademlia §2.3; BEP 5.
"""
from libc.stdint cimport uint8_t

from fastdht._ext.shortlist cimport FLAG_EXHAUSTED, FLAG_LATE, View


cdef enum:
    NOTHING_NOW = 0
    NO_MORE = -1


cdef enum Phase:                # fastdht.lookup.machine.LookupState
    PHASE_SEEDING
    PHASE_CONVERGING
    PHASE_CLOSING
    PHASE_DONE
    PHASE_LATE
    PHASE_EXHAUSTED


cdef inline int decide(const View* view, int alpha, uint8_t* phase) noexcept nogil:
    """How many more to ask (> 0), NOTHING_NOW or NO_MORE."""
    if view.flags & FLAG_LATE:
        phase[0] = PHASE_LATE
        return NO_MORE
    if view.fresh and not view.flags & FLAG_EXHAUSTED:
        if view.answered:
            phase[0] = PHASE_CONVERGING
        return max(min(view.fresh, alpha - view.in_flight), <int>NOTHING_NOW)
    if view.pending:
        phase[0] = PHASE_CLOSING
        return NOTHING_NOW
    phase[0] = PHASE_EXHAUSTED if view.fresh else PHASE_DONE
    return NO_MORE
