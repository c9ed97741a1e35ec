"""Naming: from the nodes of an answer to records, each once. Rate class: packet.

Nearly all contacts named are known, and a set of millions lies in no cache: each is noted first, while its line is
on its way, and named eight replies later; one that stands where it should costs that line and nothing else. Invariant:
every contact named is counted, once, as new, as a duplicate, or under the reason for which it is not asked.
"""
from libc.string cimport memcpy

from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, read_be64, read_compact
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE, prefix_length, same_id
from fastdht._ext.questions cimport RECORD_UNNAMED, STAGE_FIRST, is_in_zone
from fastdht._ext.seen cimport (
    NO_RECORD, ContactStore, add_record, count_naming, expect_spot, find_spot, hash_of, permute, record_at)
from fastdht._ext.seen_places cimport MAX_REFERRERS, Spot

cdef enum:
    MAX_GUIDES = 512            # contacts outside the zone that may be asked to reach it
    ENOUGH_INSIDE = 64          # with so many contacts inside, none outside is needed
    KEY_AT = 18                 # in a compact IPv4 node: two bytes before its address and port


cdef inline uint64_t hash_node(const ContactStore* store, const uint8_t* packed) noexcept nogil:  # R0
    """What `hash_of` gives for the endpoint of a compact node."""
    cdef Endpoint endpoint
    if store.family == FAMILY_V4:
        return permute(&store.key, read_be64(packed + KEY_AT) & ((<uint64_t>1 << 48) - 1))
    read_compact(packed + ID_SIZE, FAMILY_V6, &endpoint)
    return hash_of(store, &endpoint)


cdef class Naming:
    """The naming half of a CrawlQueue; not for use alone."""

    cdef void merge(self, const Message* message) noexcept nogil:  # R0
        cdef uint32_t counts[2]
        cdef const uint8_t* data
        cdef uint8_t i
        count_named(message, counts)
        self.tally.filtered[FILTER_TOO_MANY] += (message.nodes.size // COMPACT_NODE_V4 - counts[0]
                                                 + message.nodes6.size // COMPACT_NODE_V6 - counts[1])
        for i in range(2):
            data = message.nodes6.data if i else message.nodes.data
            if self.lanes[i].store.capacity == 0 or counts[i] == 0:
                continue
            if self.plan.zone_bits:         # who leads to a zone depends on who named it
                self.name_nodes(&self.lanes[i], data, counts[i], message.id)
            else:
                self.note_nodes(i, data, counts[i])

    cdef void name_nodes(self, Lane* lane, const uint8_t* data, uint32_t count,
                         const uint8_t* referrer) noexcept nogil:  # R0
        cdef uint32_t size = COMPACT_NODE_V4 if lane.store.family == FAMILY_V4 else COMPACT_NODE_V6
        cdef uint32_t i
        for i in range(count):
            expect_spot(&lane.store, hash_node(&lane.store, data + i * size))
        for i in range(count):
            self.name_packed(lane, data + i * size, hash_node(&lane.store, data + i * size), referrer)

    cdef void note_nodes(self, uint8_t lane, const uint8_t* data, uint32_t count) noexcept nogil:  # R0
        """Note every contact of a reply, and name those noted before that have to make room."""
        cdef ContactStore* store = &self.lanes[lane].store
        cdef Named* named
        cdef uint32_t i
        if self.named_count + count > NAMED_RING:
            self.settle_named(NAMED_RING - min(count, <uint32_t>NAMED_RING))
        for i in range(count):
            if self.named_count == NAMED_RING:
                self.settle_named(NAMED_RING - 1)
            named = &self.named[(self.named_first + self.named_count) % NAMED_RING]
            self.named_count += 1
            named.lane = lane
            named.hashed = hash_node(store, data)
            expect_spot(store, named.hashed)
            if lane == 0:
                memcpy(named.packed, data, COMPACT_NODE_V4)
                data += COMPACT_NODE_V4
            else:
                memcpy(named.packed, data, COMPACT_NODE_V6)
                data += COMPACT_NODE_V6

    cdef void settle_named(self, uint32_t left) noexcept nogil:  # R0
        """Name the oldest noted contacts until only `left` are left."""
        cdef Named* named
        cdef Lane* lane
        while self.named_count > left:
            named = &self.named[self.named_first]
            self.named_first = (self.named_first + 1) % NAMED_RING
            self.named_count -= 1
            lane = &self.lanes[named.lane]
            if count_naming(&lane.store, named.hashed):
                self.tally.duplicates += 1
            else:
                self.name_packed(lane, named.packed, named.hashed, NULL)

    cdef void name_packed(self, Lane* lane, const uint8_t* packed, uint64_t hashed,
                          const uint8_t* referrer) noexcept nogil:  # R0
        cdef Endpoint endpoint
        read_compact(packed + ID_SIZE, lane.store.family, &endpoint)
        self.name_contact(lane, &endpoint, hashed, packed, referrer)

    cdef bint name_contact(self, Lane* lane, const Endpoint* endpoint, uint64_t hashed, const uint8_t* node_id,
                           const uint8_t* referrer) noexcept nogil:  # R0
        """Count one more naming of a contact; a new one joins the queue (True), or is filtered and counted.

        `node_id` is NULL for an endpoint whose id nobody has said; `referrer` is NULL for a seed.
        """
        cdef Spot spot
        cdef uint32_t index
        cdef int reason
        if find_spot(&lane.store, endpoint, hashed, &spot):
            spot.line.referrers[spot.index] += spot.line.referrers[spot.index] < MAX_REFERRERS
            self.tally.duplicates += 1
            return False
        reason = self.reason_to_filter(endpoint, node_id, referrer)
        if reason != FILTER_COUNT:
            self.tally.filtered[reason] += 1
            return False
        index = add_record(&lane.store, &spot, endpoint, hashed, node_id)
        if index == NO_RECORD:
            self.tally.filtered[FILTER_FULL] += 1
            return False
        record_at(&lane.store, index).state = STAGE_FIRST if node_id != NULL else STAGE_FIRST | RECORD_UNNAMED
        self.inside += node_id != NULL and is_in_zone(&self.plan, node_id)
        return True

    cdef bint is_own(self, const uint8_t* node_id) noexcept nogil:  # R0
        return same_id(node_id, self.own_ids[0]) or same_id(node_id, self.own_ids[1])

    cdef int reason_to_filter(self, const Endpoint* endpoint, const uint8_t* node_id,
                              const uint8_t* referrer) noexcept nogil:  # R0
        """Why a new contact must not be asked; FILTER_COUNT when it may."""
        if endpoint.port == 0:
            return FILTER_PORT_ZERO
        if not self.address_filter.is_public(endpoint):
            return FILTER_BOGON
        if node_id == NULL:
            return FILTER_COUNT
        if self.is_own(node_id):
            return FILTER_OWN_ID
        if is_in_zone(&self.plan, node_id) or self.is_guide(node_id, referrer):
            return FILTER_COUNT
        return FILTER_OUTSIDE_ZONE

    cdef bint is_guide(self, const uint8_t* node_id, const uint8_t* referrer) noexcept nogil:  # R0
        """Whether a contact outside the zone is worth asking, because it is nearer than who named it."""
        if self.inside >= ENOUGH_INSIDE or self.guides >= MAX_GUIDES:
            return False
        if referrer != NULL and prefix_length(node_id, self.plan.zone) <= prefix_length(referrer, self.plan.zone):
            return False
        self.guides += 1
        return True
