"""The slab of outstanding queries. Rate class: packet.

Theory of operation. `open` takes a FREE slot, puts it last in the list of OPEN slots and thereby gives it a tid.
`next_stalled` moves the oldest OPEN slot that is late to the list of STALLED ones. `match` finds a slot by tid and
endpoint and changes nothing; `close` frees the slot and raises its generation, which makes its old tid nobody's.
`now_us` never decreases from call to call, so both lists stay in order of sent_us and only their heads need looking at.
What may never happen: a slot in two lists, or two outstanding slots with one tid.
Source: BEP 5 ("t" is ours to choose and comes back verbatim).
"""
from libc.stdlib cimport calloc, free

from fastdht._ext.addresses cimport dump_compact, load_compact, read_be32, same_endpoint, write_be32


cdef inline uint32_t mix_half(uint32_t half, uint32_t key) noexcept nogil:
    """The round function: 16 bits under 32 key bits; multiplier and offset are secret."""
    cdef uint32_t product = (half ^ (key >> 16)) * (key | 1)
    return (product ^ (product >> 16)) & 0xFFFF     # the high half alone is not even for every key


cdef class TransactionTable:
    """Room for `capacity` outstanding queries (1 to 131,072) under a 16-byte `secret`.

    A query stalls `stall_us` and times out `timeout_us` microseconds after it was sent; both may be changed at any
    time. Raises ValueError for a capacity, secret or time outside its limits, MemoryError when there is no room.
    """

    def __cinit__(self, capacity: int, secret: bytes, stall_us: int, timeout_us: int):
        cdef const uint8_t* key = secret
        cdef int i
        if not 1 <= capacity <= MAX_TRANSACTIONS:
            raise ValueError(f"capacity is {capacity}; 1 to {MAX_TRANSACTIONS} transactions")
        if len(secret) != 16:
            raise ValueError(f"secret is {len(secret)} bytes; 16 needed")
        for name, value in (("stall_us", stall_us), ("timeout_us", timeout_us)):
            if not 1 <= value < 1 << 62:
                raise ValueError(f"{name} is {value}; 1 to 2^62 microseconds")
        self.capacity = capacity
        self.index_bits = max(1, (capacity - 1).bit_length())
        self.stall_us = stall_us
        self.timeout_us = timeout_us
        self.free_first = NO_SLOT
        self.open_list.first = self.open_list.last = NO_SLOT
        self.stalled_list.first = self.stalled_list.last = NO_SLOT
        for i in range(4):
            self.round_keys[i] = read_be32(key + 4 * i)
        self.slots = <Transaction*>calloc(self.capacity, sizeof(Transaction))
        if self.slots == NULL:
            raise MemoryError(f"{capacity} transactions need {capacity * sizeof(Transaction)} bytes")

    def __dealloc__(self):
        free(self.slots)

    cdef uint32_t open(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil:  # R0
        cdef uint32_t slot = self.free_first
        cdef Transaction* t
        # Last freed, first used: the slab's hot part stays in the cache, and memory never needed is never touched.
        if slot != NO_SLOT:
            self.free_first = self.slots[slot].next
        elif self.untouched < self.capacity:
            slot = self.untouched
            self.untouched += 1
        else:
            self.refused += 1
            return NO_SLOT
        t = &self.slots[slot]
        t.endpoint = endpoint[0]
        t.sent_us = now_us
        t.owner = OWNER_NONE
        t.has_expected_id = False
        t.state = SLOT_OPEN
        self.append(&self.open_list, slot)
        self.count += 1
        self.open_count += 1
        return slot

    cdef uint32_t tid_of(self, uint32_t slot) noexcept nogil:  # R0
        return self.permute(self.plain_tid(slot))

    cdef uint32_t plain_tid(self, uint32_t slot) noexcept nogil:  # R0
        return (self.slots[slot].generation << self.index_bits) | slot

    cdef uint32_t match(self, const Span* tid, const Endpoint* source) noexcept nogil:  # R0
        cdef uint32_t plain, slot
        cdef Transaction* t
        if tid.size == 4:
            plain = self.invert(read_be32(tid.data))
            slot = plain & ((<uint32_t>1 << self.index_bits) - 1)
            if slot < self.untouched:
                t = &self.slots[slot]
                if t.state != SLOT_FREE and self.plain_tid(slot) == plain:
                    if same_endpoint(&t.endpoint, source):
                        return slot
                    self.mismatched += 1
                    return NO_SLOT
        self.unknown += 1
        return NO_SLOT

    cdef void close(self, uint32_t slot) noexcept nogil:  # R0
        cdef Transaction* t = &self.slots[slot]
        if t.state == SLOT_OPEN:
            self.unlink(&self.open_list, slot)
            self.open_count -= 1
        elif t.state == SLOT_STALLED:
            self.unlink(&self.stalled_list, slot)
        else:
            return                      # a second close would tie the free list into a ring
        t.state = SLOT_FREE
        t.generation += 1
        t.next = self.free_first
        self.free_first = slot
        self.count -= 1

    cdef uint32_t next_stalled(self, int64_t now_us) noexcept nogil:  # R0
        cdef uint32_t slot = self.open_list.first
        if slot == NO_SLOT or now_us - self.slots[slot].sent_us < self.stall_us:
            return NO_SLOT
        self.unlink(&self.open_list, slot)
        self.append(&self.stalled_list, slot)
        self.slots[slot].state = SLOT_STALLED
        self.open_count -= 1
        return slot

    cdef uint32_t next_timed_out(self, int64_t now_us) noexcept nogil:  # R0
        cdef uint32_t slot = self.stalled_list.first
        if slot != NO_SLOT and now_us - self.slots[slot].sent_us >= self.timeout_us:
            return slot
        slot = self.open_list.first     # due too, when the timeout is the shorter of the two
        if slot != NO_SLOT and now_us - self.slots[slot].sent_us >= self.timeout_us:
            return slot
        return NO_SLOT

    cdef int64_t next_deadline(self) noexcept nogil:  # R0
        cdef int64_t due = -1
        cdef int64_t other
        if self.open_list.first != NO_SLOT:
            due = self.slots[self.open_list.first].sent_us + min(self.stall_us, self.timeout_us)
        if self.stalled_list.first != NO_SLOT:
            other = self.slots[self.stalled_list.first].sent_us + self.timeout_us
            if due == -1 or other < due:
                due = other
        return due

    cdef void append(self, DeadlineList* deadlines, uint32_t slot) noexcept nogil:  # R0
        cdef Transaction* t = &self.slots[slot]
        t.next = NO_SLOT
        t.previous = deadlines.last
        if deadlines.last == NO_SLOT:
            deadlines.first = slot
        else:
            self.slots[deadlines.last].next = slot
        deadlines.last = slot

    cdef void unlink(self, DeadlineList* deadlines, uint32_t slot) noexcept nogil:  # R0
        cdef Transaction* t = &self.slots[slot]
        if t.previous == NO_SLOT:
            deadlines.first = t.next
        else:
            self.slots[t.previous].next = t.next
        if t.next == NO_SLOT:
            deadlines.last = t.previous
        else:
            self.slots[t.next].previous = t.previous

    cdef uint32_t permute(self, uint32_t plain) noexcept nogil:  # R0
        """Four Feistel rounds: a permutation whatever the round function, and backwards as cheap as forwards."""
        cdef uint32_t left = plain >> 16
        cdef uint32_t right = plain & 0xFFFF
        left ^= mix_half(right, self.round_keys[0])
        right ^= mix_half(left, self.round_keys[1])
        left ^= mix_half(right, self.round_keys[2])
        right ^= mix_half(left, self.round_keys[3])
        return (left << 16) | right

    cdef uint32_t invert(self, uint32_t tid) noexcept nogil:  # R0
        cdef uint32_t left = tid >> 16
        cdef uint32_t right = tid & 0xFFFF
        right ^= mix_half(left, self.round_keys[3])
        left ^= mix_half(right, self.round_keys[2])
        right ^= mix_half(left, self.round_keys[1])
        left ^= mix_half(right, self.round_keys[0])
        return (left << 16) | right

    def open_packed(self, packed: bytes, now_us: int) -> int | None:
        """Open a transaction with a compact endpoint; returns its slot, or None when every slot is taken."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        cdef uint32_t slot = self.open(&endpoint, now_us)
        return None if slot == NO_SLOT else slot

    def tid(self, slot: int) -> bytes:
        """The 4 bytes that name an outstanding slot on the wire. Raises ValueError for a free slot."""
        cdef uint8_t out[4]
        self.check_outstanding(slot)
        write_be32(out, self.tid_of(slot))
        return out[:4]

    def match_packed(self, tid: bytes, packed: bytes) -> int | None:
        """The outstanding slot with this tid at this compact endpoint, or None; a mismatch is counted."""
        cdef Endpoint endpoint
        cdef Span span
        load_compact(packed, &endpoint)
        span.data = tid
        span.size = <uint32_t>len(tid)
        cdef uint32_t slot = self.match(&span, &endpoint)
        return None if slot == NO_SLOT else slot

    def close_slot(self, slot: int) -> None:
        """Free an outstanding slot. Raises ValueError for a free one."""
        self.check_outstanding(slot)
        self.close(slot)

    def pop_stalled(self, now_us: int) -> int | None:
        """Mark the oldest late slot as stalled and return it; None when none is late."""
        cdef uint32_t slot = self.next_stalled(now_us)
        return None if slot == NO_SLOT else slot

    def first_timed_out(self, now_us: int) -> int | None:
        """A slot that has timed out and is still to be closed, or None."""
        cdef uint32_t slot = self.next_timed_out(now_us)
        return None if slot == NO_SLOT else slot

    def deadline(self) -> int:
        """When the next slot stalls or times out, in µs; -1 when nothing is outstanding."""
        return self.next_deadline()

    def outstanding(self) -> dict[int, tuple[bytes, bool]]:
        """Every outstanding slot: its compact endpoint and whether it has stalled."""
        return {i: (dump_compact(&self.slots[i].endpoint), self.slots[i].state == SLOT_STALLED)
                for i in range(self.capacity) if self.slots[i].state != SLOT_FREE}

    def check_invariants(self) -> None:
        """Raise AssertionError unless every slot is in exactly one list, in order, and the counts are true."""
        opened = self.slots_in(self.open_list.first, self.open_list.last, SLOT_OPEN)
        stalled = self.slots_in(self.stalled_list.first, self.stalled_list.last, SLOT_STALLED)
        spare = set()
        cdef uint32_t slot = self.free_first
        while slot != NO_SLOT:
            require(self.slots[slot].state == SLOT_FREE and slot not in spare, f"free list is broken at {slot}")
            spare.add(slot)
            slot = self.slots[slot].next
        require(len(opened) == self.open_count, f"{len(opened)} open slots, open_count {self.open_count}")
        require(len(opened) + len(stalled) == self.count, f"{len(opened)} + {len(stalled)} slots, count {self.count}")
        require(self.count + len(spare) == self.untouched <= self.capacity, "a slot is in no list")
        for slot in opened + stalled:
            require(self.invert(self.tid_of(slot)) == self.plain_tid(slot), f"tid of {slot} does not invert")

    cdef list slots_in(self, uint32_t first, uint32_t last, int state):
        cdef uint32_t slot = first
        cdef uint32_t previous = NO_SLOT
        found = []
        while slot != NO_SLOT:
            require(self.slots[slot].state == state, f"slot {slot} is in the list of another state")
            require(self.slots[slot].previous == previous, f"slot {slot} has a wrong neighbour")
            require(previous == NO_SLOT or self.slots[previous].sent_us <= self.slots[slot].sent_us,
                    f"slot {slot} is out of order")
            require(len(found) < self.capacity, "a deadline list is a ring")
            found.append(slot)
            previous = slot
            slot = self.slots[slot].next
        require(last == previous, "a deadline list has a wrong end")
        return found

    cdef int check_outstanding(self, slot) except -1:
        if not 0 <= slot < self.capacity or self.slots[<uint32_t>slot].state == SLOT_FREE:
            raise ValueError(f"slot {slot} is not outstanding; {self.count} of {self.capacity} are")
        return 0


cdef int require(bint condition, str what) except -1:
    if not condition:
        raise AssertionError(what)
    return 0
