"""Admits and keeps nothing yet: the bounded store replaces this file."""
cdef class Throttle:
    def __init__(self, secret, **settings):
        pass
    cdef bint admit(self, const Endpoint* source, int64_t now_us) noexcept nogil:
        return True
    cdef uint32_t reply_allowance(self, const Endpoint* source, uint32_t query_size, int64_t now_us) noexcept nogil:
        return 1400
    cdef void spend(self, const Endpoint* source, uint32_t reply_size, int64_t now_us) noexcept nogil:
        pass
    cdef void prove(self, const Endpoint* source, int64_t now_us) noexcept nogil:
        pass
    cdef bint admit_query_to(self, const Endpoint* target, int64_t now_us) noexcept nogil:
        return True
