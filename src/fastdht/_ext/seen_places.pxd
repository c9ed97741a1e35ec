"""Where the endpoints of a set stand: lines of a cache, each of ten places. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fastdht_first_bit(x) ((uint32_t)__builtin_ctz(x))
    #else
    static uint32_t fastdht_first_bit(uint32_t x) {
        uint32_t i = 0;
        while (!(x >> i & 1))
            i++;
        return i;
    }
    #endif

    #if defined(__SSE2__)
    #include <emmintrin.h>
    /* Bit i: tag i is this one. Reads twelve words of the line, of which ten are tags. */
    static inline uint32_t fastdht_same_tags(const uint32_t *tags, uint32_t tag) {
        __m128i wanted = _mm_set1_epi32((int)tag);
        __m128i a = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)tags), wanted);
        __m128i b = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)(tags + 4)), wanted);
        __m128i c = _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)(tags + 8)), wanted);
        __m128i all = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, _mm_setzero_si128()));
        return (uint32_t)_mm_movemask_epi8(all) & 0x3FF;
    }
    #else
    static inline uint32_t fastdht_same_tags(const uint32_t *tags, uint32_t tag) {
        uint32_t all = 0, i;
        for (i = 0; i < 10; i++)
            all |= (uint32_t)(tags[i] == tag) << i;
        return all;
    }
    #endif
    """
    uint32_t fastdht_same_tags(const uint32_t* tags, uint32_t tag) nogil
    uint32_t fastdht_first_bit(uint32_t x) nogil        # x is not 0


cdef enum:
    LINE_PLACES = 10
    MAX_REFERRERS = 255
    TAG_SHIFT = 16              # the tag is bits 16 to 55 of the hash: its end, and what chose the home line last
    MORE_SHIFT = 48


cdef struct Line:               # 64 bytes: one line of the cache; its places fill from the first and are never freed
    uint32_t tags[10]
    uint8_t more[10]            # eight more bits of each tag
    uint8_t referrers[10]       # how many replies named the endpoint, saturating; 0: nobody stands here
    uint32_t spare


cdef struct Places:
    Line* lines
    uint32_t* records           # of each place
    uint64_t ready              # bytes that the system has been asked to provide already
    uint32_t line_bits


cdef struct Spot:               # a place that was found, or is free
    Line* line                  # NULL: neither
    uint32_t* record
    uint32_t index              # within the line


cdef bint open_places(Places* places, uint32_t line_bits) noexcept nogil    # False: no memory
cdef void free_places(Places* places) noexcept nogil
cdef bint ready_places(Places* places, uint64_t budget) noexcept nogil      # True when all of it is
cdef uint32_t line_bits_for(uint64_t places) noexcept nogil
cdef uint32_t first_free(const Line* line) noexcept nogil
cdef void occupy(Spot* spot, uint64_t hashed, uint32_t record, uint8_t referrers) noexcept nogil


cdef inline uint64_t place_count(const Places* places) noexcept nogil:
    return <uint64_t>LINE_PLACES << places.line_bits


cdef inline uint64_t home_line(const Places* places, uint64_t hashed) noexcept nogil:
    return hashed >> (64 - places.line_bits)


cdef inline uint32_t first_hit(const Line* line, uint64_t hashed, uint32_t start) noexcept nogil:
    """The first place from `start` on that bears the tag of this hash; LINE_PLACES when none does."""
    cdef uint32_t hits = fastdht_same_tags(line.tags, <uint32_t>(hashed >> TAG_SHIFT)) >> start << start
    cdef uint8_t more = <uint8_t>(hashed >> MORE_SHIFT)
    cdef uint32_t i
    while hits:
        i = fastdht_first_bit(hits)
        if line.more[i] == more and line.referrers[i] != 0:
            return i
        hits &= hits - 1
    return LINE_PLACES


cdef inline bint is_free(const Spot* spot) noexcept nogil:
    return spot.line.referrers[spot.index] == 0


cdef inline void set_spot(const Places* places, uint64_t line, uint32_t index, Spot* out) noexcept nogil:
    out.line = &places.lines[line]
    out.record = &places.records[line * LINE_PLACES + index]
    out.index = index
