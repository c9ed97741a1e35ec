"""Routing tables that are generated, not stored. Rate class: packet.

Bucket j of a node is a keyed pseudo-random choice from the id range that shares exactly j bits with it: the same
choice each time it is asked. A bucket whose range holds no more than it can keep holds all of it, so that the
closest nodes of any target know each other, as in a network at rest. The range is cut into as many strata (of equal
popularity) as the bucket has places, one contact from each: libtorrent, too, spreads a bucket over the next bits.
Source: Kademlia (Maymounkov, Mazières 2002), buckets; BEP 5, k = 8; libtorrent for the larger first buckets.
"""
from fastdht._ext.hashing cimport mix_words
from fastdht._ext.swarm_population cimport ROLE_HONEST, VirtualNode

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    static int swarm_clz64(unsigned long long x) {
        unsigned long i; _BitScanReverse64(&i, x); return 63 - (int)i;
    }
    #else
    static int swarm_clz64(unsigned long long x) { return __builtin_clzll(x); }
    #endif
    """
    int swarm_clz64(uint64_t x) nogil

# The share of its neighbours that know the youngest contact. 0.48 gives, of 150,000 nodes with sigma 2, half of all
# contacts dead and 1 % loss each way, the recall measured for five ways to crawl: tests/sim/test_swarm_calibration.py.
cdef double LEAST_KNOWN = 0.48


cdef inline int shared_bits(uint64_t a, uint64_t b) noexcept nogil:
    return swarm_clz64(a ^ b) if a != b else 64


cdef inline uint64_t scramble(uint64_t z) noexcept nogil:
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint32_t scale(uint64_t random, uint64_t bound) noexcept nogil:
    """0 … bound-1 from 32 random bits."""
    return <uint32_t>(((random & <uint32_t>0xFFFFFFFF) * bound) >> 32)


cdef uint32_t pick_uniform(const TableShape* shape, uint64_t seed, uint32_t low, uint32_t high,
                           uint32_t* out) noexcept nogil:  # R0
    """One entry of each stratum; the strata start at a random entry, so that none is favoured by rounding."""
    cdef uint32_t i, first, next, at
    cdef uint32_t size = high - low
    cdef uint32_t rotation = scale(scramble(seed), size)
    first = 0
    for i in range(shape.width):
        next = (i + 1) * size // shape.width if shape.width != 8 else ((i + 1) * size) >> 3
        at = first + scale(scramble(seed + (i + 1) * <uint64_t>0x9E3779B97F4A7C15), next - first) + rotation
        out[i] = low + (at - size if at >= size else at)
        first = next
    return shape.width


cdef inline bint is_chosen(const uint32_t* chosen, uint32_t count, uint32_t entry) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        if chosen[i] == entry:
            return True
    return False


cdef uint32_t pick_popular(Population people, const TableShape* shape, uint64_t seed, uint32_t low, uint32_t high,
                           uint32_t* out) noexcept nogil:  # R0
    """One entry of each stratum of equal popularity. A contact that fills several is taken once, then others drawn."""
    cdef uint32_t i, entry
    cdef uint32_t count = 0
    cdef uint32_t tries = 0
    cdef uint64_t before = people.weight_at(low)
    cdef uint64_t weight = people.weight_at(high) - before
    cdef uint64_t draw
    for i in range(shape.width):
        draw = (<uint64_t>i << 32) | (scramble(seed + (i + 1) * <uint64_t>0x9E3779B97F4A7C15) >> 32)
        entry = people.find_weight(<uint32_t>(before + ((draw >> 6) * weight // shape.width >> 26)))
        if count and is_chosen(out, count, entry):
            continue
        out[count] = entry
        count += 1
    while count < shape.width:
        tries += 1
        draw = scramble(seed - tries * <uint64_t>0x9E3779B97F4A7C15)
        if tries <= 4 * MAX_WIDTH:
            entry = people.find_weight(<uint32_t>(before + ((draw >> 32) * weight >> 32)))
        else:
            entry = low + (scale(draw, high - low) + tries) % (high - low)
        if not is_chosen(out, count, entry):
            out[count] = entry
            count += 1
        elif tries > 64 * MAX_WIDTH:
            break
    return count


cdef uint32_t take_all(Population people, const HashKey* key, const TableShape* shape, uint32_t low, uint32_t high,
                       uint32_t* out) noexcept nogil:  # R0
    """A range that the bucket can hold: all of it, but of unequally known contacts some neighbours miss the young."""
    cdef uint32_t i
    cdef uint32_t count = 0
    cdef double fame, draw
    for i in range(low, high):
        if people.guide != NULL:
            fame = <double>(people.weight_at(i + 1) - people.weight_at(i)) / people.full_weight
            draw = <double>(mix_words(key, shape.place, people.nodes[i].place) >> 32) / 4294967296.0
            if draw >= LEAST_KNOWN + (1.0 - LEAST_KNOWN) * fame:
                continue
        out[count] = i
        count += 1
    return count


cdef uint32_t pick_bucket(Population people, const HashKey* key, const TableShape* shape, uint32_t salt,
                          uint32_t low, uint32_t high, uint32_t* out) noexcept nogil:  # R0
    """The node's bucket over nodes[low … high-1]; `salt` tells its buckets apart. At most shape.width entries."""
    cdef uint64_t seed
    if high - low <= shape.width:
        return take_all(people, key, shape, low, high, out)
    seed = mix_words(key, shape.place, salt)
    if people.guide == NULL:
        return pick_uniform(shape, seed, low, high, out)
    return pick_popular(people, shape, seed, low, high, out)


cdef uint32_t keep_closest(Population people, uint64_t target, uint32_t* candidates, uint32_t count,
                           uint32_t keep) noexcept nogil:  # R0
    """Move the `keep` closest to the front, closest first."""
    cdef uint32_t i, k, best, swap
    cdef uint64_t distance, best_distance
    for i in range(min(keep, count)):
        best = i
        best_distance = people.nodes[candidates[i]].prefix ^ target
        for k in range(i + 1, count):
            distance = people.nodes[candidates[k]].prefix ^ target
            if distance < best_distance:
                best = k
                best_distance = distance
        swap = candidates[i]
        candidates[i] = candidates[best]
        candidates[best] = swap
    return min(keep, count)


cdef int deepest_bucket(Population people, uint64_t prefix) noexcept nogil:  # R0
    """The deepest bucket of a node that any other contact falls into, -1 when it is alone."""
    cdef uint32_t low, high, i
    cdef int deepest = -1
    cdef int bits = people.cell_bits
    while True:
        low = 0
        high = people.listed
        if bits > 0:
            people.find_range(prefix, bits, &low, &high)
        for i in range(low, high):
            if people.nodes[i].prefix != prefix:
                deepest = max(deepest, shared_bits(people.nodes[i].prefix, prefix))
        if deepest >= 0 or bits == 0:
            return deepest
        bits -= 1


cdef uint32_t gather_bucket(Population people, const HashKey* key, const TableShape* shape, int bucket,
                            uint32_t* out) noexcept nogil:  # R0
    cdef uint32_t low, high
    people.find_range(shape.prefix ^ (<uint64_t>1 << (63 - bucket)), bucket + 1, &low, &high)
    return pick_bucket(people, key, shape, <uint32_t>bucket << 8, low, high, out)


cdef uint32_t closest_by_walk(Population people, const HashKey* key, const TableShape* shape, uint64_t target,
                              int shared, uint32_t* out) noexcept nogil:  # R0
    """When bucket `shared` cannot fill the reply: then the deeper buckets, then the shallower ones."""
    cdef uint32_t candidates[MAX_CANDIDATES]
    cdef uint32_t count = 0
    cdef int bucket
    cdef int deepest = deepest_bucket(people, shape.prefix)
    for bucket in range(min(shared, 64), deepest + 1):
        count += gather_bucket(people, key, shape, bucket, candidates + count)
    bucket = min(shared - 1, deepest)
    while bucket >= 0 and count < shape.width:
        count += gather_bucket(people, key, shape, bucket, candidates + count)
        bucket -= 1
    count = keep_closest(people, target, candidates, count, shape.width)
    for bucket in range(<int>count):
        out[bucket] = candidates[bucket]
    return count


cdef uint32_t closest_contacts(Population people, const HashKey* key, const TableShape* shape, uint64_t target,
                               uint32_t* out) noexcept nogil:  # R0
    """The entries closest to a target in a node's table, at most shape.width of them; the node itself is never one."""
    cdef uint32_t low, high, narrow_low, narrow_high
    cdef int extra
    cdef int shared = shared_bits(shape.prefix, target)
    cdef uint32_t salt = <uint32_t>shared << 8
    if shared == 64:
        return closest_by_walk(people, key, shape, target, 64, out)
    people.find_range(target, shared + 1, &low, &high)
    if high - low < shape.width:
        return closest_by_walk(people, key, shape, target, shared, out)
    if shape.is_widened and shared < WIDENED_BUCKETS:
        extra = WIDENED_BUCKETS - shared
        people.find_range(target, shared + 1 + extra, &narrow_low, &narrow_high)
        if narrow_high - narrow_low >= shape.width:
            low = narrow_low
            high = narrow_high
            salt |= 1 + <uint32_t>((target >> (63 - shared - extra)) & ((<uint64_t>1 << extra) - 1))
    return pick_bucket(people, key, shape, salt, low, high, out)


cdef bint is_among_closest(Population people, uint64_t own_prefix, uint64_t target,
                           uint32_t count) noexcept nogil:  # R0
    """Whether fewer than `count` honest nodes of the whole network are closer to the target than this id prefix is."""
    cdef uint32_t low, high, i
    cdef uint32_t closer = 0
    cdef uint64_t own_distance = own_prefix ^ target
    cdef int shared = shared_bits(own_prefix, target)
    if shared < 64:
        people.find_range(target, shared + 1, &low, &high)
        if high - low > 64 * count:
            return False                    # more than could all be dead: the few exceptions are not worth a scan
        for i in range(low, high):
            closer += is_honest(people, &people.nodes[i])
    if shared > 0:
        people.find_range(target, shared, &low, &high)
    else:
        low = 0
        high = people.listed
    if closer >= count or high - low > 256 * count:
        return False
    closer = 0
    for i in range(low, high):
        if people.nodes[i].prefix ^ target < own_distance:
            closer += is_honest(people, &people.nodes[i])
    return closer < count


cdef inline bint is_honest(Population people, const VirtualNode* node) noexcept nogil:
    return people.role_of(people.serial_of(node.place)) == ROLE_HONEST
