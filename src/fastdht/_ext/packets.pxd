"""Batches of datagrams between a socket and a Core. Rate class: packet.

The Inbox owns the receive buffers of one batch; the Outbox is a ring of encoded datagrams. Both are filled and
emptied by compiled code; Python sees them only in tests and on the portable path.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint


cdef enum:
    INBOX_DATAGRAM = 8192       # real nodes answer with up to 5.8 KB; larger is dropped and counted
    OUTBOX_DATAGRAM = 1488      # MAX_DATAGRAM rounded up, so that a slot is a multiple of 16


cdef struct Incoming:
    Endpoint source
    const uint8_t* data
    uint32_t size
    bint is_truncated           # larger than INBOX_DATAGRAM


cdef struct Outgoing:
    Endpoint target
    uint32_t size
    uint8_t data[OUTBOX_DATAGRAM]


cdef class Inbox:
    cdef uint32_t capacity
    cdef uint32_t count
    cdef Incoming* datagrams    # `capacity` of them
    cdef uint8_t* buffers       # one of INBOX_DATAGRAM for each; see buffer_at
    cdef uint8_t* buffer_at(self, uint32_t index) noexcept nogil


cdef class Outbox:
    cdef uint32_t capacity      # a power of two
    cdef uint32_t head          # oldest unsent
    cdef uint32_t count
    cdef uint64_t refused       # reservations that found the ring full
    cdef Outgoing* slots
    cdef Outgoing* reserve(self) noexcept nogil                 # NULL when full; nothing is queued until commit
    cdef void commit(self, uint32_t size) noexcept nogil        # queue the reserved slot with this size
    cdef Outgoing* peek(self, uint32_t offset) noexcept nogil   # the offset-th oldest, offset < count
    cdef void drop_oldest(self, uint32_t count) noexcept nogil  # sent, or given up
