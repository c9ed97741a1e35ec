"""The decisions of a lookup, for Python. Rate class: lookup."""


def decide_by(int alpha, int phase, int in_flight, int fresh, int pending, int answered, int flags) -> tuple:
    """What a lookup does next, of alpha queries at most in flight, and its phase then."""
    cdef View view
    cdef uint8_t reached = <uint8_t>phase
    cdef int wanted
    view.in_flight, view.fresh, view.pending, view.answered, view.flags = in_flight, fresh, pending, answered, flags
    wanted = decide(&view, alpha, &reached)
    return wanted, reached
