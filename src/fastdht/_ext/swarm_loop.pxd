"""The virtual network's sockets and loop. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.mmsg cimport Batch
from fastdht._ext.swarm cimport Asked, Responder
from fastdht._ext.swarm_delay cimport DelayLine
from fastdht._ext.swarm_population cimport Role


cdef enum:
    QUERY_ROOM = 2048               # a query is never larger; what is, is ignored


cdef class SwarmLoop:
    cdef readonly Responder responder
    cdef DelayLine delays           # None: answer at once
    cdef list sockets               # socket.socket: one for each port, then the one for answers from elsewhere
    cdef object poll                # select.epoll
    cdef int* descriptors           # of the sockets
    cdef uint32_t socket_count
    cdef int poller
    cdef int wake                   # eventfd
    cdef Batch* incoming
    cdef Batch* outgoing
    cdef uint8_t* queries           # BATCH × QUERY_ROOM
    cdef uint8_t* replies           # BATCH × REPLY_ROOM
    cdef uint32_t pending           # replies to send
    cdef uint32_t pending_socket
    cdef volatile bint is_stopping
    cdef readonly int buffer_bytes  # receive buffer as granted
    cdef int open_somewhere(self, int tries) except -1
    cdef int open_all(self) except -1
    cdef int open_socket(self, int port) except -1
    cdef void run(self) noexcept nogil
    cdef void drain(self, uint32_t index) noexcept nogil
    cdef uint32_t read_place(self, uint32_t index, int position) noexcept nogil
    cdef void take_batch(self, uint32_t index, int count, int64_t now_us) noexcept nogil
    cdef void run_due(self, int64_t now_us) noexcept nogil
    cdef void answer(self, const Asked* asked, uint32_t serial, Role role) noexcept nogil
    cdef void queue(self, const Asked* asked, const uint8_t* data, uint32_t size) noexcept nogil
    cdef void flush(self) noexcept nogil
