"""The buckets of a routing table: which entry is in which list. Rate class: packet.

Bucket i < last holds ids that share exactly i leading bits with ours, the last bucket the rest. Invariants are what
`check_invariants` checks. Source: BEP 5 "Routing Table"; Kademlia 2.4.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastdht._ext.addresses cimport dump_compact, read_be64
from fastdht._ext.entries cimport NO_ENTRY, ROLE_LIVE, ROLE_REPLACEMENT, has_id
from fastdht._ext.ids cimport ID_SIZE

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER)
    #include <intrin.h>
    static int fastdht_leading_zeros(uint64_t x) {
        unsigned long i; _BitScanReverse64(&i, x); return 63 - (int)i;
    }
    #else
    static int fastdht_leading_zeros(uint64_t x) { return __builtin_clzll(x); }
    #endif
    """
    int fastdht_leading_zeros(uint64_t x) nogil

cdef int64_t LONG_AGO = -(<int64_t>1 << 62)     # and a difference to it does not overflow
cdef uint64_t TOP_BIT = <uint64_t>1 << 63


cdef class KBuckets:
    """The storage under RoutingTable; not made on its own."""

    cdef int allocate(self, uint32_t k, bint extended, uint64_t seed, bint by_address, bint by_subnet,
                      bint by_network) except -1:
        cdef uint32_t i, room = 0
        for i in range(self.max_buckets):
            self.buckets[i].first = room
            self.buckets[i].capacity = k * (16 >> i) if extended and i < 4 else k
            room += self.buckets[i].capacity
        total = room + self.max_buckets * self.replacements + 1     # one more, while it is decided who leaves
        self.slab = EntrySlab(total, self.family, seed, by_address, by_subnet, by_network)
        self.entries = self.slab.entries
        self.live = <Live*>calloc(room, sizeof(Live))
        self.waiting = <uint16_t*>calloc(self.max_buckets * self.replacements + 1, sizeof(uint16_t))
        self.scratch = <uint16_t*>calloc(total, sizeof(uint16_t))
        if self.live == NULL or self.waiting == NULL or self.scratch == NULL:
            raise MemoryError(f"a table of {total} entries does not fit")
        self.bucket_count = 1
        return 0

    def __dealloc__(self):
        free(self.live)
        free(self.waiting)
        free(self.scratch)

    cdef void set_own_id(self, const uint8_t* own_id) noexcept nogil:  # R0
        memcpy(self.own_id, own_id, ID_SIZE)
        self.own_high = read_be64(own_id)

    cdef uint32_t bucket_of(self, uint64_t id_high) noexcept nogil:  # R0
        cdef uint64_t distance = id_high ^ self.own_high
        cdef uint32_t last = self.bucket_count - 1
        if distance == 0:
            return last
        return min(<uint32_t>fastdht_leading_zeros(distance), last)

    cdef uint16_t waiting_at(self, uint32_t bucket, uint32_t position) noexcept nogil:  # R0
        return self.waiting[bucket * self.replacements + position]

    cdef uint16_t entry_at(self, uint32_t bucket, uint32_t position) noexcept nogil:  # R0
        """Walks a bucket's live entries, then those that wait."""
        cdef KBucket* b = &self.buckets[bucket]
        if position < b.live_count:
            return <uint16_t>self.live[b.first + position].entry
        return self.waiting_at(bucket, position - b.live_count)

    cdef uint16_t find_id(self, const uint8_t* node_id) noexcept nogil:  # R0
        """The entry with this id, live or waiting. Costs one bucket, and is asked only about newcomers."""
        cdef uint32_t b = self.bucket_of(read_be64(node_id))
        cdef KBucket* bucket = &self.buckets[b]
        cdef uint64_t high = read_be64(node_id)
        cdef Live* live
        cdef uint32_t i
        for i in range(bucket.live_count):
            live = &self.live[bucket.first + i]
            if live.id_high == high and has_id(&self.entries[live.entry], node_id):
                return <uint16_t>live.entry
        for i in range(bucket.waiting_count):
            if has_id(&self.entries[self.waiting_at(b, i)], node_id):
                return self.waiting_at(b, i)
        return NO_ENTRY

    cdef bint is_good(self, const Entry* e) noexcept nogil:  # R0
        return e.failures == 0 and self.now_us - e.seen_us < self.questionable_us

    cdef void refresh(self, uint16_t entry, int64_t seen_us) noexcept nogil:  # R0
        """Note that the contact is alive; a failure in its record is the caller's to forgive, before."""
        cdef Entry* e = &self.entries[entry]
        e.seen_us = seen_us
        if e.role == ROLE_LIVE:
            self.live[self.buckets[e.bucket].first + e.position].good_until_us = seen_us + self.questionable_us

    cdef void fail(self, uint16_t entry) noexcept nogil:  # R0
        cdef Entry* e = &self.entries[entry]
        if e.failures < 255:
            e.failures += 1
        self.live[self.buckets[e.bucket].first + e.position].good_until_us = LONG_AGO
        self.buckets[e.bucket].crowded_until_us = 0

    # -- lists ----------------------------------------------------------------------------------------------------

    cdef void add_live(self, uint32_t bucket, uint16_t entry) noexcept nogil:  # R0
        cdef KBucket* b = &self.buckets[bucket]
        cdef Entry* e = &self.entries[entry]
        cdef Live* live = &self.live[b.first + b.live_count]
        live.id_high = e.id_high
        live.id_middle = e.id_middle
        live.id_low = e.id_low
        live.entry = entry
        live.good_until_us = e.seen_us + self.questionable_us if e.failures == 0 else LONG_AGO
        e.role = ROLE_LIVE
        e.bucket = <uint8_t>bucket
        e.position = <uint16_t>b.live_count
        b.live_count += 1
        self.occupied |= TOP_BIT >> bucket

    cdef void add_waiting(self, uint32_t bucket, uint16_t entry, uint8_t role) noexcept nogil:  # R0
        cdef KBucket* b = &self.buckets[bucket]
        cdef Entry* e = &self.entries[entry]
        self.waiting[bucket * self.replacements + b.waiting_count] = entry
        e.role = role
        e.bucket = <uint8_t>bucket
        e.position = <uint16_t>b.waiting_count
        b.waiting_count += 1
        b.settled_until_us = 0

    cdef void detach(self, uint16_t entry) noexcept nogil:  # R0
        """Take an entry out of its list; the last of the list takes its position."""
        cdef Entry* e = &self.entries[entry]
        cdef KBucket* b = &self.buckets[e.bucket]
        cdef Live* live
        cdef uint16_t moved
        b.crowded_until_us = 0
        if e.role == ROLE_LIVE:
            b.live_count -= 1
            live = &self.live[b.first]
            live[e.position] = live[b.live_count]
            self.entries[live[e.position].entry].position = e.position
            if b.live_count == 0:
                self.occupied &= ~(TOP_BIT >> e.bucket)
        else:
            b.waiting_count -= 1
            moved = self.waiting_at(e.bucket, b.waiting_count)
            self.waiting[e.bucket * self.replacements + e.position] = moved
            self.entries[moved].position = e.position

    cdef void remove(self, uint16_t entry) noexcept nogil:  # R0
        self.detach(entry)
        self.slab.release(entry)

    cdef uint32_t list_all(self) noexcept nogil:  # R0
        """Fill `scratch` with every entry, live ones first; returns how many."""
        cdef uint32_t b, i, count = 0
        for b in range(self.bucket_count):
            for i in range(self.buckets[b].live_count):
                self.scratch[count] = <uint16_t>self.live[self.buckets[b].first + i].entry
                count += 1
        for b in range(self.bucket_count):
            for i in range(self.buckets[b].waiting_count):
                self.scratch[count] = self.waiting_at(b, i)
                count += 1
        return count

    cdef uint16_t more_failing(self, uint16_t worst, uint16_t entry) noexcept nogil:  # R0
        """Of two entries the one that failed more often, or has been silent longer; NO_ENTRY when none failed."""
        cdef Entry* e = &self.entries[entry]
        if e.failures == 0:
            return worst
        if worst == NO_ENTRY or e.failures > self.entries[worst].failures:
            return entry
        if e.failures == self.entries[worst].failures and e.seen_us < self.entries[worst].seen_us:
            return entry
        return worst

    cdef uint16_t worst_failing(self, uint32_t bucket) noexcept nogil:  # R0
        cdef KBucket* b = &self.buckets[bucket]
        cdef uint16_t worst = NO_ENTRY
        cdef uint32_t i
        for i in range(b.live_count):
            if self.live[b.first + i].good_until_us == LONG_AGO:
                worst = self.more_failing(worst, <uint16_t>self.live[b.first + i].entry)
        return worst

    cdef uint16_t stalest_waiting(self, uint32_t bucket, uint8_t role) noexcept nogil:  # R0
        cdef uint16_t stalest = NO_ENTRY
        cdef uint16_t entry
        cdef uint32_t i
        for i in range(self.buckets[bucket].waiting_count):
            entry = self.waiting_at(bucket, i)
            if self.entries[entry].role == role and (
                    stalest == NO_ENTRY or self.entries[entry].seen_us < self.entries[stalest].seen_us):
                stalest = entry
        return stalest

    cdef uint16_t freshest_replacement(self, uint32_t bucket) noexcept nogil:  # R0
        cdef uint16_t freshest = NO_ENTRY
        cdef uint16_t entry
        cdef uint32_t i
        for i in range(self.buckets[bucket].waiting_count):
            entry = self.waiting_at(bucket, i)
            if self.entries[entry].role == ROLE_REPLACEMENT and (
                    freshest == NO_ENTRY or self.entries[entry].seen_us > self.entries[freshest].seen_us):
                freshest = entry
        return freshest

    # -- for tests and tools --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        cdef uint32_t b, total = 0
        for b in range(self.bucket_count):
            total += self.buckets[b].live_count
        return total

    def contacts(self) -> list[tuple[bytes, bytes, str, int, int]]:
        """The live entries: 20-byte id, compact endpoint, standing ("good", "questionable" or "bad"), µs of RTT,
        and when last seen in µs."""
        found = []
        cdef Entry* e
        for entry in self.entries_now():
            e = &self.entries[<uint16_t>entry]
            if e.role == ROLE_LIVE:
                standing = "good" if self.is_good(e) else "bad" if e.failures >= self.max_failures else "questionable"
                found.append((e.compact[:ID_SIZE], dump_compact(&e.endpoint), standing, e.rtt_us, e.seen_us))
        return found

    def waiting_contacts(self) -> list[tuple[bytes, bytes, bool, int]]:
        """The entries waiting for a place: id, compact endpoint, whether it ever answered us, last seen in µs."""
        found = []
        cdef Entry* e
        for entry in self.entries_now():
            e = &self.entries[<uint16_t>entry]
            if e.role != ROLE_LIVE:
                found.append((e.compact[:ID_SIZE], dump_compact(&e.endpoint), e.role == ROLE_REPLACEMENT, e.seen_us))
        return found

    def bucket_sizes(self) -> list[tuple[int, int, int]]:
        """Of each bucket, farthest first: live entries, room for them, entries waiting."""
        return [(self.buckets[b].live_count, self.buckets[b].capacity, self.buckets[b].waiting_count)
                for b in range(self.bucket_count)]

    cdef list entries_now(self):
        cdef uint32_t count = self.list_all()
        return [self.scratch[i] for i in range(count)]

    def check_invariants(self) -> None:
        """Raise AssertionError unless every entry stands once, where its id belongs, and is found again."""
        cdef Entry* e
        cdef KBucket* b
        cdef Live* live
        listed = self.entries_now()
        require(len(set(listed)) == len(listed) == self.slab.count, "an entry is lost or listed twice")
        for entry in listed:
            e = &self.entries[<uint16_t>entry]
            b = &self.buckets[e.bucket]
            require(self.bucket_of(e.id_high) == e.bucket, f"entry {entry} is in the wrong bucket")
            require(self.slab.find(&e.endpoint) == entry, f"entry {entry} is not found by its endpoint")
            require(not has_id(e, self.own_id), "our own id is in the table")
            if e.role == ROLE_LIVE:
                live = &self.live[b.first + e.position]
                require(live.entry == entry and live.id_high == e.id_high and live.id_middle == e.id_middle
                        and live.id_low == e.id_low, f"entry {entry} is misplaced")
                require((live.good_until_us > self.now_us) == self.is_good(e), f"entry {entry} has a wrong standing")
            else:
                require(self.waiting_at(e.bucket, e.position) == entry, f"entry {entry} is misplaced")
                require(e.failures == 0, f"entry {entry} failed and still waits")
        for i in range(self.max_buckets):
            b = &self.buckets[i]
            require(b.live_count <= b.capacity and b.waiting_count <= self.replacements, f"bucket {i} overflows")
            require((b.live_count > 0) == bool(self.occupied & (TOP_BIT >> <uint32_t>i)), f"bucket {i}: wrong bit")
            require(i < self.bucket_count or b.live_count + b.waiting_count == 0, f"bucket {i} should not be")


cdef void copy_contact(const Entry* entry, Contact* out) noexcept nogil:  # R0
    out.endpoint = entry.endpoint
    memcpy(out.id, entry.compact, ID_SIZE)


cdef int require(bint condition, str what) except -1:
    if not condition:
        raise AssertionError(what)
    return 0
