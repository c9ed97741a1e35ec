"""A ring of queries that others have put to us. Rate class: packet.

Invariant: whoever reads it can be slow or gone without effect on the packet path. A full ring loses the newest and
counts it, as a watcher who fell behind wants what happened in order more than what happened last.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastdht._ext.addresses cimport dump_compact
from fastdht._ext.ids cimport ID_SIZE

cdef enum:
    MAX_CAPACITY = 1 << 20      # 80 MiB; more is a slip in the configuration


cdef class QueryLog:
    """Room for `capacity` queries, 1 to 1,048,576."""

    def __cinit__(self, capacity: int):
        if not 1 <= capacity <= MAX_CAPACITY:
            raise ValueError(f"capacity is {capacity}; 1 to {MAX_CAPACITY} queries")
        self.capacity = capacity
        self.records = <Observed*>calloc(self.capacity, sizeof(Observed))
        if self.records == NULL:
            raise MemoryError(f"no memory for {capacity} queries")

    def __dealloc__(self):
        free(self.records)

    cdef void note(self, const Message* message, const Endpoint* source) noexcept nogil:  # R0
        cdef Observed* record
        if self.count == self.capacity:
            self.lost += 1
            return
        record = &self.records[(self.first + self.count) % self.capacity]
        self.count += 1
        record.source = source[0]
        record.method = message.method
        memcpy(record.id, message.id, ID_SIZE)
        record.has_target = message.target != NULL
        if record.has_target:
            memcpy(record.target, message.target, ID_SIZE)

    def take(self, limit: int) -> list:
        """Remove and return up to `limit` queries, oldest first: (krpc Method, compact source, id, target or None)."""
        cdef Observed* record
        taken = []
        while self.count and len(taken) < limit:
            record = &self.records[self.first]
            taken.append((record.method, dump_compact(&record.source),
                          PyBytes_FromStringAndSize(<char*>record.id, ID_SIZE),
                          PyBytes_FromStringAndSize(<char*>record.target, ID_SIZE) if record.has_target else None))
            self.first = (self.first + 1) % self.capacity
            self.count -= 1
        return taken

    def skip(self) -> int:
        """Forget all that is kept, as lost; returns how many that were."""
        skipped = self.count
        self.lost += self.count
        self.count = 0
        return skipped
