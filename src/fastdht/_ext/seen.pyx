"""An exact set of endpoints that grows without a pause, and the records behind it. Rate class: packet.

Exact, never a Bloom filter: one false positive in a hundred would be one node in a hundred lost without a trace.
The record array is mapped at its ceiling (untouched pages cost nothing) and never moves. The places are not: they are
touched at random, so that a table at the ceiling would cost all its memory at once. It doubles instead: the new table
is made ready page by page, then searched first and the old one after it, while the owner moves old places by the
thousand per tick, off the packet path.
Invariants: an endpoint stands once per table; what stands in both is current in the new one; a record is in one list.
"""
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, hash_host, load_compact, same_host, write_be32, write_be64
from fastdht._ext.hashing cimport Rng, next_random, seed_rng
from fastdht._ext.pages cimport make_ready, map_zeroed, unmap
from fastdht._ext.prefetch cimport fastdht_fetch
from fastdht._ext.seen_places cimport (
    LINE_PLACES, MAX_REFERRERS, first_free, first_hit, free_places, home_line, is_free, line_bits_for, occupy,
    open_places, place_count, ready_places, set_spot)

cdef enum:
    GROW_AT = 26                # thirty-seconds of the places in use: load 0.81
    CROWDED_AT = 27             # 0.84: the owner stops asking until the table has grown
    REFUSE_AT = 29              # 0.91: searches would become long; only a burst without a tick comes here
    LOOK_AHEAD = 8
    TAG_LINE_BITS = 8           # all but so many bits of the home line are part of the tag
    READY_STEP = 2 << 20        # bytes made ready per tick: one huge page
    SUMS_SPARE = 8192           # so many more may fall to one part than to the mean one
    READY_AHEAD = 131072        # records made ready before they are needed: 0.1 s of the fastest growth


cdef struct AddressSum:
    uint32_t record             # the first of the address, plus 1; 0: free
    uint32_t asked


cdef bint open_store(ContactStore* store, uint16_t family, uint32_t capacity, uint64_t places,
                     uint64_t seed) noexcept nogil:
    """Map a store of up to `capacity` contacts; False when memory is short, and then nothing is held."""
    cdef Rng rng
    memset(store, 0, sizeof(ContactStore))
    seed_rng(&rng, seed)
    store.key.k0 = next_random(&rng)
    store.key.k1 = next_random(&rng)
    store.family = family
    store.stride = sizeof(Record) + (4 if family == FAMILY_V4 else 16)
    store.capacity = capacity
    store.records = <uint8_t*>map_zeroed(<size_t>capacity * store.stride)
    store.asked = <uint8_t*>map_zeroed(capacity)
    if not open_places(&store.places, line_bits_for(places)) or store.records == NULL or store.asked == NULL:
        free_store(store)
        return False
    return True


cdef void free_store(ContactStore* store) noexcept nogil:
    free_places(&store.places)
    free_places(&store.old)
    free_places(&store.larger)
    unmap(store.records, <size_t>store.capacity * store.stride)
    unmap(store.asked, store.capacity)
    memset(store, 0, sizeof(ContactStore))


cdef void ready_store(ContactStore* store) noexcept nogil:
    """Have the system provide what the first contacts will touch; takes tens of milliseconds for a large table."""
    while not ready_places(&store.places, READY_STEP):
        pass
    while not ready_records(store):
        pass


cdef bint ready_records(ContactStore* store) noexcept nogil:
    """Make one step of the records that come next ready; True when enough of them are."""
    cdef uint64_t wanted = (<uint64_t>store.count + READY_AHEAD) * store.stride
    cdef uint64_t step
    wanted = min(wanted, <uint64_t>store.capacity * store.stride)
    if store.records_ready >= wanted:
        return True
    step = min(<uint64_t>READY_STEP, wanted - store.records_ready)
    make_ready(store.records + store.records_ready, step)
    store.records_ready += step
    return store.records_ready >= wanted


cdef bint needs_growth(const ContactStore* store) noexcept nogil:
    return <uint64_t>store.count * 32 >= place_count(&store.places) * GROW_AT


cdef bint is_crowded(const ContactStore* store) noexcept nogil:  # R0
    return <uint64_t>store.count * 32 >= place_count(&store.places) * CROWDED_AT


cdef bint is_growing(const ContactStore* store) noexcept nogil:
    return store.is_behind or store.larger.lines != NULL or store.old.lines != NULL


cdef bint tend_store(ContactStore* store, uint64_t budget) noexcept nogil:
    """Grow when that is due, a step at a time: make a page ready, or move up to `budget` places."""
    store.is_behind = not ready_records(store)
    if store.old.lines != NULL:
        move_lines(store, budget // LINE_PLACES + 1)
        return True
    if store.larger.lines == NULL:
        if not needs_growth(store):
            return True
        if not open_places(&store.larger, store.places.line_bits + 1):
            return False
    if ready_places(&store.larger, READY_STEP):
        store.old = store.places
        store.places = store.larger
        store.moved = 0
        memset(&store.larger, 0, sizeof(Places))
    return True


cdef void move_lines(ContactStore* store, uint64_t budget) noexcept nogil:
    """Copy up to `budget` lines of the old table into the new one; frees the old one when all are copied."""
    cdef uint64_t end = min(store.moved + budget, <uint64_t>1 << store.old.line_bits)
    cdef Endpoint endpoint
    cdef Spot old, spot
    cdef uint32_t i
    while store.moved < end:
        for i in range(LINE_PLACES):
            set_spot(&store.old, store.moved, i, &old)
            if is_free(&old):
                break
            read_endpoint(store, record_at(store, old.record[0]), &endpoint)
            find_spot(store, &endpoint, hash_of(store, &endpoint), &spot)       # finding it moves it
        store.moved += 1
    if store.moved == <uint64_t>1 << store.old.line_bits:
        free_places(&store.old)


cdef inline uint64_t first_index(uint64_t hashed, uint64_t size) noexcept nogil:
    return ((hashed >> 32) * size) >> 32


cdef bint is_at(const ContactStore* store, uint32_t index, const Endpoint* endpoint) noexcept nogil:  # R0
    cdef Endpoint other
    read_endpoint(store, record_at(store, index), &other)
    return other.low == endpoint.low and other.high == endpoint.high and other.port == endpoint.port


cdef bint search(const ContactStore* store, const Places* places, const Endpoint* endpoint, uint64_t hashed,
                 Spot* out) noexcept nogil:  # R0
    """Whether the endpoint stands in a table, and where; else the free place where it belongs, or no line at all."""
    cdef bint exact = is_exact(store, places)
    cdef uint64_t mask = (<uint64_t>1 << places.line_bits) - 1
    cdef uint64_t left = <uint64_t>1 << (places.line_bits - TAG_LINE_BITS) if exact else mask + 1
    cdef uint64_t at = home_line(places, hashed)
    cdef uint32_t i
    while left:
        i = first_hit(&places.lines[at], hashed, 0)
        while i < LINE_PLACES:
            set_spot(places, at, i, out)
            if exact or is_at(store, out.record[0], endpoint):
                return True
            i = first_hit(&places.lines[at], hashed, i + 1)
        i = first_free(&places.lines[at])
        if i < LINE_PLACES:
            set_spot(places, at, i, out)
            return False
        at = (at + 1) & mask
        left -= 1
    out.line = NULL
    return False


cdef bint find_spot(ContactStore* store, const Endpoint* endpoint, uint64_t hashed, Spot* out) noexcept nogil:  # R0
    """Whether the endpoint is known, and its spot; else a free one, or none (no line)."""
    cdef Spot old
    if search(store, &store.places, endpoint, hashed, out):
        return True
    if store.old.lines == NULL or not search(store, &store.old, endpoint, hashed, &old):
        return False
    if out.line != NULL:
        occupy(out, hashed, old.record[0], old.line.referrers[old.index])
    else:
        out[0] = old
    return True


cdef uint32_t add_record(ContactStore* store, Spot* spot, const Endpoint* endpoint, uint64_t hashed,
                         const uint8_t* node_id) noexcept nogil:  # R0
    """Fill the free spot that `find_spot` gave, for a first referrer; NO_RECORD when the store is full.

    `node_id` may be NULL.
    """
    cdef Record* record
    cdef uint8_t* address
    if (store.count >= store.capacity or spot.line == NULL
            or <uint64_t>store.count * 32 >= place_count(&store.places) * REFUSE_AT):
        return NO_RECORD
    occupy(spot, hashed, store.count, 1)
    record = record_at(store, store.count)
    if node_id != NULL:
        memcpy(record.id, node_id, 20)
    record.port = endpoint.port
    address = <uint8_t*>(record + 1)
    if store.family == FAMILY_V4:
        write_be32(address, <uint32_t>endpoint.low)
    else:
        write_be64(address, endpoint.high)
        write_be64(address + 8, endpoint.low)
    store.count += 1
    return store.count - 1


cdef uint32_t find_record(ContactStore* store, const Endpoint* endpoint) noexcept nogil:  # R0
    """The record of an endpoint, or NO_RECORD."""
    cdef Spot spot
    if not find_spot(store, endpoint, hash_of(store, endpoint), &spot):
        return NO_RECORD
    return spot.record[0]


cdef uint32_t count_referrers(ContactStore* store, uint32_t index) noexcept nogil:  # R0
    """How many replies named a contact; at most 255 are counted."""
    cdef Endpoint endpoint
    cdef Spot spot
    read_endpoint(store, record_at(store, index), &endpoint)
    return spot.line.referrers[spot.index] if find_spot(store, &endpoint, hash_of(store, &endpoint), &spot) else 0


cdef uint32_t most_asked_address(const ContactStore* store, uint32_t at_once) noexcept nogil:
    """The largest number of packets that one address got, summed over its ports; 0 when memory is short."""
    cdef uint32_t parts = store.count // max(at_once, <uint32_t>1) + 1, part, best = 0
    cdef uint64_t size = (<uint64_t>store.count // parts + SUMS_SPARE) * 3 // 2
    cdef AddressSum* sums = <AddressSum*>map_zeroed(size * sizeof(AddressSum))
    if sums == NULL:
        return 0
    for part in range(parts):       # each reads all records, but only its addresses are in memory
        if part:
            memset(sums, 0, size * sizeof(AddressSum))
        best = max(best, sum_part(store, sums, size, part, parts))
    unmap(sums, size * sizeof(AddressSum))
    return best


cdef uint32_t sum_part(const ContactStore* store, AddressSum* sums, uint64_t size, uint32_t part,
                       uint32_t parts) noexcept nogil:
    """The largest sum of the addresses that fall to one of the parts, into zeros."""
    cdef uint64_t hashes[LOOK_AHEAD]        # of the records to come, whose places are on their way
    cdef uint64_t hashed
    cdef uint32_t index, best = 0, left = size * 7 // 8
    for index in range(store.count + LOOK_AHEAD):
        hashed = hashes[index % LOOK_AHEAD]
        if index < store.count:
            hashes[index % LOOK_AHEAD] = hash_address(store, index)
            fastdht_fetch(&sums[first_index(hashes[index % LOOK_AHEAD], size)])
        if index >= LOOK_AHEAD and store.asked[index - LOOK_AHEAD] and part_of(hashed, parts) == part and left:
            best = max(best, add_asked(store, index - LOOK_AHEAD, hashed, sums, size, &left))
    return best


cdef inline uint64_t part_of(uint64_t hashed, uint64_t parts) noexcept nogil:
    """By the half of the hash that does not choose the place."""
    return <uint64_t>(<uint32_t>hashed) * parts >> 32


cdef inline uint64_t hash_address(const ContactStore* store, uint32_t index) noexcept nogil:
    cdef Endpoint endpoint
    read_endpoint(store, record_at(store, index), &endpoint)
    return hash_host(&store.key, &endpoint)


cdef uint32_t add_asked(const ContactStore* store, uint32_t index, uint64_t hashed, AddressSum* sums, uint64_t size,
                        uint32_t* left) noexcept nogil:
    """Add what a record was asked to its address; returns the sum so far. `left` places may still be taken."""
    cdef uint64_t i = first_index(hashed, size)
    cdef Endpoint here, there
    read_endpoint(store, record_at(store, index), &here)
    while sums[i].record:
        read_endpoint(store, record_at(store, sums[i].record - 1), &there)
        if same_host(&here, &there):
            break
        i = i + 1 if i + 1 < size else 0
    if not sums[i].record:
        sums[i].record = index + 1
        left[0] -= 1
    sums[i].asked += store.asked[index]
    return sums[i].asked


cdef class EndpointSet:
    """A ContactStore as Python sees it, for tests and tools: an exact set of compact endpoints of one family.

    `capacity` bounds the endpoints held, `slots` is the size of the first table; raises MemoryError and ValueError.
    """
    cdef ContactStore store

    def __cinit__(self, *, capacity: int = 1 << 20, slots: int = 64, ipv6: bool = False, seed: int = 0):
        if capacity < 1 or slots < 16:
            raise ValueError(f"capacity is {capacity}, slots {slots}; at least 1 and 16")
        if not open_store(&self.store, FAMILY_V6 if ipv6 else FAMILY_V4, capacity, slots, seed):
            raise MemoryError(f"no memory for {capacity} contacts")

    def __dealloc__(self):
        free_store(&self.store)

    def __len__(self):
        return self.store.count

    def __contains__(self, packed):
        cdef Endpoint endpoint
        self.load(packed, &endpoint)
        return find_record(&self.store, &endpoint) != NO_RECORD

    cdef int load(self, bytes packed, Endpoint* out) except -1:
        load_compact(packed, out)
        if out.family != self.store.family:
            raise ValueError(f"a compact endpoint of {len(packed)} bytes is of the other family")
        return 0

    def add(self, packed: bytes) -> int:
        """Add a compact endpoint (6 or 18 bytes); returns how often it was added before, counted up to 255, or -1 when
        the set is full."""
        cdef Endpoint endpoint
        cdef Spot spot
        cdef uint8_t before
        cdef uint64_t hashed
        self.load(packed, &endpoint)
        hashed = hash_of(&self.store, &endpoint)
        if not find_spot(&self.store, &endpoint, hashed, &spot):
            return -1 if add_record(&self.store, &spot, &endpoint, hashed, NULL) == NO_RECORD else 0
        before = spot.line.referrers[spot.index]
        spot.line.referrers[spot.index] += before < MAX_REFERRERS
        return before

    def tend(self, budget: int) -> bool:
        """Start to grow when that is due, and move up to `budget` places; returns whether growth is under way."""
        if not tend_store(&self.store, budget):
            raise MemoryError("no memory for a larger set")
        return is_growing(&self.store)
