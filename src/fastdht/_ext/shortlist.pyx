"""The candidates of running lookups and what may happen to them. Rate class: packet.

Theory of operation. A candidate is FRESH until asked, ASKED until its answer, its error or its stall, then ANSWERED or
FAILED. A stall counts as a failure at once, so that a dead node cannot hold a lookup; a late answer still turns FAILED
into ANSWERED. `in_flight` falls exactly once per question: when the candidate leaves ASKED. A slot's generation rises
when the lookup closes, so that what is still out for it finds nobody. Candidates keep their place in `candidates` for
life (transactions name it); only `order` is sorted. An endpoint is a candidate at most once, so nobody is asked twice.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.addresses cimport (
    COMPACT_V4, FAMILY_V4, FAMILY_V6, dump_compact, hash_endpoint, read_be32, read_be64, read_compact, same_endpoint,
    write_compact)
from fastdht._ext.candidates cimport (
    CANDIDATE_ANSWERED, CANDIDATE_ASKED, CANDIDATE_FAILED, CANDIDATE_FRESH, add_candidate, check_shortlist, is_hopeless,
    learn_id, leave_flight, pack_candidate)
from fastdht._ext.hashing cimport load_key
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE, same_id
from fastdht._ext.krpc cimport next_value
from fastdht._ext.lenient cimport is_peer
from fastdht._ext.prefetch cimport fastdht_fetch, fetch_span
from fastdht._ext.transactions cimport NO_SLOT

cdef enum:
    LINE = 64                   # bytes of a cache line, and of a Candidate
    TYPICAL_CANDIDATES = 40     # of one lookup, and the peers that one answer names: what is worth fetching ahead
    TYPICAL_VALUES = 8


cdef inline bint is_endpoint_v4(const Endpoint* e, const uint8_t* packed) noexcept nogil:
    """Whether an endpoint is this compact one of IPv4."""
    return (e.low == read_be32(packed) and e.port == ((<uint32_t>packed[4] << 8) | packed[5])
            and e.family == FAMILY_V4)


cdef class ShortlistPool:
    """`capacity` shortlists of up to 128 candidates, each keeping up to `max_values` peers; `secret` is 16 bytes."""

    def __cinit__(self, uint32_t capacity, uint32_t max_values, bytes secret, AddressFilter addresses not None):
        cdef uint32_t i
        if not 1 <= capacity <= 65536 or not 1 <= max_values <= 16384 or len(secret) != 16:
            raise ValueError(f"capacity {capacity} (1 to 65536), max_values {max_values} (1 to 16384), secret of 16 bytes")
        self.capacity = capacity
        self.addresses = addresses
        self.max_values = max_values
        self.lists = <Shortlist*>calloc(capacity, sizeof(Shortlist))
        self.memory = calloc(<size_t>capacity * MAX_CANDIDATES + 1, sizeof(Candidate))
        self.tokens = <Token*>calloc(<size_t>capacity * MAX_CANDIDATES, sizeof(Token))
        self.values = <Endpoint*>calloc(<size_t>capacity * max_values, sizeof(Endpoint))
        self.value_index = <uint16_t*>calloc(<size_t>capacity * max_values * VALUE_BUCKETS, sizeof(uint16_t))
        self.free_slots = <uint32_t*>calloc(capacity, sizeof(uint32_t))
        self.dirty = <uint32_t*>calloc(capacity, sizeof(uint32_t))
        if (self.lists == NULL or self.memory == NULL or self.tokens == NULL or self.values == NULL or self.value_index == NULL or self.free_slots == NULL
                or self.dirty == NULL):
            raise MemoryError(f"no memory for {capacity} lookups")
        self.candidates = <Candidate*>(<size_t>self.memory + LINE - <size_t>self.memory % LINE)
        for i in range(capacity):
            self.free_slots[i] = capacity - 1 - i
            self.lists[i].candidates = &self.candidates[<size_t>i * MAX_CANDIDATES]
            self.lists[i].tokens = &self.tokens[<size_t>i * MAX_CANDIDATES]
        self.free_count = capacity
        load_key(&self.key, secret)

    def __dealloc__(self):
        free(self.lists)
        free(self.memory)
        free(self.tokens)
        free(self.values)
        free(self.value_index)
        free(self.free_slots)
        free(self.dirty)

    cdef uint32_t open(self, const uint8_t* target, int method) noexcept nogil:  # R0
        """Take a free slot, empty but for its target; the caller sets width, budget and deadline."""
        cdef uint32_t slot
        cdef Shortlist* shortlist
        if self.free_count == 0:
            return NO_SLOT
        self.free_count -= 1
        slot = self.free_slots[self.free_count]
        shortlist = &self.lists[slot]
        memset(&shortlist.target[0], 0, <size_t>(&shortlist.order[0] - &shortlist.target[0]))
        memcpy(shortlist.target, target, ID_SIZE)
        shortlist.target_high = read_be64(target)
        shortlist.method = <uint8_t>method
        shortlist.is_active = True
        self.active += 1
        return slot

    cdef void close(self, uint32_t slot) noexcept nogil:  # R0
        cdef Shortlist* shortlist = &self.lists[slot]
        if not shortlist.is_active:
            return
        shortlist.is_active = False
        shortlist.generation += 1
        self.free_slots[self.free_count] = slot
        self.free_count += 1
        self.active -= 1

    cdef bint is_current(self, uint32_t slot, uint32_t generation) noexcept nogil:  # R0
        return slot < self.capacity and self.lists[slot].is_active and self.lists[slot].generation == generation

    cdef void expect_answer(self, uint32_t slot, uint32_t index) noexcept nogil:  # R0
        """Have memory fetch what an answer of this candidate will need."""
        cdef Shortlist* shortlist
        if slot >= self.capacity or index >= MAX_CANDIDATES:
            return
        shortlist = &self.lists[slot]
        fetch_span(shortlist, <size_t>(<uint8_t*>&shortlist.subnet_mark[0] - <uint8_t*>shortlist))
        fastdht_fetch(&self.candidates[<size_t>slot * MAX_CANDIDATES + index])      # without a look at what is fetched
        fetch_span(&shortlist.nearness[0], TYPICAL_CANDIDATES * sizeof(uint64_t))
        fetch_span(&self.values[<size_t>slot * self.max_values], TYPICAL_VALUES * sizeof(Endpoint))

    cdef void mark_dirty(self, uint32_t slot) noexcept nogil:  # R0
        """Queue the lookup for one step of its policy; a slot that closed and reopened meanwhile stays queued once."""
        cdef uint32_t position
        if self.lists[slot].is_dirty or self.dirty_count == self.capacity:
            return
        self.lists[slot].is_dirty = True
        position = self.dirty_head + self.dirty_count
        if position >= self.capacity:
            position -= self.capacity
        self.dirty[position] = slot
        self.dirty_count += 1

    cdef uint32_t next_dirty(self) noexcept nogil:  # R0
        cdef uint32_t slot
        while self.dirty_count:
            slot = self.dirty[self.dirty_head]
            self.dirty_head = self.dirty_head + 1 if self.dirty_head + 1 < self.capacity else 0
            self.dirty_count -= 1
            self.lists[slot].is_dirty = False
            if self.lists[slot].is_active:
                return slot
        return NO_SLOT

    cdef bint add(self, uint32_t slot, const Contact* contact, bint has_id, int depth) noexcept nogil:  # R0
        """Offer a candidate; False when it is ourselves, known, too far for a full list, or its subnet has its share."""
        if has_id and memcmp(contact.id, self.own_id, 8) == 0 and same_id(contact.id, self.own_id):
            return False                # eight bytes are compared without a call
        return add_candidate(&self.lists[slot], contact, has_id, depth)

    cdef View view(self, uint32_t slot) noexcept nogil:  # R0
        """What the policy may know: counts over the closest that have not failed, and flags (cleared by reading)."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef View view
        cdef uint32_t i, seen = 0, failed = 0
        cdef uint8_t state
        memset(&view, 0, sizeof(View))
        for i in range(shortlist.count):
            state = shortlist.state[shortlist.order[i]]
            if state == CANDIDATE_FAILED:
                failed += 1
                if failed == 2 and shortlist.width < shortlist.wide_width:
                    shortlist.width = shortlist.wide_width
                continue
            if state == CANDIDATE_FRESH:
                view.fresh += 1
            elif state == CANDIDATE_ASKED:
                view.pending += 1
            else:
                view.answered += 1
            seen += 1
            if seen >= shortlist.width:
                break
        if shortlist.queries >= shortlist.max_queries:
            shortlist.flags |= FLAG_EXHAUSTED
        view.in_flight = <int>shortlist.in_flight
        view.flags = shortlist.flags
        shortlist.flags &= FLAG_LATE
        return view

    cdef uint32_t pick_fresh(self, uint32_t slot) noexcept nogil:  # R0
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef uint32_t i
        for i in range(shortlist.count):
            if shortlist.state[shortlist.order[i]] == CANDIDATE_FRESH:
                return shortlist.order[i]
        return NO_CANDIDATE

    cdef void mark_asked(self, uint32_t slot, uint32_t index) noexcept nogil:  # R0
        cdef Shortlist* shortlist = &self.lists[slot]
        shortlist.state[index] = CANDIDATE_ASKED
        shortlist.candidates[index].is_open = True
        shortlist.in_flight += 1
        shortlist.queries += 1

    cdef void on_answer(self, uint32_t slot, uint32_t index, const Message* message, uint32_t rtt_us,
                        int64_t now_us) noexcept nogil:  # R0
        """A reply has come, in time or late: note id and token, merge the nodes it names and the peers it holds."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef Candidate* candidate = &shortlist.candidates[index]
        leave_flight(shortlist, candidate)
        if shortlist.state[index] == CANDIDATE_FAILED:
            shortlist.failures -= 1
        shortlist.state[index] = CANDIDATE_ANSWERED
        candidate.rtt_us = rtt_us
        shortlist.responses += 1
        if not candidate.has_id:
            learn_id(shortlist, index, message.id)
        if 0 < message.token.size <= MAX_TOKEN:
            candidate.token_size = <uint8_t>message.token.size
            memcpy(&candidate.token[0] if message.token.size <= SHORT_TOKEN else &shortlist.tokens[index][0],
                   message.token.data, message.token.size)
        if shortlist.is_fixed:
            pass
        elif candidate.endpoint.family == FAMILY_V4:
            self.merge_nodes(slot, &message.nodes, FAMILY_V4, COMPACT_NODE_V4, candidate.depth + 1)
        else:
            self.merge_nodes(slot, &message.nodes6, FAMILY_V6, COMPACT_NODE_V6, candidate.depth + 1)
        if message.values.data != NULL:
            self.merge_values(slot, &message.values, candidate.endpoint.family, now_us)
        self.mark_dirty(slot)

    cdef void on_failure(self, uint32_t slot, uint32_t index) noexcept nogil:  # R0
        """An error, a stall or silence; heard again of a candidate that has already failed it changes nothing."""
        cdef Shortlist* shortlist = &self.lists[slot]
        leave_flight(shortlist, &shortlist.candidates[index])
        if shortlist.state[index] != CANDIDATE_ASKED:
            return
        shortlist.state[index] = CANDIDATE_FAILED
        shortlist.failures += 1
        self.mark_dirty(slot)

    cdef void merge_nodes(self, uint32_t slot, const Span* nodes, uint16_t family, uint32_t record,
                          int depth) noexcept nogil:  # R0
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef uint32_t i, count = nodes.size // record
        cdef const uint8_t* at = nodes.data
        cdef Contact contact
        if count > MAX_NODES_PER_REPLY:
            count = MAX_NODES_PER_REPLY
        for i in range(count):
            if not is_hopeless(shortlist, at):
                memcpy(contact.id, at, ID_SIZE)
                read_compact(at + ID_SIZE, family, &contact.endpoint)
                if self.addresses.is_contactable(&contact.endpoint):
                    self.add(slot, &contact, True, depth if depth < 255 else 255)
            at += record

    cdef void merge_values(self, uint32_t slot, const Span* values, uint16_t family, int64_t now_us) noexcept nogil:  # R0
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef const Endpoint* kept = &self.values[<size_t>slot * self.max_values]
        cdef Span rest
        cdef Endpoint peer
        cdef uint32_t i, guess = 0      # nodes that store the same peers name them in much the same order
        cdef const uint8_t* at = values.data
        cdef const uint8_t* end = at + values.size
        while (guess < shortlist.value_count and guess < MAX_VALUES_PER_REPLY and end - at > 2 + COMPACT_V4
               and is_peer(at, <size_t>(end - at)) and is_endpoint_v4(&kept[guess], at + 2)):
            guess += 1
            at += 2 + COMPACT_V4
        rest.data = at
        rest.size = <uint32_t>(end - at)
        for i in range(guess, <uint32_t>MAX_VALUES_PER_REPLY):
            if is_peer(rest.data, rest.size) and rest.size > 2 + COMPACT_V4:     # not alone: something follows
                read_compact(rest.data + 2, FAMILY_V4, &peer)
                rest.data += 2 + COMPACT_V4
                rest.size -= 2 + COMPACT_V4
            elif not next_value(&rest, family, &peer):
                return
            if guess < shortlist.value_count and same_endpoint(&kept[guess], &peer):
                guess += 1
            else:
                self.add_value(slot, &peer, now_us)

    cdef void add_value(self, uint32_t slot, const Endpoint* peer, int64_t now_us) noexcept nogil:  # R0
        """Keep a peer once; beyond the room for them peers are counted, not kept."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef Endpoint* kept = &self.values[<size_t>slot * self.max_values]
        cdef uint16_t* index = &self.value_index[<size_t>slot * self.max_values * VALUE_BUCKETS]
        cdef uint32_t at
        if peer.port == 0:
            return
        if shortlist.value_count * VALUE_BUCKETS >= shortlist.value_buckets:
            self.grow_index(slot)
        at = <uint32_t>(((hash_endpoint(&self.key, peer) >> 32) * shortlist.value_buckets) >> 32)
        while index[at]:                # ends: most buckets are empty
            if same_endpoint(&kept[index[at] - 1], peer):
                return
            at = at + 1 if at + 1 < shortlist.value_buckets else 0
        if shortlist.value_count == self.max_values:
            shortlist.values_dropped += 1
            return
        if shortlist.value_count == 0:
            shortlist.first_value_us = now_us
        kept[shortlist.value_count] = peer[0]
        shortlist.value_count += 1
        index[at] = <uint16_t>shortlist.value_count
        shortlist.flags |= FLAG_RESULTS

    cdef void grow_index(self, uint32_t slot) noexcept nogil:  # R0
        """Make the index four times as large, up to four buckets for every value there is room for, and fill it anew."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef uint32_t most = self.max_values * VALUE_BUCKETS, number
        cdef uint32_t buckets = shortlist.value_buckets * 4 if shortlist.value_buckets else FIRST_BUCKETS
        if shortlist.value_buckets == most:
            return
        shortlist.value_buckets = buckets if buckets < most else most
        memset(&self.value_index[<size_t>slot * most], 0, shortlist.value_buckets * sizeof(uint16_t))
        for number in range(1, shortlist.value_count + 1):
            self.index_value(slot, number)

    cdef void index_value(self, uint32_t slot, uint32_t number) noexcept nogil:  # R0
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef const Endpoint* peer = &self.values[<size_t>slot * self.max_values + number - 1]
        cdef uint16_t* index = &self.value_index[<size_t>slot * self.max_values * VALUE_BUCKETS]
        cdef uint32_t at = <uint32_t>(((hash_endpoint(&self.key, peer) >> 32) * shortlist.value_buckets) >> 32)
        while index[at]:
            at = at + 1 if at + 1 < shortlist.value_buckets else 0
        index[at] = <uint16_t>number

    cdef list take_values(self, uint32_t slot):
        """Peers found since the last call, as compact endpoints of 6 or 18 bytes."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef Endpoint* kept = &self.values[<size_t>slot * self.max_values]
        cdef uint32_t i, first = shortlist.values_taken
        shortlist.values_taken = shortlist.value_count
        return [dump_compact(&kept[i]) for i in range(first, shortlist.value_count)]

    cdef Result result_of(self, uint32_t slot, uint32_t limit):
        """What a lookup knows, of nodes the `limit` closest that answered."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef Result result = Result.__new__(Result)
        result.queries = shortlist.queries
        result.responses = shortlist.responses
        result.failures = shortlist.failures
        result.value_count = shortlist.value_count
        result.values_dropped = shortlist.values_dropped
        result.first_value_us = shortlist.first_value_us - shortlist.started_us if shortlist.value_count else -1
        result.closest = self.pack_closest(slot, limit)
        result.values = self.pack_values(slot)
        return result

    cdef bytes pack_closest(self, uint32_t slot, uint32_t limit):
        """The `limit` closest that answered, closest first, as PackedClosest records."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef uint8_t chosen[MAX_CANDIDATES]
        cdef uint32_t i, count = 0
        cdef bytes packed
        cdef PackedClosest* records
        for i in range(shortlist.count):
            if count == limit:
                break
            chosen[count] = shortlist.order[i]
            count += shortlist.state[shortlist.order[i]] == CANDIDATE_ANSWERED
        packed = PyBytes_FromStringAndSize(NULL, count * sizeof(PackedClosest))
        records = <PackedClosest*><uint8_t*>packed
        for i in range(count):
            pack_candidate(shortlist, chosen[i], &records[i])
        return packed

    cdef bytes pack_values(self, uint32_t slot):
        """All peers found, in the order they came, as PackedValue records."""
        cdef Shortlist* shortlist = &self.lists[slot]
        cdef Endpoint* kept = &self.values[<size_t>slot * self.max_values]
        cdef uint32_t i
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, shortlist.value_count * sizeof(PackedValue))
        cdef PackedValue* records = <PackedValue*><uint8_t*>packed
        for i in range(shortlist.value_count):
            memset(&records[i], 0, sizeof(PackedValue))
            records[i].size = <uint8_t>write_compact(&kept[i], records[i].endpoint)
        return packed

    def check_invariants(self):
        """Raise AssertionError where a shortlist contradicts itself; for tests and the fuzzer."""
        cdef uint32_t slot
        for slot in range(self.capacity):
            if self.lists[slot].is_active:
                check_shortlist(&self.lists[slot])
        if self.active + self.free_count != self.capacity:
            raise AssertionError(f"{self.active} active and {self.free_count} free of {self.capacity} lookups")
