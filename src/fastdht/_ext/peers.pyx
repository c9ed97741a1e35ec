"""Admits and keeps nothing yet: the bounded store replaces this file."""
cdef class PeerStore:
    def __init__(self, family, **settings):
        pass
    cdef bint add(self, const uint8_t* info_hash, const Endpoint* peer, bint is_seed, int64_t now_us) noexcept nogil:
        return True
    cdef uint32_t write_values(self, const uint8_t* info_hash, bint noseed, uint32_t limit, Rng* rng, int64_t now_us, uint8_t* out, uint32_t* written) noexcept nogil:
        return 0
    cdef uint32_t expire(self, int64_t now_us, uint32_t budget) noexcept nogil:
        return 0
    def check_invariants(self):
        pass
