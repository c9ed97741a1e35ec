"""The virtual network's sockets and loop: recvmmsg, answer, sendmmsg, without Python. Rate class: packet.

A wildcard socket for each port learns by IP_PKTINFO which 127.x.y.z was asked and answers from it. The loop runs in
whatever thread calls `serve`, with the interpreter released, until `stop`. It stands for another machine, so it reads
the clock itself and shares no socket code with the engine but the batches of mmsg. Linux only.
"""
import errno
import os
import select
import socket
import struct

from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastdht._ext cimport linux
from fastdht._ext.addresses cimport FAMILY_V4, Endpoint
from fastdht._ext.linux cimport CMSG_FIRSTHDR, cmsghdr, msghdr, recvmmsg, sendmmsg
from fastdht._ext.mmsg cimport BATCH, CONTROL_WORDS, make_batch, read_datagram, read_local, write_local, write_name
from fastdht._ext.packets cimport Incoming
from fastdht._ext.swarm cimport Outcome
from fastdht._ext.swarm_delay cimport Waiting
from fastdht._ext.swarm_population cimport HOST_BITS, ROLE_DEAD, ROLE_OTHER_PORT
from fastdht._ext.swarm_replies cimport REPLY_ROOM
from fastdht._ext.swarm_wait cimport SWARM_READY, swarm_now_us, swarm_wait

cdef enum:
    BATCHES_PER_WAKE = 8        # then the delayed answers and the other sockets get their turn
    IDLE_MS = 1000
    TICK_MS = 1                 # while delayed answers wait

PICKS = 16                      # of a first port, before a swarm with many ports gives up
SOCKET_BYTES = 4 << 20          # the default of 208 KiB holds 166 datagrams
MEMINFO_WORDS = struct.Struct("=16I")
MEMINFO_DROPS = 8               # position of the drop count; exact even when no packet followed the last drop


cdef class SwarmLoop:
    """Opens a socket for every port of `responder` at once; OSError when one is taken.

    A base port of 0 is replaced by one that the system picks. `delays` is a DelayLine or None.
    """

    def __cinit__(self, Responder responder, DelayLine delays=None):
        self.responder = responder
        self.delays = delays
        self.sockets = []
        self.wake = -1
        if not linux.HAS_BATCHES:
            raise OSError(errno.ENOSYS, "a swarm needs Linux: it answers from many addresses by one socket")
        self.incoming = make_batch()
        self.outgoing = make_batch()
        self.queries = <uint8_t*>malloc(BATCH * QUERY_ROOM)
        self.replies = <uint8_t*>malloc(BATCH * REPLY_ROOM)
        self.descriptors = <int*>malloc((responder.people.ports + 1) * sizeof(int))
        if not self.queries or not self.replies or not self.descriptors:
            raise MemoryError("no memory for the swarm's datagrams")
        self.open_somewhere(PICKS if responder.people.base_port == 0 else 1)

    def __dealloc__(self):
        if self.wake >= 0:
            os.close(self.wake)
        free(self.incoming)
        free(self.outgoing)
        free(self.queries)
        free(self.replies)
        free(self.descriptors)

    cdef int open_somewhere(self, int tries) except -1:
        """Open everything; when the system picks the first port, one above it may be taken, and another pick is free."""
        cdef int left
        for left in range(tries - 1, -1, -1):
            try:
                return self.open_all()
            except OSError:
                self.close()
                if tries > 1:
                    self.responder.people.base_port = 0
                if left == 0:
                    raise
        return 0

    cdef int open_all(self) except -1:
        """One socket a port, the one for answers from elsewhere, the poller and the wake-up."""
        self.poll = select.epoll()
        self.poller = self.poll.fileno()
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.poll.register(self.wake, select.EPOLLIN)
        for i in range(self.responder.people.ports):
            is_open_choice = i == 0 and self.responder.people.base_port == 0
            self.open_socket(0 if is_open_choice else self.responder.people.base_port + i)
            if is_open_choice:
                self.responder.people.base_port = self.sockets[0].getsockname()[1]
            self.poll.register(self.sockets[i], select.EPOLLIN)
        self.open_socket(0)
        self.buffer_bytes = self.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        return 0

    cdef int open_socket(self, int port) except -1:
        """Append a wildcard socket with large buffers that tells who was asked."""
        cdef int pktinfo = linux.IP_PKTINFO
        if port > 65535:
            raise OSError(errno.EADDRNOTAVAIL, f"the swarm needs UDP port {port}, and 65535 is the last")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sockets.append(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        sock.setsockopt(socket.IPPROTO_IP, pktinfo, 1)
        try:
            sock.bind(("", port))
        except OSError as error:
            raise OSError(error.errno, f"cannot open UDP port {port}: {error.strerror}") from None
        self.descriptors[self.socket_count] = sock.fileno()
        self.socket_count += 1
        return 0

    cdef void run(self) noexcept nogil:
        cdef int ready[SWARM_READY]
        cdef int i, count, timeout_ms
        cdef uint32_t index
        if self.responder.started_us == 0:
            self.responder.started_us = swarm_now_us()
        while not self.is_stopping:
            timeout_ms = TICK_MS if self.delays is not None and self.delays.count else IDLE_MS
            count = swarm_wait(self.poller, ready, timeout_ms)
            for i in range(count):
                for index in range(self.socket_count):
                    if self.descriptors[index] == ready[i]:
                        self.drain(index)
                        break
            if self.delays is not None:
                self.run_due(swarm_now_us())

    cdef void drain(self, uint32_t index) noexcept nogil:  # R0
        cdef int round, i, count
        for round in range(BATCHES_PER_WAKE):
            for i in range(BATCH):
                self.incoming.parts[i].iov_base = self.queries + i * QUERY_ROOM
                self.incoming.parts[i].iov_len = QUERY_ROOM
                self.incoming.headers[i].msg_hdr.msg_namelen = sizeof(self.incoming.names[i])
                self.incoming.headers[i].msg_hdr.msg_controllen = CONTROL_WORDS * 8
            count = recvmmsg(self.descriptors[index], self.incoming.headers, BATCH, linux.MSG_DONTWAIT, NULL)
            if count <= 0:
                return
            self.take_batch(index, count, swarm_now_us())
            self.flush()
            if count < BATCH:
                return

    cdef uint32_t read_place(self, uint32_t index, int position) noexcept nogil:  # R0
        """Whom a datagram of the batch was sent to."""
        cdef Endpoint local
        cdef cmsghdr* control = CMSG_FIRSTHDR(&self.incoming.headers[position].msg_hdr)
        local.low = 0
        if control != NULL:
            read_local(control, &local)
        return (index << HOST_BITS) | (<uint32_t>local.low & 0xFFFFFF)

    cdef void take_batch(self, uint32_t index, int count, int64_t now_us) noexcept nogil:  # R0
        cdef Incoming datagram
        cdef Asked asked
        cdef uint32_t places[BATCH]
        cdef uint32_t serials[BATCH]
        cdef uint32_t serial
        cdef Role role
        cdef int i
        self.responder.now_us = now_us
        for i in range(count):
            places[i] = self.read_place(index, i)
            serials[i] = self.responder.expect(places[i])
        for i in range(count):
            serial = serials[i]
            role = self.responder.admit(serial)
            if role == ROLE_DEAD:
                continue
            asked.place = places[i]
            read_datagram(self.incoming, i, &datagram)
            asked.data = datagram.data
            asked.size = 0 if datagram.is_truncated else datagram.size
            asked.source_ip = <uint32_t>datagram.source.low
            asked.source_port = datagram.source.port
            if self.delays is not None:
                if self.delays.put(&asked, serial, now_us):
                    continue
                self.responder.totals.delay_overflow += 1
            self.answer(&asked, serial, role)

    cdef void run_due(self, int64_t now_us) noexcept nogil:  # R0
        cdef Asked asked
        cdef Waiting* waiting = self.delays.take(now_us)
        self.responder.now_us = now_us
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
        """Queue what the node sends; a change of socket, or a full batch, first sends what is queued."""
        cdef Outcome outcome
        cdef uint32_t i
        cdef uint32_t index = asked.place >> HOST_BITS if role != ROLE_OTHER_PORT else self.socket_count - 1
        cdef uint8_t* room
        if self.pending + 2 > <uint32_t>BATCH or index != self.pending_socket:
            self.flush()
        self.pending_socket = index
        room = self.replies + <size_t>self.pending * REPLY_ROOM
        self.responder.respond(asked, serial, role, room, &outcome)
        for i in range(outcome.copies):
            self.queue(asked, room, outcome.size)

    cdef void queue(self, const Asked* asked, const uint8_t* data, uint32_t size) noexcept nogil:  # R0
        cdef Endpoint end
        cdef msghdr* header = &self.outgoing.headers[self.pending].msg_hdr
        memset(&end, 0, sizeof(Endpoint))
        end.family = FAMILY_V4
        end.low = <uint32_t>0x7F000000 | (asked.place & 0xFFFFFF)
        header.msg_controllen = write_local(&end, self.outgoing.controls[self.pending])
        end.low = asked.source_ip
        end.port = asked.source_port
        header.msg_namelen = write_name(&end, &self.outgoing.names[self.pending])
        self.outgoing.parts[self.pending].iov_base = <void*>data
        self.outgoing.parts[self.pending].iov_len = size
        self.pending += 1

    cdef void flush(self) noexcept nogil:  # R0
        """Send what is queued. A refused datagram is counted and skipped: the loop never stops for one asker."""
        cdef uint32_t first = 0
        cdef int sent
        while first < self.pending:
            sent = sendmmsg(self.descriptors[self.pending_socket], self.outgoing.headers + first,
                            self.pending - first, 0)
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
        if self.wake >= 0:
            os.eventfd_write(self.wake, 1)

    def kernel_drops(self) -> int:
        """Datagrams that the kernel threw away because a receive buffer was full."""
        cdef int meminfo = linux.SO_MEMINFO
        words = [MEMINFO_WORDS.unpack(sock.getsockopt(socket.SOL_SOCKET, meminfo, MEMINFO_WORDS.size).ljust(64, b"\0"))
                 for sock in self.sockets]
        return sum(each[MEMINFO_DROPS] for each in words)

    def close(self) -> None:
        """Close the sockets; only when `serve` has returned."""
        if self.wake >= 0:
            os.close(self.wake)
            self.wake = -1
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        self.socket_count = 0
        if self.poll is not None:
            self.poll.close()
