"""The virtual network's sockets and loop: recvmmsg, answer, sendmmsg, without Python. Rate class: packet.

A wildcard socket for each port learns by IP_PKTINFO which 127.x.y.z was asked and answers from it. The loop runs in
whatever thread calls `serve`, with the interpreter released, until `stop`; it is the only reader of its clock.
Linux only: elsewhere opening fails with ENOSYS.
"""
import os

from libc.stdlib cimport calloc, free, malloc

from fastdht._ext.swarm cimport Asked, Outcome
from fastdht._ext.swarm_delay cimport Waiting
from fastdht._ext.swarm_population cimport HOST_BITS, ROLE_DEAD, ROLE_OTHER_PORT, Role
from fastdht._ext.swarm_replies cimport REPLY_ROOM
from fastdht._ext.swarm_socket cimport (SWARM_BATCH, SWARM_OUT, swarm_asked_ip, swarm_close, swarm_data, swarm_drops,
                                        swarm_event, swarm_inbox, swarm_now_us, swarm_open, swarm_outbox, swarm_poller,
                                        swarm_port, swarm_queue, swarm_receive, swarm_send, swarm_signal, swarm_size,
                                        swarm_source_ip, swarm_source_port, swarm_buffer, swarm_wait, swarm_watch)

cdef enum:
    WAKE = 0xFFFFFFFF           # epoll's number of the eventfd
    BATCHES_PER_WAKE = 8        # then the wheel and the other sockets get their turn

SOCKET_BYTES = 4 << 20          # the default of 208 KiB holds 166 datagrams


cdef class SwarmLoop:
    """Opens a socket for every port of `responder` at once; OSError when one is taken.

    A base port of 0 is replaced by one that the system picks. `delays` is a DelayLine or None.
    """

    def __cinit__(self, Responder responder, DelayLine delays=None):
        cdef uint32_t i
        self.responder = responder
        self.delays = delays
        self.wake = self.poller = -1
        self.sockets = <int*>malloc((responder.people.ports + 1) * sizeof(int))
        self.inbox = calloc(1, sizeof(swarm_inbox))
        self.outbox = calloc(1, sizeof(swarm_outbox))
        self.rooms = <uint8_t*>malloc(SWARM_OUT * REPLY_ROOM)
        if not self.sockets or not self.inbox or not self.outbox or not self.rooms:
            raise MemoryError("no memory for the swarm's sockets")
        self.open_all()

    def __dealloc__(self):
        self.close_sockets()
        free(self.sockets)
        free(self.inbox)
        free(self.outbox)
        free(self.rooms)

    def open_all(self):
        """One socket a port, the one for answers from elsewhere, the poller and the wake-up."""
        cdef uint32_t i
        cdef int port
        for i in range(self.responder.people.ports):
            port = self.responder.people.base_port + i if i or self.responder.people.base_port else 0
            self.sockets[i] = check(swarm_open(port, SOCKET_BYTES), port)
            self.socket_count = i + 1
            if port == 0:
                self.responder.people.base_port = check(swarm_port(self.sockets[0]), 0)
        self.sockets[self.socket_count] = check(swarm_open(0, SOCKET_BYTES), 0)
        self.socket_count += 1
        self.buffer_bytes = swarm_buffer(self.sockets[0])
        self.poller = check(swarm_poller(), 0)
        self.wake = check(swarm_event(), 0)
        check(swarm_watch(self.poller, self.wake, <uint32_t>WAKE), 0)
        for i in range(self.responder.people.ports):
            check(swarm_watch(self.poller, self.sockets[i], i), 0)

    cdef void close_sockets(self) noexcept nogil:
        cdef uint32_t i
        for i in range(self.socket_count):
            swarm_close(self.sockets[i])
        self.socket_count = 0
        if self.poller >= 0:
            swarm_close(self.poller)
        if self.wake >= 0:
            swarm_close(self.wake)
        self.poller = self.wake = -1

    cdef void run(self) noexcept nogil:
        cdef uint32_t ready[SWARM_BATCH]
        cdef int i, count
        while not self.is_stopping:
            count = swarm_wait(self.poller, ready, 1 if self.delays is not None and self.delays.count else 1000)
            for i in range(count):
                if ready[i] != <uint32_t>WAKE:
                    self.drain(<int>ready[i])
            if self.delays is not None:
                self.run_due(swarm_now_us())

    cdef void drain(self, int index) noexcept nogil:
        cdef int round, count
        cdef int64_t now_us
        for round in range(BATCHES_PER_WAKE):
            count = swarm_receive(self.sockets[index], <swarm_inbox*>self.inbox)
            if count <= 0:
                return
            now_us = swarm_now_us() if self.delays is not None else 0
            self.take_batch(index, count, now_us)
            self.flush()
            if count < SWARM_BATCH:
                return

    cdef void take_batch(self, int index, int count, int64_t now_us) noexcept nogil:  # R0
        cdef swarm_inbox* inbox = <swarm_inbox*>self.inbox
        cdef Asked asked
        cdef uint32_t serial
        cdef Role role
        cdef int i
        for i in range(count):
            asked.place = (<uint32_t>index << HOST_BITS) | (swarm_asked_ip(inbox, i) & 0xFFFFFF)
            role = self.responder.admit(asked.place, &serial)
            if role == ROLE_DEAD:
                continue
            asked.data = swarm_data(inbox, i)
            asked.size = swarm_size(inbox, i)
            asked.source_ip = swarm_source_ip(inbox, i)
            asked.source_port = swarm_source_port(inbox, i)
            if self.delays is not None:
                if self.delays.put(&asked, serial, now_us):
                    continue
                self.responder.totals.delay_overflow += 1
            self.answer(&asked, serial, role)

    cdef void run_due(self, int64_t now_us) noexcept nogil:  # R0
        cdef Asked asked
        cdef Waiting* waiting = self.delays.take(now_us)
        while waiting != NULL:
            asked.data = waiting.data
            asked.size = waiting.size
            asked.place = waiting.place
            asked.source_ip = waiting.source_ip
            asked.source_port = waiting.source_port
            self.answer(&asked, waiting.serial, self.responder.people.role_of(waiting.serial))
            waiting = self.delays.take(now_us)
        self.flush()

    cdef void answer(self, const Asked* asked, uint32_t serial, Role role) noexcept nogil:  # R0
        """Queue what the node sends; a change of socket, or a full outbox, first sends what is queued."""
        cdef Outcome outcome
        cdef uint32_t i
        cdef int socket = <int>(asked.place >> HOST_BITS) if role != ROLE_OTHER_PORT else <int>self.socket_count - 1
        cdef uint8_t* room
        if self.pending + 2 > SWARM_OUT or socket != self.pending_socket:
            self.flush()
        self.pending_socket = socket
        room = self.rooms + <size_t>self.pending * REPLY_ROOM
        self.responder.respond(asked, serial, role, room, &outcome)
        for i in range(outcome.copies):
            swarm_queue(<swarm_outbox*>self.outbox, self.pending, room, outcome.size,
                        <uint32_t>0x7F000000 | (asked.place & 0xFFFFFF), asked.source_ip, asked.source_port)
            self.pending += 1

    cdef void flush(self) noexcept nogil:  # R0
        """Send what is queued. A refused datagram is counted and skipped: the loop never stops for one asker."""
        cdef uint32_t first = 0
        cdef int sent
        while first < self.pending:
            sent = swarm_send(self.sockets[self.pending_socket], <swarm_outbox*>self.outbox, first,
                              self.pending - first)
            if sent <= 0:
                self.responder.totals.send_failed += 1
                sent = 1
            first += <uint32_t>sent
        self.pending = 0

    def serve(self) -> None:
        """Answer until `stop`; to be called from a thread of its own, which it keeps."""
        with nogil:
            self.run()

    def stop(self) -> None:
        """End `serve` soon; callable from any thread and from a signal handler."""
        self.is_stopping = True
        swarm_signal(self.wake)

    def close(self) -> None:
        """Close the sockets; only when `serve` has returned."""
        self.close_sockets()

    def kernel_drops(self) -> int:
        """Datagrams that the kernel threw away because a receive buffer was full."""
        return sum(swarm_drops(self.sockets[i]) for i in range(self.socket_count))


def check(result, port):
    """The result of an opening call, or OSError."""
    if result < 0:
        where = f"UDP port {port}" if port else "the swarm's sockets"
        raise OSError(-result, f"cannot open {where}: {os.strerror(-result)}")
    return result
