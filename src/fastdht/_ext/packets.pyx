"""Batches of datagrams between a socket and a Core. Rate class: packet.

Invariants: an Inbox never holds more than `capacity` datagrams nor an Outbox more than its ring; nothing is moved or
copied once it lies in a slot; a reserved slot of the Outbox is not queued before `commit`. Both are filled by whoever
feeds us, so both refuse the newest when full: what waits already has been paid for, and `refused` counts the rest.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastdht._ext.addresses cimport dump_compact, load_compact

cdef enum:
    MAX_CAPACITY = 65536        # 512 MiB of inbox buffers; more is a slip in the configuration
    # From one buffer to the next: three cache lines more than a power of two, as else the first lines of all buffers
    # would share one set of the cache and drive each other out.
    INBOX_STRIDE = INBOX_DATAGRAM + 192


cdef int check_capacity(str name, capacity) except -1:
    if not 1 <= capacity <= MAX_CAPACITY:
        raise ValueError(f"{name} capacity is {capacity}; 1 to {MAX_CAPACITY} datagrams")
    return 0


cdef class Inbox:
    """The receive buffers of one batch: up to `capacity` datagrams of at most 8192 bytes each."""

    def __cinit__(self, capacity: int = 64):
        check_capacity("inbox", capacity)
        self.capacity = capacity
        self.count = 0
        self.datagrams = <Incoming*>calloc(self.capacity, sizeof(Incoming))
        self.buffers = <uint8_t*>calloc(self.capacity, INBOX_STRIDE)
        if self.datagrams is NULL or self.buffers is NULL:
            raise MemoryError(f"inbox of {capacity} datagrams")

    def __dealloc__(self):
        free(self.datagrams)
        free(self.buffers)

    cdef uint8_t* buffer_at(self, uint32_t index) noexcept nogil:  # R0
        return self.buffers + <size_t>index * INBOX_STRIDE

    def __len__(self):
        return self.count

    def clear(self) -> None:
        """Forget the batch."""
        self.count = 0

    def put(self, data: bytes, source: bytes) -> bool:
        """Append a datagram from a compact endpoint (6 or 18 bytes); False when the batch is full.

        More than 8192 bytes are cut and flagged, as the kernel would. Raises ValueError for a malformed endpoint.
        """
        cdef Incoming* slot
        cdef size_t size = len(data)
        if self.count == self.capacity:
            return False
        slot = &self.datagrams[self.count]
        load_compact(source, &slot.source)
        slot.is_truncated = size > INBOX_DATAGRAM
        slot.size = <uint32_t>min(size, <size_t>INBOX_DATAGRAM)
        slot.data = self.buffer_at(self.count)
        memcpy(<void*>slot.data, <const uint8_t*>data, slot.size)
        self.count += 1
        return True

    def take(self) -> list:
        """Remove and return the batch as pairs (data, compact source), oldest first."""
        cdef uint32_t i
        batch = []
        for i in range(self.count):
            batch.append((self.datagrams[i].data[:self.datagrams[i].size], dump_compact(&self.datagrams[i].source)))
        self.count = 0
        return batch

    @property
    def truncated(self) -> int:
        """How many datagrams of this batch were longer than 8192 bytes and have been cut."""
        cdef uint32_t i
        cdef uint32_t total = 0
        for i in range(self.count):
            total += self.datagrams[i].is_truncated
        return total


cdef class Outbox:
    """A ring of encoded datagrams that wait to be sent; `capacity` is rounded up to a power of two."""

    def __cinit__(self, capacity: int = 512):
        check_capacity("outbox", capacity)
        self.capacity = 1 << (<int>capacity - 1).bit_length()
        self.head = 0
        self.count = 0
        self.refused = 0
        self.slots = <Outgoing*>calloc(self.capacity, sizeof(Outgoing))
        if self.slots is NULL:
            raise MemoryError(f"outbox of {capacity} datagrams")

    def __dealloc__(self):
        free(self.slots)

    cdef Outgoing* reserve(self) noexcept nogil:  # R0
        if self.count == self.capacity:
            self.refused += 1
            return NULL
        return &self.slots[(self.head + self.count) & (self.capacity - 1)]

    cdef void commit(self, uint32_t size) noexcept nogil:  # R0
        self.slots[(self.head + self.count) & (self.capacity - 1)].size = size
        self.count += 1

    cdef Outgoing* peek(self, uint32_t offset) noexcept nogil:  # R0
        return &self.slots[(self.head + offset) & (self.capacity - 1)]

    cdef void drop_oldest(self, uint32_t count) noexcept nogil:  # R0
        self.count -= count
        # An empty ring starts anew, so that what is written next lies where the cache still has it.
        self.head = (self.head + count) & (self.capacity - 1) if self.count else 0

    def __len__(self):
        return self.count

    @property
    def refused(self) -> int:
        """How many datagrams found the ring full since it was made."""
        return self.refused

    def put(self, data: bytes, target: bytes) -> bool:
        """Queue a datagram of at most 1488 bytes for a compact endpoint (6 or 18 bytes); False when the ring is full.

        Raises ValueError for a longer datagram or a malformed endpoint.
        """
        cdef Outgoing* slot
        if len(data) > OUTBOX_DATAGRAM:
            raise ValueError(f"datagram is {len(data)} bytes; at most {OUTBOX_DATAGRAM} are sent")
        slot = self.reserve()
        if slot is NULL:
            return False
        load_compact(target, &slot.target)
        memcpy(slot.data, <const uint8_t*>data, len(data))
        self.commit(<uint32_t>len(data))
        return True

    def take(self) -> list:
        """Remove and return all queued datagrams as pairs (data, compact target), oldest first."""
        cdef Outgoing* slot
        batch = []
        while self.count:
            slot = self.peek(0)
            batch.append((slot.data[:slot.size], dump_compact(&slot.target)))
            self.drop_oldest(1)
        return batch
