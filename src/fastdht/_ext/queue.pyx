"""Whom a crawl asks next: exact dedupe, order, pacing, window, retries. Rate class: packet.

Theory of operation. A contact is an endpoint; it has one record, and the record array is the queue of first questions.
A record is in one place at a time: before the cursor's end, in the follow list, postponed in the wheel, in the silent
list, or out with one query. What it is asked next is written in its stage alone:
  FIRST → (answer) OWN or BUCKET… → DONE;  FIRST → (silence) SILENT → RETRY → DONE;  VERIFY when an id needs a witness.
A harvest turns FIRST into SAMPLE when the ledger allows; what refuses goes on as FALLBACK or OWN, and never back.
`waiting` is the number of records out, `in_flight` of those not yet late. Every contact named is counted, once, as
new, as a duplicate, or under the reason for which it is not asked. Sources: BEP 5; docs/crawl.md for the strategies.
"""
from libc.math cimport INFINITY
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, AddressFilter, load_compact
from fastdht._ext.hashing cimport next_random, seed_rng
from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.krpc cimport METHOD_FIND_NODE, METHOD_SAMPLE_INFOHASHES, WANT_V4, WANT_V6
from fastdht._ext.lanes cimport forget_postponed, free_lane, has_next, open_lane, pop_next, postpone, postponed_due
from fastdht._ext.pacing cimport (
    expect_turn, free_address_pace, open_address_pace, pace_due_us, ready_address_pace, set_pace, spend_pace, take_turn)
from fastdht._ext.prefetch cimport fastdht_fetch
from fastdht._ext.questions cimport (
    DEPTH_EXHAUSTIVE, DEPTH_STANDARD, RECORD_UNNAMED, STAGE_FIRST, STAGE_MASK, STAGE_RETRY, STAGE_SAMPLE,
    check_plan, check_sizes, draw_target, is_in_zone, set_stage, stage_of)
from fastdht._ext.seen cimport (
    NO_RECORD, Record, count_referrers, hash_of, is_crowded, is_growing, pop_record, push_record, read_endpoint,
    ready_store, record_at, tend_store)
from fastdht._ext.transactions cimport SLOT_STALLED

cdef enum:
    LOOK_AHEAD = 16
    PICK_TRIES = 16             # records looked at per question before the caller gets its turn back
    QUANTUM_US = 5000           # the largest burst, so that it stays below a receive buffer
    SILENT_POLL_US = 5000


cdef class CrawlQueue(Naming):
    """The asking half of a Frontier; not for use alone.

    `own_id`: 20 bytes, ours; `own_id6`: that of the IPv6 socket, where it differs. `address_filter`: which addresses may be asked. `depth`: a Depth. `families`: bits 1
    (IPv4) and 2 (IPv6); with both, questions ask for nodes of both (BEP 32). `max_contacts` bounds the memory, per family. `zone`: a 20-byte prefix of which the first
    `zone_bits` (0 to 64) count. `address_rate` and `address_burst` pace each address (0: no pace), in `address_cells`
    (a power of two) words of memory. `retry_share` retries per found node go to silent contacts that at least
    `retry_referrers` replies named (standard depth). Raises ValueError and MemoryError.
    """

    def __init__(self, own_id: bytes, AddressFilter address_filter not None, *, depth: int = DEPTH_STANDARD,
                 seed: int = 0, families: int = 1, max_contacts: int = 1 << 20, slots: int = 1 << 16,
                 rate: float = 0, max_in_flight: int = 512, zone: bytes = bytes(ID_SIZE), zone_bits: int = 0,
                 address_rate: float = 1.0, address_burst: int = 4, address_cells: int = 1 << 16,
                 retry_share: float = 0.45, retry_referrers: int = 3, own_id6: bytes = b""):
        cdef bytes other_id = own_id6 or own_id
        check_plan(own_id, zone, zone_bits, depth)
        check_plan(other_id, zone, zone_bits, depth)
        check_sizes(families, max_contacts, slots, address_cells)
        self.release_memory()
        seed_rng(&self.rng, <uint64_t>(seed & 0xFFFFFFFFFFFFFFFF))
        memcpy(self.own_ids[0], <const uint8_t*>own_id, ID_SIZE)
        memcpy(self.own_ids[1], <const uint8_t*>other_id, ID_SIZE)
        self.want = WANT_V4 | WANT_V6 if families == 3 else 0
        self.plan_depth(depth, zone, zone_bits, retry_share, retry_referrers)
        self.address_filter = address_filter
        self.max_in_flight[0] = self.max_in_flight[1] = max_in_flight
        self.started_us = self.looked_us = -1
        self.crowded_us = 0
        set_pace(&self.paces[0], rate, QUANTUM_US)
        set_pace(&self.paces[1], rate, QUANTUM_US)
        v4_contacts = max_contacts if families & 1 else 0
        v6_contacts = max_contacts if families & 2 else 0
        if (not open_lane(&self.lanes[0], FAMILY_V4, v4_contacts, slots, next_random(&self.rng))
                or not open_lane(&self.lanes[1], FAMILY_V6, v6_contacts, slots, next_random(&self.rng))
                or not open_address_pace(&self.address_pace, address_cells, address_rate, address_burst,
                                         next_random(&self.rng))):
            raise MemoryError(f"no memory for a crawl of {max_contacts} contacts")

    cdef int plan_depth(self, int depth, bytes zone, int zone_bits, double retry_share, uint32_t referrers) except -1:
        self.plan.depth = depth
        self.plan.zone_bits = zone_bits
        memcpy(self.plan.zone, <const uint8_t*>zone, ID_SIZE)
        self.plan.retry_referrers = 0 if depth == DEPTH_EXHAUSTIVE else referrers
        self.plan.retry_share = INFINITY if depth == DEPTH_EXHAUSTIVE else retry_share if depth == DEPTH_STANDARD else 0
        return 0

    cdef void release_memory(self) noexcept nogil:
        free_lane(&self.lanes[0])
        free_lane(&self.lanes[1])
        free_address_pace(&self.address_pace)

    def __dealloc__(self):
        self.release_memory()

    cdef bint next_question(self, uint8_t families, int64_t now_us, Question* out) noexcept nogil:  # R0
        """Choose the next query for a socket of these families (bits 1: IPv4, 2: IPv6); False when there is none now:
        pacing, window, a full row block, or nothing to ask."""
        cdef uint32_t index, turn
        cdef Lane* lane
        self.settle_named(0)
        if self.is_held_back():
            return False
        if self.started_us < 0:
            self.started_us = now_us
        for turn in range(2):
            self.last_lane ^= 1
            lane = &self.lanes[self.last_lane]
            if (lane.store.capacity == 0 or not families >> self.last_lane & 1 or self.is_full(self.last_lane)
                    or pace_due_us(&self.paces[self.last_lane]) > now_us):
                continue
            index = self.pick(lane, now_us)
            if index != NO_RECORD:
                spend_pace(&self.paces[self.last_lane], now_us)
                self.fill_question(lane, index, now_us, out)
                self.in_flight[self.last_lane] += 1
                self.waiting += 1
                return True
        return False

    cdef bint is_held_back(self) noexcept nogil:  # R0
        """Whether something other than time forbids a question: an answer, a drain or a tend will lift it."""
        return (self.is_stopped or self.sample_count > self.sample_capacity // 2
                or self.edge_count > self.edge_capacity // 2
                or (self.is_harvest and self.ledger.is_crowded())
                or self.row_count + self.waiting >= self.row_capacity
                or (self.lanes[0].store.capacity != 0 and is_crowded(&self.lanes[0].store))
                or (self.lanes[1].store.capacity != 0 and is_crowded(&self.lanes[1].store)))

    cdef bint is_full(self, int lane) noexcept nogil:  # R0
        """Whether the window of a family has no room."""
        return self.in_flight[lane] >= self.max_in_flight[lane]

    cdef void give_back(self, const Question* question) noexcept nogil:  # R0
        """Undo a question that could not be sent; the contact is asked again in its turn."""
        cdef uint8_t number = question.endpoint.family == FAMILY_V6
        cdef Lane* lane = &self.lanes[number]
        self.in_flight[number] -= 1
        self.waiting -= 1
        self.tally.asked -= 1
        self.paces[number].due_ns -= self.paces[number].interval_ns
        if lane.store.asked[question.record] != 255:
            lane.store.asked[question.record] -= 1
        if question.number & STAGE_MASK == STAGE_RETRY:
            self.tally.retries -= 1
        self.tally.sample_queries -= question.number & STAGE_MASK == STAGE_SAMPLE
        push_record(&lane.store, &lane.follow, question.record)

    cdef int64_t next_due(self, uint8_t families, int64_t now_us) noexcept nogil:  # R0
        """When to call next_question again if no packet arrives before; -1 when only a packet can change anything."""
        cdef int64_t due = -1, other
        cdef int i
        if self.is_held_back():
            return -1
        for i in range(2):
            if not families >> i & 1 or self.is_full(i):
                continue
            other = self.lane_due(&self.lanes[i], now_us)
            if other >= 0:
                other = max(other, now_us, pace_due_us(&self.paces[i]))
                due = other if due < 0 else min(due, other)
        return due

    cdef int64_t lane_due(self, const Lane* lane, int64_t now_us) noexcept nogil:  # R0
        """When a family has somebody to ask, but for its pace; -1: nobody."""
        cdef int64_t due
        if has_next(lane):
            return now_us
        due = postponed_due(lane)
        if lane.silent.first != NO_RECORD and self.has_budget():
            due = now_us + SILENT_POLL_US if due < 0 else min(due, now_us + SILENT_POLL_US)
        return due

    cdef bint has_budget(self) noexcept nogil:  # R0
        return self.tally.retries + self.tally.fallbacks < self.plan.retry_share * self.tally.found

    cdef bint has_work(self, const Lane* lane) noexcept nogil:
        return has_next(lane) or lane.postponed != 0 or (lane.silent.first != NO_RECORD and self.has_budget())

    cdef uint32_t pick(self, Lane* lane, int64_t now_us) noexcept nogil:  # R0
        cdef int tries
        cdef uint32_t index
        self.look_ahead(lane)
        for tries in range(PICK_TRIES):
            index = pop_next(lane, now_us)
            if index == NO_RECORD:
                index = self.pop_silent(lane)
            if index == NO_RECORD or self.take_address_turn(lane, index, now_us):
                return index
        return NO_RECORD

    cdef uint32_t pop_silent(self, Lane* lane) noexcept nogil:  # R0
        """A silent contact worth a retry: named by several, within the budget. The rest is given up at the very end."""
        cdef int tries
        cdef uint32_t index
        for tries in range(PICK_TRIES):
            if not self.has_budget():
                if self.waiting == 0 and lane.postponed == 0:
                    lane.silent.first = NO_RECORD
                return NO_RECORD
            index = pop_record(&lane.store, &lane.silent)
            if index == NO_RECORD:
                return NO_RECORD
            if self.plan.retry_referrers == 0 or count_referrers(&lane.store, index) >= self.plan.retry_referrers:
                set_stage(record_at(&lane.store, index), STAGE_RETRY)
                return index
            if self.waiting or lane.postponed:          # an answer to come may name it again
                push_record(&lane.store, &lane.silent, index)
        return NO_RECORD

    cdef void look_ahead(self, const Lane* lane) noexcept nogil:  # R0
        """Prefetch the cell of an address whose turn comes soon, and the record of a later one: neither is cached."""
        cdef Endpoint endpoint
        if lane.cursor + 2 * LOOK_AHEAD < lane.store.count:
            fastdht_fetch(record_at(&lane.store, lane.cursor + 2 * LOOK_AHEAD))
        if lane.cursor + LOOK_AHEAD < lane.store.count:
            read_endpoint(&lane.store, record_at(&lane.store, lane.cursor + LOOK_AHEAD), &endpoint)
            self.expect_address(&endpoint)

    cdef void expect_address(self, const Endpoint* endpoint) noexcept nogil:  # R0
        """Have memory fetch the pace of an address that is soon asked."""
        if self.address_pace.interval_ms:
            expect_turn(&self.address_pace, endpoint)

    cdef bint take_address_turn(self, Lane* lane, uint32_t index, int64_t now_us) noexcept nogil:  # R0
        """Take a packet of the address's pace, or postpone the record until one is due."""
        cdef Endpoint endpoint
        cdef uint32_t wait_ms
        if self.address_pace.interval_ms == 0:
            return True
        read_endpoint(&lane.store, record_at(&lane.store, index), &endpoint)
        wait_ms = take_turn(&self.address_pace, &endpoint, <uint32_t>((now_us - self.started_us) // 1000))
        if wait_ms == 0:
            return True
        postpone(lane, index, now_us + <int64_t>wait_ms * 1000, now_us)
        self.tally.postponed += 1
        return False

    cdef void fill_question(self, Lane* lane, uint32_t index, int64_t now_us, Question* out) noexcept nogil:  # R0
        cdef Record* record = record_at(&lane.store, index)
        read_endpoint(&lane.store, record, &out.endpoint)
        if self.is_harvest and stage_of(record) == STAGE_FIRST and self.claim_sample(record, &out.endpoint, now_us):
            set_stage(record, STAGE_SAMPLE)
        self.tally.sample_queries += stage_of(record) == STAGE_SAMPLE
        draw_target(&self.plan, record, &self.rng, out.target)
        memcpy(out.expected_id, record.id, ID_SIZE)
        out.has_expected_id = (record.state & RECORD_UNNAMED) == 0
        out.record = index
        out.number = stage_of(record) | (<uint32_t>record.step << 8)
        out.method = METHOD_SAMPLE_INFOHASHES if stage_of(record) == STAGE_SAMPLE else METHOD_FIND_NODE
        if lane.store.asked[index] != 255:
            lane.store.asked[index] += 1
        self.tally.asked += 1
        if stage_of(record) == STAGE_RETRY:
            self.tally.retries += 1

    cdef bint claim_sample(self, const Record* record, const Endpoint* endpoint, int64_t now_us) noexcept nogil:  # R0
        """Whether the first question may be for samples; the ledger then has it, and no later question is."""
        if not record.state & RECORD_UNNAMED and not is_in_zone(&self.plan, record.id):
            return False
        if self.ledger.claim(endpoint, now_us):
            return True
        self.tally.not_due += 1
        return False

    cdef void release(self, const Transaction* tx) noexcept nogil:  # R0
        """An answer, an error or the final silence: the record is no longer out."""
        self.waiting -= 1
        if tx.state != SLOT_STALLED:
            self.in_flight[tx.endpoint.family == FAMILY_V6] -= 1

    def offer(self, packed: bytes, family: int = FAMILY_V4) -> int:
        """Add seeds: compact endpoints back to back (6 bytes each, 18 for family 6). Returns how many were new.

        Raises ValueError when the size does not divide.
        """
        cdef uint32_t size = 6 if family == FAMILY_V4 else 18
        cdef Lane* lane = &self.lanes[family == FAMILY_V6]
        cdef Endpoint endpoint
        cdef int added = 0
        if len(packed) % size or lane.store.capacity == 0:
            raise ValueError(f"seeds are {len(packed)} bytes; a multiple of {size}, and a family that is crawled")
        for start in range(0, len(packed), size):
            load_compact(packed[start:start + size], &endpoint)
            added += self.name_contact(lane, &endpoint, hash_of(&lane.store, &endpoint), NULL, NULL)
        return added

    def tend(self, budget: int = 1 << 16) -> bool:
        """Let the sets grow: to be called every 100 ms or so, off the packet path, and oftener while it says True.

        Moves up to `budget` places, ~60 ns each. Raises MemoryError.
        """
        cdef int i
        for i in range(2):
            if self.lanes[i].store.capacity != 0 and not tend_store(&self.lanes[i].store, budget):
                raise MemoryError("no memory for more contacts")
        return is_growing(&self.lanes[0].store) or is_growing(&self.lanes[1].store)

    def make_ready(self) -> None:
        """Have the system provide the memory that the first contacts will touch; takes long, so from a thread."""
        with nogil:
            ready_address_pace(&self.address_pace)
            ready_store(&self.lanes[0].store)
            ready_store(&self.lanes[1].store)

    def forget_all(self) -> None:
        """Give back the memory of all contacts; takes long, so from a thread, and only when no outcome can come."""
        with nogil:
            self.named_count = 0
            self.is_stopped = True
            self.release_memory()

    def give_up_crowded(self, int64_t now_us, int64_t patience_us) -> int:
        """Ask no more of addresses with many contacts once only they have been left to ask for `patience_us` in all; to
        be called with every tend. Gives up what their pace has postponed, and returns how many questions that were."""
        cdef int64_t since_us = self.looked_us if self.looked_us >= 0 else now_us
        cdef uint32_t count = self.lanes[0].postponed + self.lanes[1].postponed
        self.looked_us = now_us
        if (count == 0 or self.is_held_back() or self.is_full(0) or self.is_full(1) or has_next(&self.lanes[0])
                or has_next(&self.lanes[1])):
            return 0
        self.crowded_us += now_us - since_us
        if self.crowded_us < patience_us:
            return 0
        self.tally.not_asked += count
        return forget_postponed(&self.lanes[0]) + forget_postponed(&self.lanes[1])

    def stop(self) -> None:
        """Ask nothing more; answers to what is out still count."""
        self.is_stopped = True

    def may_ask(self, packed: bytes, now_us: int) -> bool:
        """Take a packet of an address's pace for a question that is not the queue's own, if one is due now."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        return (self.address_pace.interval_ms == 0
                or take_turn(&self.address_pace, &endpoint, <uint32_t>((now_us - self.started_us) // 1000)) == 0)

    def has_questions(self, family: int) -> bool:
        """Whether contacts of a family (4 or 6) wait for a question."""
        return self.has_work(&self.lanes[family == FAMILY_V6])

    def set_rate(self, rate: float, family: int = FAMILY_V4) -> None:
        """Packets/s to one family from now on; 0 for no limit."""
        set_pace(&self.paces[family == FAMILY_V6], rate, QUANTUM_US)

    def set_max_in_flight(self, limit: int, family: int = FAMILY_V4) -> None:
        """The window of one family: queries that are neither answered nor stalled."""
        self.max_in_flight[family == FAMILY_V6] = limit
