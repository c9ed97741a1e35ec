"""Where the endpoints of a set stand: lines of a cache, each of ten places. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fastdht_prefetch(p) __builtin_prefetch((p), 1, 3)
    #else
    #define fastdht_prefetch(p) ((void)(p))
    #endif
    """
    void prefetch "fastdht_prefetch"(const void* p) nogil


cdef enum:
    LINE_PLACES = 10
    MAX_REFERRERS = 255


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
cdef uint32_t first_hit(const Line* line, uint64_t hashed, uint32_t start) noexcept nogil
cdef uint32_t first_free(const Line* line) noexcept nogil
cdef void occupy(Spot* spot, uint64_t hashed, uint32_t record, uint8_t referrers) noexcept nogil


cdef inline uint64_t place_count(const Places* places) noexcept nogil:
    return <uint64_t>LINE_PLACES << places.line_bits


cdef inline uint64_t home_line(const Places* places, uint64_t hashed) noexcept nogil:
    return hashed >> (64 - places.line_bits)


cdef inline bint is_free(const Spot* spot) noexcept nogil:
    return spot.line.referrers[spot.index] == 0


cdef inline void set_spot(const Places* places, uint64_t line, uint32_t index, Spot* out) noexcept nogil:
    out.line = &places.lines[line]
    out.record = &places.records[line * LINE_PLACES + index]
    out.index = index
