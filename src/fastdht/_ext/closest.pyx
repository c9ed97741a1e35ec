"""The live entries closest to a target. Rate class: packet.

Seen from a target, whole buckets follow each other in order of distance: those whose bit differs between target and
own id, from the first on; then the last bucket; then the others backwards. So entries are compared within one bucket
only, and the search stops at the bucket where it has enough. Source: Kademlia 2.3 (the metric).
"""
from libc.stdint cimport int64_t

from fastdht._ext.addresses cimport read_be32, read_be64
from fastdht._ext.buckets cimport MAX_CLOSEST, Live

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER)
    #include <intrin.h>
    static int fastdht_leading_zeros(uint64_t x) {
        unsigned long i; _BitScanReverse64(&i, x); return 63 - (int)i;
    }
    static int fastdht_trailing_zeros(uint64_t x) { unsigned long i; _BitScanForward64(&i, x); return (int)i; }
    #else
    static int fastdht_leading_zeros(uint64_t x) { return __builtin_clzll(x); }
    static int fastdht_trailing_zeros(uint64_t x) { return __builtin_ctzll(x); }
    #endif
    """
    int fastdht_leading_zeros(uint64_t x) nogil
    int fastdht_trailing_zeros(uint64_t x) nogil

cdef enum:
    FEW = 8                     # as many as a bucket mostly holds

cdef uint64_t TOP_BIT = <uint64_t>1 << 63
cdef uint64_t FARTHEST = ~<uint64_t>0


cdef uint32_t find_closest(KBuckets table, const uint8_t* target, uint32_t limit, Ranked* out) noexcept nogil:  # R0
    """The closest good entries; where they are fewer than `limit`, questionable ones fill up. In order."""
    cdef Ranked aim
    cdef uint32_t count
    aim.high = read_be64(target)
    aim.middle = read_be64(target + 8)
    aim.low = read_be32(target + 16)
    limit = min(limit, <uint32_t>MAX_CLOSEST)
    count = rank(table, &aim, True, limit, out)
    return count if count == limit else fill_up(table, &aim, count, limit, out)


cdef uint32_t fill_up(KBuckets table, const Ranked* aim, uint32_t count, uint32_t limit, Ranked* out) noexcept nogil:  # R0
    cdef Ranked others[MAX_CLOSEST]
    cdef uint32_t more = rank(table, aim, False, limit - count, others)
    cdef uint32_t total = count + more
    cdef uint32_t i = total
    while more:                                     # merge from the far end
        i -= 1
        if count and is_nearer(&others[more - 1], &out[count - 1]):
            count -= 1
            out[i] = out[count]
        else:
            more -= 1
            out[i] = others[more]
    return total


cdef uint32_t rank(KBuckets table, const Ranked* aim, bint good, uint32_t limit, Ranked* out) noexcept nogil:  # R0
    """Rank entries of one standing, bucket after bucket in order of distance, until there are `limit`."""
    cdef uint32_t last = table.bucket_count - 1
    cdef uint64_t whole = ~(<uint64_t>0xFFFFFFFFFFFFFFFF >> last) & table.occupied
    cdef uint64_t nearer = whole & (aim.high ^ table.own_high)
    cdef uint64_t farther = whole & ~nearer
    cdef uint32_t b, count = 0
    while nearer and count < limit:
        b = fastdht_leading_zeros(nearer)
        nearer ^= TOP_BIT >> b
        count = rank_bucket(table, b, aim, good, count, limit, out)
    if count < limit:
        count = rank_bucket(table, last, aim, good, count, limit, out)
    while farther and count < limit:
        b = 63 - fastdht_trailing_zeros(farther)
        farther &= farther - 1
        count = rank_bucket(table, b, aim, good, count, limit, out)
    return count


cdef uint32_t rank_bucket(KBuckets table, uint32_t bucket, const Ranked* aim, bint good, uint32_t count, uint32_t limit,
                          Ranked* out) noexcept nogil:  # R0
    """Sort a bucket's entries behind the `count` already ranked; what falls beyond `limit` is dropped."""
    cdef Live* live = &table.live[table.buckets[bucket].first]
    cdef Live* end = live + table.buckets[bucket].live_count
    cdef uint32_t start = count
    cdef uint32_t at
    cdef Ranked ranked
    if good and end - live <= FEW and rank_few(live, end, table.now_us, aim, &count, limit, out):
        return count
    while live < end:
        if (live.good_until_us > table.now_us) == good and (good or table.entries[live.entry].failures < table.max_failures):
            ranked.high = live.id_high ^ aim.high
            ranked.middle = live.id_middle ^ aim.middle
            ranked.low = live.id_low ^ aim.low
            ranked.entry = live.entry
            at = count
            if count < limit:
                count += 1
            elif is_nearer(&ranked, &out[count - 1]):
                at = count - 1
            else:
                live += 1
                continue
            while at > start and is_nearer(&ranked, &out[at - 1]):
                out[at] = out[at - 1]
                at -= 1
            out[at] = ranked
        live += 1
    return count


cdef inline bint rank_few(const Live* live, const Live* end, int64_t now_us, const Ranked* aim, uint32_t* count,
                          uint32_t limit, Ranked* out) noexcept nogil:
    """The same for the good ones of a few, without a branch that depends on their order, which no processor foresees:
    each goes where the number of those nearer puts it. False, and nothing done, when first words are equal."""
    cdef uint64_t[FEW] distances = [FARTHEST, FARTHEST, FARTHEST, FARTHEST, FARTHEST, FARTHEST, FARTHEST, FARTHEST]
    cdef const Live* found[FEW]
    cdef uint32_t places[FEW]
    cdef uint32_t i, j, place, taken = 0, total = 0
    cdef Ranked* ranked
    while live < end:
        found[total] = live
        total += live.good_until_us > now_us
        live += 1
    for i in range(total):
        distances[i] = found[i].id_high ^ aim.high
    for i in range(total):
        place = 0
        for j in range(<uint32_t>FEW):
            place += distances[j] < distances[i]
        places[i] = place
        taken |= <uint32_t>1 << place
    if taken != (<uint32_t>1 << total) - 1:
        return False
    for i in range(total):
        if count[0] + places[i] < limit:
            ranked = &out[count[0] + places[i]]
            ranked.high = distances[i]
            ranked.middle = found[i].id_middle ^ aim.middle
            ranked.low = found[i].id_low ^ aim.low
            ranked.entry = found[i].entry
    count[0] = min(limit, count[0] + total)
    return True


cdef inline bint is_nearer(const Ranked* a, const Ranked* b) noexcept nogil:
    if a.high != b.high:
        return a.high < b.high
    if a.middle != b.middle:
        return a.middle < b.middle
    return a.low < b.low
