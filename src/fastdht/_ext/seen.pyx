"""An open-addressing set of endpoints that grows without a pause, and the records behind it. Rate class: packet.

Exact, never a Bloom filter: one false positive in a hundred would be one node in a hundred lost without a trace.
The record array is mapped at its ceiling (untouched pages cost nothing) and never moves. The slots are not: they are
touched at random, so a table at the ceiling would cost all its memory at once. It doubles instead: the new table is
searched first, then the old one, while the owner moves old slots by the thousand per tick, off the packet path.
Invariants: a key stands once per table; what stands in both is current in the new one; a record is in one list.
"""
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport FAMILY_V6, hash_address, hash_endpoint, load_compact, write_be32, write_be64
from fastdht._ext.hashing cimport Rng, next_random, seed_rng
from fastdht._ext.pages cimport map_zeroed, unmap

cdef enum:
    GROW_AT = 11                # sixteenths of the slots in use: load 0.69
    CROWDED_AT = 13             # 0.81: the owner stops asking until the table has grown
    LOOK_AHEAD = 8
    REFUSE_AT = 15              # 0.94: probes would become long; only a burst without a tick comes here
    KEY_USED = 63               # the bit that tells a key from an empty slot


cdef bint open_store(ContactStore* store, uint16_t family, uint32_t capacity, uint64_t slot_count,
                     uint64_t seed) noexcept nogil:
    """Map a store of up to `capacity` contacts; False when memory is short, and then nothing is held."""
    cdef Rng rng
    memset(store, 0, sizeof(ContactStore))
    seed_rng(&rng, seed)
    store.key.k0 = next_random(&rng)
    store.key.k1 = next_random(&rng)
    store.family = family
    store.stride = sizeof(Record) + (4 if family == FAMILY_V4 else 16)
    store.slots = <Slot*>map_zeroed(slot_count * sizeof(Slot))
    store.slot_count = slot_count
    store.capacity = capacity
    store.records = <uint8_t*>map_zeroed(<size_t>capacity * store.stride)
    store.asked = <uint8_t*>map_zeroed(capacity)
    if store.slots == NULL or store.records == NULL or store.asked == NULL:
        free_store(store)
        return False
    return True


cdef void free_store(ContactStore* store) noexcept nogil:
    unmap(store.slots, store.slot_count * sizeof(Slot))
    unmap(store.old_slots, store.old_slot_count * sizeof(Slot))
    unmap(store.records, <size_t>store.capacity * store.stride)
    unmap(store.asked, store.capacity)
    memset(store, 0, sizeof(ContactStore))


cdef bint needs_growth(const ContactStore* store) noexcept nogil:  # R0
    return store.old_slots == NULL and store.count * 16 >= store.slot_count * GROW_AT


cdef bint is_crowded(const ContactStore* store) noexcept nogil:  # R0
    return <uint64_t>store.count * 16 >= store.slot_count * CROWDED_AT


cdef bint start_growth(ContactStore* store) noexcept nogil:
    cdef Slot* larger = <Slot*>map_zeroed(store.slot_count * 2 * sizeof(Slot))
    if larger == NULL:
        return False
    store.old_slots = store.slots
    store.old_slot_count = store.slot_count
    store.moved = 0
    store.slots = larger
    store.slot_count *= 2
    return True


cdef void move_slots(ContactStore* store, uint64_t budget) noexcept nogil:
    """Copy up to `budget` slots of the old table into the new one; frees the old one when all are copied."""
    cdef uint64_t end = store.moved + budget
    cdef Endpoint endpoint
    cdef Slot* slot
    if store.old_slots == NULL:
        return
    if end > store.old_slot_count:
        end = store.old_slot_count
    while store.moved < end:
        slot = &store.old_slots[store.moved]
        store.moved += 1
        if slot.key != 0:
            read_endpoint(store, record_at(store, slot.record), &endpoint)
            find_slot(store, &endpoint, hash_endpoint(&store.key, &endpoint))   # finding it moves it
    if store.moved == store.old_slot_count:
        unmap(store.old_slots, store.old_slot_count * sizeof(Slot))
        store.old_slots = NULL


cdef inline uint64_t first_index(uint64_t hashed, uint64_t slot_count) noexcept nogil:
    return ((hashed >> 32) * slot_count) >> 32


cdef uint64_t prepare_slot(const ContactStore* store, const Endpoint* endpoint) noexcept nogil:  # R0
    """Hash an endpoint and prefetch its slot, so that the misses of a reply's contacts overlap."""
    cdef uint64_t hashed = hash_endpoint(&store.key, endpoint)
    prefetch(&store.slots[first_index(hashed, store.slot_count)])
    return hashed


cdef inline uint64_t key_of(const Endpoint* endpoint, uint64_t hashed) noexcept nogil:
    if endpoint.family == FAMILY_V4:
        return (<uint64_t>1 << KEY_USED) | (endpoint.low << 16) | endpoint.port
    return (<uint64_t>1 << KEY_USED) | hashed


cdef bint is_at(const ContactStore* store, uint32_t index, const Endpoint* endpoint) noexcept nogil:  # R0
    cdef Endpoint other
    read_endpoint(store, record_at(store, index), &other)
    return other.low == endpoint.low and other.high == endpoint.high and other.port == endpoint.port


cdef Slot* probe(const ContactStore* store, Slot* slots, uint64_t slot_count, const Endpoint* endpoint,
                 uint64_t hashed) noexcept nogil:  # R0
    """The slot that holds the endpoint, or the empty one where it belongs. Ends, for no table is ever full."""
    cdef uint64_t key = key_of(endpoint, hashed)
    cdef uint64_t i = first_index(hashed, slot_count)
    while slots[i].key != 0:
        if slots[i].key == key and (store.family == FAMILY_V4 or is_at(store, slots[i].record, endpoint)):
            break
        i += 1
        if i == slot_count:
            i = 0
    return &slots[i]


cdef Slot* find_slot(ContactStore* store, const Endpoint* endpoint, uint64_t hashed) noexcept nogil:  # R0
    """The slot of an endpoint; its key is 0 when the endpoint is new."""
    cdef Slot* slot = probe(store, store.slots, store.slot_count, endpoint, hashed)
    cdef Slot* old
    if slot.key == 0 and store.old_slots != NULL:
        old = probe(store, store.old_slots, store.old_slot_count, endpoint, hashed)
        if old.key != 0:
            slot[0] = old[0]
    return slot


cdef uint32_t add_record(ContactStore* store, Slot* slot, const Endpoint* endpoint, uint64_t hashed,
                         const uint8_t* node_id) noexcept nogil:  # R0
    """Fill an empty slot that `find_slot` returned; NO_RECORD when the store is full. `node_id` may be NULL."""
    cdef Record* record
    cdef uint8_t* address
    if store.count >= store.capacity or <uint64_t>store.count * 16 >= store.slot_count * REFUSE_AT:
        return NO_RECORD
    slot.key = key_of(endpoint, hashed)
    slot.record = store.count
    slot.referrers = 0
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
    return slot.record


cdef uint32_t count_referrers(ContactStore* store, uint32_t index) noexcept nogil:  # R0
    cdef Endpoint endpoint
    read_endpoint(store, record_at(store, index), &endpoint)
    return find_slot(store, &endpoint, hash_endpoint(&store.key, &endpoint)).referrers


cdef void push_record(ContactStore* store, RecordList* records, uint32_t index) noexcept nogil:  # R0
    record_at(store, index).next = NO_RECORD
    if records.first == NO_RECORD:
        records.first = index
    else:
        record_at(store, records.last).next = index
    records.last = index


cdef uint32_t pop_record(ContactStore* store, RecordList* records) noexcept nogil:  # R0
    cdef uint32_t index = records.first
    if index != NO_RECORD:
        records.first = record_at(store, index).next
    return index


cdef uint32_t most_asked_address(const ContactStore* store) noexcept nogil:
    """The largest number of packets that one address got, summed over its ports; 0 when memory is short."""
    cdef uint64_t size = <uint64_t>store.count * 2 + 1
    cdef uint32_t* leaders = <uint32_t*>map_zeroed(size * sizeof(uint32_t))     # record + 1 that stands for an address
    cdef uint32_t* sums = <uint32_t*>map_zeroed((<size_t>store.count + 1) * sizeof(uint32_t))
    cdef uint32_t index, leader, best = 0
    if leaders != NULL and sums != NULL:
        for index in range(store.count):
            if index + LOOK_AHEAD < store.count:
                prefetch(&leaders[address_index(store, index + LOOK_AHEAD, size)])
            if store.asked[index] != 0:
                leader = find_leader(store, index, leaders, size)
                sums[leader] += store.asked[index]
                best = max(best, sums[leader])
    unmap(leaders, size * sizeof(uint32_t))
    unmap(sums, (<size_t>store.count + 1) * sizeof(uint32_t))
    return best


cdef inline uint64_t address_index(const ContactStore* store, uint32_t index, uint64_t size) noexcept nogil:
    cdef Endpoint endpoint
    read_endpoint(store, record_at(store, index), &endpoint)
    return first_index(hash_address(&store.key, &endpoint), size)


cdef uint32_t find_leader(const ContactStore* store, uint32_t index, uint32_t* leaders, uint64_t size) noexcept nogil:
    """The first record with the address of this one; ends, for half of the leaders stay empty."""
    cdef uint64_t i = address_index(store, index, size)
    cdef Endpoint here, there
    read_endpoint(store, record_at(store, index), &here)
    while leaders[i] != 0:
        read_endpoint(store, record_at(store, leaders[i] - 1), &there)
        if here.low == there.low and here.high == there.high:
            return leaders[i] - 1
        i = i + 1 if i + 1 < size else 0
    leaders[i] = index + 1
    return index


cdef class EndpointSet:
    """A ContactStore as Python sees it, for tests and tools: an exact set of compact endpoints of one family.

    `capacity` bounds the endpoints held, `slots` is the initial table; raises MemoryError and ValueError.
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
        return find_slot(&self.store, &endpoint, hash_endpoint(&self.store.key, &endpoint)).key != 0

    cdef int load(self, bytes packed, Endpoint* out) except -1:
        load_compact(packed, out)
        if out.family != self.store.family:
            raise ValueError(f"a compact endpoint of {len(packed)} bytes is of the other family")
        return 0

    def add(self, packed: bytes) -> int:
        """Add a compact endpoint (6 or 18 bytes); returns how often it was added before, or -1 when the set is full."""
        cdef Endpoint endpoint
        cdef Slot* slot
        cdef uint64_t hashed
        self.load(packed, &endpoint)
        hashed = prepare_slot(&self.store, &endpoint)
        slot = find_slot(&self.store, &endpoint, hashed)
        if slot.key == 0 and add_record(&self.store, slot, &endpoint, hashed, NULL) == NO_RECORD:
            return -1
        slot.referrers += 1
        return slot.referrers - 1

    def tend(self, budget: int) -> bool:
        """Start to grow when that is due, and move up to `budget` slots; returns whether a move is under way."""
        if needs_growth(&self.store) and not start_growth(&self.store):
            raise MemoryError("no memory for a larger set")
        move_slots(&self.store, budget)
        return self.store.old_slots != NULL
