"""How often each virtual node has answered each address lately. Rate class: packet.

A window of 10 s begins with an address's first question to a node; beyond the limit the node is silent until it ends.
The table is bounded, and any machine that asks fills it: the oldest window of a set gives way, which errs towards
answering and is counted. Source: libtorrent's limit per address, counted over 10 s; ours knows no longer ban.
"""
from libc.stdlib cimport calloc, free

from fastdht._ext.hashing cimport Rng, mix_words, seed_rng
from fastdht._ext.swarm_population cimport draw_key


cdef class AnswerLimit:
    """Takes 16 MB. Raises MemoryError."""

    def __cinit__(self, seed):
        cdef Rng rng
        seed_rng(&rng, (seed ^ 0x117715) & 0xFFFFFFFFFFFFFFFF)
        draw_key(&rng, &self.key)
        self.askings = <Askings*>calloc(LIMIT_SETS * LIMIT_WAYS, sizeof(Askings))
        if not self.askings:
            raise MemoryError("no memory for the swarm's limits")

    def __dealloc__(self):
        free(self.askings)

    cdef bint is_over(self, uint32_t serial, uint32_t source_ip, uint32_t limit, int64_t now_us) noexcept nogil:  # R0
        """Count a question; whether there were more than `limit` in its window."""
        cdef uint64_t mark = mix_words(&self.key, serial, source_ip) | 1
        cdef uint32_t now_ms = <uint32_t>(now_us // 1000)
        cdef Askings* ways = &self.askings[(mark >> 32 & (LIMIT_SETS - 1)) * LIMIT_WAYS]
        cdef Askings* chosen = ways
        cdef int i
        for i in range(LIMIT_WAYS):
            if ways[i].mark == mark:
                chosen = &ways[i]
                break
            if age_of(&ways[i], now_ms) > age_of(chosen, now_ms):
                chosen = &ways[i]
        if chosen.mark != mark or age_of(chosen, now_ms) >= LIMIT_WINDOW_US // 1000:
            self.forgotten += chosen.mark != mark and age_of(chosen, now_ms) < LIMIT_WINDOW_US // 1000
            chosen.mark = mark
            chosen.started_ms = now_ms
            chosen.count = 0
        chosen.count += 1
        return chosen.count > limit


cdef inline uint32_t age_of(const Askings* askings, uint32_t now_ms) noexcept nogil:
    """Milliseconds since its window began; a free place is older than any."""
    return now_ms - askings.started_ms if askings.mark else <uint32_t>0xFFFFFFFF
