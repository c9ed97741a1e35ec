"""The lines of a set of endpoints: what one look at the cache can say. Rate class: packet.

A hashed endpoint is 48 bits at the top of a word; the leading ones choose its home line, the last 40 are its tag. When
the hash is a permutation, as it is for IPv4, tag and distance from home tell endpoints apart exactly, and a contact
named again costs one line and nothing else: the record is not looked at. Whoever is displaced stands in the first line
after home that had room. Invariant: no place is free before one that is taken, so a line with a free place ends a
search.
"""
from libc.string cimport memset

from fastdht._ext.pages cimport make_ready, map_zeroed, unmap

cdef enum:
    MAX_LINE_BITS = 28


cdef bint open_places(Places* places, uint32_t line_bits) noexcept nogil:
    memset(places, 0, sizeof(Places))
    places.line_bits = line_bits
    places.lines = <Line*>map_zeroed(sizeof(Line) << line_bits)
    places.records = <uint32_t*>map_zeroed(place_count(places) * sizeof(uint32_t))
    if places.lines == NULL or places.records == NULL:
        free_places(places)
        return False
    return True


cdef void free_places(Places* places) noexcept nogil:
    unmap(places.lines, sizeof(Line) << places.line_bits)
    unmap(places.records, place_count(places) * sizeof(uint32_t))
    memset(places, 0, sizeof(Places))


cdef bint ready_places(Places* places, uint64_t budget) noexcept nogil:
    """Have up to `budget` more bytes provided, for the first touch of a page takes the system long."""
    cdef uint64_t line_bytes = sizeof(Line) << places.line_bits
    cdef uint64_t bytes = place_count(places) * sizeof(uint32_t) + line_bytes
    cdef uint64_t end = min(places.ready + budget, bytes)
    if places.ready < line_bytes:
        end = min(end, line_bytes)
        make_ready(<char*>places.lines + places.ready, end - places.ready)
    else:
        make_ready(<char*>places.records + (places.ready - line_bytes), end - places.ready)
    places.ready = end
    return end == bytes


cdef uint32_t line_bits_for(uint64_t places) noexcept nogil:
    cdef uint32_t bits = 1
    while <uint64_t>LINE_PLACES << bits < places and bits < MAX_LINE_BITS:
        bits += 1
    return bits


cdef uint32_t first_free(const Line* line) noexcept nogil:  # R0
    """The first free place; LINE_PLACES when the line is full."""
    cdef uint32_t i
    if line.referrers[LINE_PLACES - 1] != 0:
        return LINE_PLACES
    for i in range(LINE_PLACES):
        if line.referrers[i] == 0:
            return i
    return LINE_PLACES


cdef void occupy(Spot* spot, uint64_t hashed, uint32_t record, uint8_t referrers) noexcept nogil:  # R0
    spot.line.tags[spot.index] = <uint32_t>(hashed >> TAG_SHIFT)
    spot.line.more[spot.index] = <uint8_t>(hashed >> MORE_SHIFT)
    spot.line.referrers[spot.index] = referrers
    spot.record[0] = record
