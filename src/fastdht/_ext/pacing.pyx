"""Setting up the two paces, and the memory of the addresses asked lately. Rate class: packet (turns), command (the rest).

An address, or an IPv6 /64 as whole, needs a place only until its next packet would be due at an even pace: afterwards it is as good as never
asked. A line is full when ten of its addresses were asked within that time; then others wait for the first of them.
Invariant: whatever collides makes the pace stricter, never laxer. Source: ITU-T I.371 for the virtual scheduling
algorithm.
"""
from libc.string cimport memset

from fastdht._ext.addresses cimport hash_host
from fastdht._ext.hashing cimport Rng, next_random, seed_rng
from fastdht._ext.pages cimport make_ready, map_zeroed, unmap

cdef extern from *:
    """
    #if defined(__SSE2__)
    #include <emmintrin.h>
    /* Bit i: tag i is this one. Reads sixteen half words of the line, of which ten are tags. */
    static uint32_t fastdht_same_half_tags(const uint16_t *tags, uint16_t tag) {
        __m128i wanted = _mm_set1_epi16((short)tag);
        __m128i a = _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)tags), wanted);
        __m128i b = _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)(tags + 8)), wanted);
        return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, b)) & 0x3FF;
    }
    #else
    static uint32_t fastdht_same_half_tags(const uint16_t *tags, uint16_t tag) {
        uint32_t all = 0, i;
        for (i = 0; i < 10; i++)
            all |= (uint32_t)(tags[i] == tag) << i;
        return all;
    }
    #endif
    """
    uint32_t fastdht_same_half_tags(const uint16_t* tags, uint16_t tag) nogil

cdef enum:
    LINE_WORDS = 16
    TAG_SHIFT = 48              # the line is chosen by the other end of the hash
    NO_PLACE = PACE_PLACES


cdef bint open_address_pace(AddressPace* pace, uint32_t cells, double rate, uint32_t burst,
                            uint64_t seed) noexcept nogil:
    """`cells` words of memory, a power of two; `rate` packets/s per address, 0 for no limit. False when memory is short."""
    cdef Rng rng
    cdef uint32_t count = max(cells // LINE_WORDS, <uint32_t>1)
    memset(pace, 0, sizeof(AddressPace))
    if rate <= 0:
        return True
    seed_rng(&rng, seed)
    pace.key.k0 = next_random(&rng)
    pace.key.k1 = next_random(&rng)
    pace.lines = <PaceLine*>map_zeroed(count * sizeof(PaceLine))
    if pace.lines == NULL:
        return False
    pace.mask = count - 1
    pace.interval_ms = <uint32_t>(1000 / rate)
    if pace.interval_ms == 0:
        pace.interval_ms = 1
    pace.ahead_ms = (burst - 1) * pace.interval_ms
    return True


cdef void free_address_pace(AddressPace* pace) noexcept nogil:
    unmap(pace.lines, (<size_t>pace.mask + 1) * sizeof(PaceLine))
    memset(pace, 0, sizeof(AddressPace))


cdef void ready_address_pace(AddressPace* pace) noexcept nogil:
    """Have the system provide the lines: they are touched at random from the first question on."""
    if pace.lines != NULL:
        make_ready(pace.lines, (<size_t>pace.mask + 1) * sizeof(PaceLine))


cdef void set_pace(Pace* pace, double rate, int64_t quantum_us) noexcept nogil:
    """`rate` packets/s, 0 for no limit; at most `quantum_us` of them leave at once."""
    pace.interval_ns = <int64_t>(1e9 / rate) if rate > 0 else 0
    pace.quantum_ns = quantum_us * 1000


cdef uint32_t take_turn(AddressPace* pace, const Endpoint* endpoint, uint32_t now_ms) noexcept nogil:  # R0
    """Spend a packet of an address, and return 0; or the ms to wait before one is due. Needs an interval."""
    cdef uint64_t hashed = hash_host(&pace.key, endpoint)
    cdef uint16_t tag = <uint16_t>(hashed >> TAG_SHIFT)
    cdef PaceLine* line = &pace.lines[hashed & pace.mask]
    cdef uint32_t i = place_of(line, tag, now_ms)
    if i == NO_PLACE:
        i = earliest_place(line)
        if line.due_ms[i] > now_ms:
            return line.due_ms[i] - now_ms
        line.tags[i] = tag
        line.due_ms[i] = now_ms
    if line.due_ms[i] > now_ms + pace.ahead_ms:
        return line.due_ms[i] - now_ms - pace.ahead_ms
    line.due_ms[i] += pace.interval_ms
    return 0


cdef inline uint32_t place_of(const PaceLine* line, uint16_t tag, uint32_t now_ms) noexcept nogil:  # R0
    """Where an address stands that has been asked lately; NO_PLACE when it has not."""
    cdef uint32_t hits = fastdht_same_half_tags(line.tags, tag)
    cdef uint32_t i = 0
    while hits:
        if hits & 1 and line.due_ms[i] > now_ms:
            return i
        hits >>= 1
        i += 1
    return NO_PLACE


cdef inline uint32_t earliest_place(const PaceLine* line) noexcept nogil:  # R0
    cdef uint32_t i, best = 0
    for i in range(1, PACE_PLACES):
        if line.due_ms[i] < line.due_ms[best]:
            best = i
    return best
