"""The virtual network's sockets and loop. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.swarm cimport Asked, Responder
from fastdht._ext.swarm_delay cimport DelayLine
from fastdht._ext.swarm_population cimport Role


cdef class SwarmLoop:
    cdef readonly Responder responder
    cdef DelayLine delays               # None: answer at once
    cdef int* sockets                   # one for each port, then the "other port"
    cdef uint32_t socket_count
    cdef int wake                       # eventfd
    cdef int poller                     # epoll
    cdef void* inbox
    cdef void* outbox
    cdef uint8_t* rooms                 # OUTBOX_SIZE replies of REPLY_ROOM bytes
    cdef uint32_t pending               # replies in the outbox
    cdef int pending_socket
    cdef volatile bint is_stopping
    cdef readonly uint32_t buffer_bytes # receive buffer as granted
    cdef void run(self) noexcept nogil
    cdef void drain(self, int index) noexcept nogil
    cdef void take_batch(self, int index, int count, int64_t now_us) noexcept nogil
    cdef void run_due(self, int64_t now_us) noexcept nogil
    cdef void answer(self, const Asked* asked, uint32_t serial, Role role) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef void close_sockets(self) noexcept nogil
