"""The batched UDP socket of Linux: the only file with system calls. Rate class: packet.

Invariants: no errno is fatal, each costs at most the datagram it belongs to; a datagram leaves the outbox when it was
sent or given up, and both are counted; only `receive_patiently` waits. The event loop watches an epoll descriptor of ours
that holds the socket, as uvloop stops watching, without a word, a descriptor that reports POLLERR, which every ICMP
refusal does. Source: recvmmsg(2), sendmmsg(2), ip(7) on IP_RECVERR and IP_PKTINFO, socket(7) on SO_RXQ_OVFL.
"""
import errno as errno_names
import select
import socket

from libc.errno cimport (
    EAFNOSUPPORT, EAGAIN, EHOSTUNREACH, EINVAL, EMSGSIZE, ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM, EPERM, errno)
from libc.stdlib cimport calloc, free

from fastdht._ext cimport linux
from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, dump_compact, load_compact
from fastdht._ext.linux cimport cmsghdr, mmsghdr, sock_extended_err, sockaddr_in6
from fastdht._ext.mmsg cimport make_batch, read_datagram, read_local, write_local, write_name
from fastdht._ext.packets cimport INBOX_DATAGRAM, Incoming, Outgoing
from fastdht._ext.udp_options cimport ask_reports, read_drops, set_patience, size_buffer

DEFAULT_BUFFER_BYTES = 4 * 1024 * 1024      # the default of 212,992 holds only 166 replies of 300 bytes

HAS_BATCHES = bool(linux.HAS_BATCHES)

cdef double LEAST_SHARE = 1.0 / 1024    # never 0: only sending can tell that sending works again
cdef double SHARE_REGAINED = 0.05


cdef class UdpSocket:
    """A bound, non-blocking UDP socket for one address family; port 0 lets the system choose.

    `sees_local` lets `receive_at` tell which local address each datagram was sent to. `patience_us` is how long
    `receive_patiently` waits, in ticks of the kernel. Raises OSError, or NotImplementedError where it is not Linux.
    """

    def __cinit__(self):
        self.fd = -1
        self.send_share = 1.0
        self.incoming = make_batch()
        self.outgoing = make_batch()

    def __init__(self, ip: str, port: int, *, buffer_bytes: int = DEFAULT_BUFFER_BYTES, sees_local: bool = False,
                 patience_us: int = 0):
        if not linux.HAS_BATCHES:
            raise NotImplementedError("batched UDP sockets need Linux; use the portable transport")
        self.family = FAMILY_V6 if ":" in ip else FAMILY_V4
        self.sock = socket.socket(linux.AF_INET6 if self.family == FAMILY_V6 else linux.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.setblocking(False)
            size_buffer(self.sock, linux.SO_RCVBUFFORCE, socket.SO_RCVBUF, buffer_bytes)
            size_buffer(self.sock, linux.SO_SNDBUFFORCE, socket.SO_SNDBUF, buffer_bytes)
            ask_reports(self.sock, self.family, sees_local)
            if patience_us:
                set_patience(self.sock, patience_us)
                self.is_patient = True
            self.buffer_sizes = tuple(self.sock.getsockopt(socket.SOL_SOCKET, option)
                                      for option in (socket.SO_RCVBUF, socket.SO_SNDBUF))
            self.sock.bind((ip, port))
            self.poll = select.epoll()
            self.watched = select.EPOLLIN | select.EPOLLERR
            self.poll.register(self.sock.fileno(), self.watched)
        except BaseException:
            self.sock.close()
            raise
        self.fd = self.sock.fileno()
        self.poller = self.poll.fileno()

    def __dealloc__(self):
        free(self.incoming)
        free(self.outgoing)

    # Receiving

    cdef int receive(self, Inbox inbox) noexcept nogil:  # R0
        return self.receive_at(inbox, NULL)

    cdef int receive_at(self, Inbox inbox, Endpoint* arrived_at) noexcept nogil:  # R0
        """Fill the inbox anew; `arrived_at`, when given, has room for `capacity` local endpoints (their port is 0)."""
        cdef int asked, received
        inbox.count = 0
        while inbox.count < inbox.capacity and self.fd >= 0:
            asked = <int>min(<uint32_t>BATCH, inbox.capacity - inbox.count)
            received = self.fill_batch(inbox, asked, linux.MSG_DONTWAIT)
            self.read_batch(inbox, received, arrived_at)
            if received < asked:
                break
        if inbox.count == 0:
            self.has_errors = True      # what woke us, if anything, was not a datagram
        return <int>inbox.count

    cdef int receive_patiently(self, Inbox inbox) noexcept nogil:  # R0
        """Fill the inbox anew with one batch at most; when there is nothing, wait for the first as long as is set."""
        cdef int asked = <int>min(<uint32_t>BATCH, inbox.capacity)
        inbox.count = 0
        if self.fd >= 0:
            self.read_batch(inbox, self.fill_batch(
                inbox, asked, linux.MSG_WAITFORONE if self.is_patient else linux.MSG_DONTWAIT), NULL)
        return <int>inbox.count

    cdef void take_over(self) noexcept nogil:  # R0
        """Have nobody told of datagrams: it costs the kernel a lock or two for each that comes or goes."""
        if not self.is_taken:
            self.is_taken = linux.watch_descriptor(self.poller, self.fd, 0) == 0

    cdef int give_back(self) except -1:
        """Let the event loop be told again, at once when a datagram waits; OSError when the system refuses."""
        if self.is_taken and self.fd >= 0 and linux.watch_descriptor(self.poller, self.fd, self.watched) < 0:
            raise OSError(errno, "epoll no longer takes the socket")
        self.is_taken = False
        return 0

    cdef void read_batch(self, Inbox inbox, int received, Endpoint* arrived_at) noexcept nogil:  # R0
        """Add to the inbox what the kernel has put into its buffers."""
        cdef int i
        cdef Incoming* slot
        self.batches_in += received > 0
        self.datagrams_in += received
        for i in range(received):
            slot = &inbox.datagrams[inbox.count]
            read_datagram(self.incoming, i, slot)
            self.bytes_in += slot.size
            if self.incoming.headers[i].msg_hdr.msg_controllen:
                self.read_controls(&self.incoming.headers[i].msg_hdr,
                                   NULL if arrived_at is NULL else &arrived_at[inbox.count])
            inbox.count += 1

    cdef int receive_errors(self, Inbox inbox) noexcept nogil:  # R0
        """Fill the inbox anew with datagrams of ours that ICMP refused, as much of each as the report quotes.

        A report may be forged, and may quote nothing: it is a hint about the endpoint, no more.
        """
        cdef int asked, received, i
        inbox.count = 0
        if not self.has_errors or self.fd < 0:
            return 0
        asked = <int>min(<uint32_t>BATCH, inbox.capacity)
        received = self.fill_batch(inbox, asked, linux.MSG_DONTWAIT | linux.MSG_ERRQUEUE)
        for i in range(received):
            if self.read_refusal(&self.incoming.headers[i].msg_hdr):
                read_datagram(self.incoming, i, &inbox.datagrams[inbox.count])
                inbox.count += 1
        self.has_errors = received == asked
        return <int>inbox.count

    cdef int fill_batch(self, Inbox inbox, int count, int flags) noexcept nogil:  # R0
        """Receive up to `count` datagrams behind those the inbox holds; returns how many, 0 when there are none."""
        cdef int i, received
        cdef mmsghdr* header
        for i in range(count):
            header = &self.incoming.headers[i]
            header.msg_hdr.msg_namelen = sizeof(sockaddr_in6)       # the kernel overwrites both lengths
            header.msg_hdr.msg_controllen = sizeof(self.incoming.controls[i])
            self.incoming.parts[i].iov_base = inbox.buffer_at(inbox.count + i)
            self.incoming.parts[i].iov_len = INBOX_DATAGRAM
        for i in range(2):
            received = linux.recvmmsg(self.fd, self.incoming.headers, count, flags, NULL)
            if received >= 0:
                return received
            if errno == EAGAIN:
                return 0
            self.has_errors = True      # an ICMP report went before the datagrams; asking clears it
        return 0

    cdef void read_controls(self, msghdr* header, Endpoint* arrived_at) noexcept nogil:  # R0
        cdef cmsghdr* control = linux.CMSG_FIRSTHDR(header)
        while control is not NULL:
            if control.cmsg_level == linux.SOL_SOCKET and control.cmsg_type == linux.SO_RXQ_OVFL:
                self.count_drops((<uint32_t*>linux.CMSG_DATA(control))[0])
            elif arrived_at is not NULL:
                read_local(control, arrived_at)
            control = linux.CMSG_NXTHDR(header, control)

    cdef int read_refusal(self, msghdr* header) noexcept nogil:  # R0
        """The errno an ICMP report stands for; 0 when the entry of the error queue is something else."""
        cdef sock_extended_err* report
        cdef cmsghdr* control = linux.CMSG_FIRSTHDR(header)
        while control is not NULL:
            if ((control.cmsg_level == linux.IPPROTO_IP and control.cmsg_type == linux.IP_RECVERR)
                    or (control.cmsg_level == linux.IPPROTO_IPV6 and control.cmsg_type == linux.IPV6_RECVERR)):
                report = <sock_extended_err*>linux.CMSG_DATA(control)
                if report.ee_origin == linux.SO_EE_ORIGIN_ICMP or report.ee_origin == linux.SO_EE_ORIGIN_ICMP6:
                    self.icmp_errors[report.ee_errno % ERRNO_SLOTS] += 1
                    if report.ee_errno == EMSGSIZE:
                        linux.allow_fragments(self.fd)
                    return <int>report.ee_errno
            control = linux.CMSG_NXTHDR(header, control)
        return 0

    cdef void count_drops(self, uint32_t total) noexcept nogil:  # R0
        cdef uint32_t more = total - self.drops_seen
        if more < <uint32_t>0x80000000:         # else an older reading: it was taken when its datagram was queued
            self.kernel_drops += more
            self.drops_seen = total

    # Sending

    cdef int flush(self, Outbox outbox) noexcept nogil:  # R0
        return self.flush_from(outbox, NULL)

    cdef int flush_from(self, Outbox outbox, const Endpoint* depart_from) noexcept nogil:  # R0
        """Send what the kernel takes; `depart_from`, when given, has the local address for each slot of the ring."""
        cdef int count, sent = 0
        cdef uint64_t congested = self.congested
        self.is_blocked = False
        while outbox.count and not self.is_blocked and self.fd >= 0:
            count = self.address_batch(outbox, depart_from)
            if count:
                sent += self.send_batch(outbox, count)
            else:
                self.give_up(EAFNOSUPPORT)
                outbox.drop_oldest(1)
        self.datagrams_out += sent
        self.blocked_flushes += self.is_blocked
        if self.congested != congested:
            self.send_share = max(self.send_share / 2, LEAST_SHARE)
        return sent

    cdef int address_batch(self, Outbox outbox, const Endpoint* depart_from) noexcept nogil:  # R0
        """Point the headers at the oldest datagrams, up to the first of the other family; returns how many."""
        cdef int i
        cdef int count = <int>min(<uint32_t>BATCH, outbox.count)
        cdef Outgoing* slot
        cdef msghdr* header
        for i in range(count):
            slot = outbox.peek(i)
            if slot.target.family != self.family:
                return i
            header = &self.outgoing.headers[i].msg_hdr
            header.msg_namelen = write_name(&slot.target, &self.outgoing.names[i])
            header.msg_controllen = 0
            if depart_from is not NULL:
                header.msg_controllen = write_local(&depart_from[slot - outbox.slots], self.outgoing.controls[i])
            self.outgoing.parts[i].iov_base = slot.data
            self.outgoing.parts[i].iov_len = slot.size
        return count

    cdef int send_batch(self, Outbox outbox, int count) noexcept nogil:  # R0
        """Send the `count` oldest datagrams, already addressed; those sent or given up leave the outbox.

        The kernel hands an ICMP report about an old datagram to whoever sends next, so an error that may be such a
        report is no verdict on the datagram: that is tried once more, and given up when it fails again.
        """
        cdef int i, accepted, first = 0, sent = 0
        cdef bint is_retry = False
        while first < count:
            accepted = self.send_some(first, count - first)
            if accepted == -EAGAIN:
                self.is_blocked = True
                break
            if accepted > 0:
                for i in range(first, first + accepted):
                    self.bytes_out += outbox.peek(i).size
                first += accepted
                sent += accepted
                is_retry = False
                continue
            self.has_errors = True
            if accepted == -EMSGSIZE:
                linux.allow_fragments(self.fd)
            is_retry = not is_retry and may_be_report(-accepted)
            if not is_retry:
                self.give_up(-accepted)
                first += 1
        outbox.drop_oldest(first)
        return sent

    cdef int send_some(self, int first, int count) noexcept nogil:  # R0
        """One sendmmsg: how many the kernel took, or minus the errno of the first."""
        cdef int accepted
        if self.injected_count:
            self.injected_count -= 1
            return -self.injected_errno
        accepted = linux.sendmmsg(self.fd, &self.outgoing.headers[first], count, linux.MSG_DONTWAIT)
        if accepted >= 0:
            self.batches_out += 1
            return accepted
        return -errno

    cdef void give_up(self, int error) noexcept nogil:  # R0
        self.send_errors[error % ERRNO_SLOTS] += 1
        if is_congestion(error):
            self.congested += 1
        elif error == ENETUNREACH or error == EHOSTUNREACH or error == ENETDOWN:
            self.unreachable += 1
        else:
            self.skipped += 1

    # From Python: batch, second and command

    def fileno(self) -> int:
        """The epoll descriptor an event loop watches for reading: -1 once closed."""
        return -1 if self.fd < 0 else self.poll.fileno()

    def address(self) -> tuple:
        """The bound (ip, port)."""
        return self.sock.getsockname()[:2]

    def read(self, Inbox inbox not None) -> int:
        """Fill the inbox anew from the socket; how many datagrams."""
        return self.receive(inbox)

    def read_errors(self, Inbox inbox not None) -> int:
        """Fill the inbox anew with our datagrams that ICMP refused, their target as source; how many, up to 64."""
        return self.receive_errors(inbox)

    def read_local(self, Inbox inbox not None) -> list:
        """As `read`, but returns where each datagram was sent to: compact endpoints whose port is 0."""
        cdef Endpoint* arrived_at = <Endpoint*>calloc(inbox.capacity, sizeof(Endpoint))
        cdef int i
        if arrived_at is NULL:
            raise MemoryError(f"{inbox.capacity} endpoints")
        try:
            return [dump_compact(&arrived_at[i]) for i in range(self.receive_at(inbox, arrived_at))]
        finally:
            free(arrived_at)

    def write(self, Outbox outbox not None) -> int:
        """Send what the kernel takes and leave the rest queued; how many were sent. See `is_blocked`."""
        return self.flush(outbox)

    def write_from(self, Outbox outbox not None, local: bytes) -> int:
        """As `write`, but everything departs from the compact endpoint `local`, whose port is not used."""
        cdef uint32_t i
        cdef Endpoint* depart_from = <Endpoint*>calloc(outbox.capacity, sizeof(Endpoint))
        if depart_from is NULL:
            raise MemoryError(f"{outbox.capacity} endpoints")
        try:
            for i in range(outbox.capacity):
                load_compact(local, &depart_from[i])
            return self.flush_from(outbox, depart_from)
        finally:
            free(depart_from)

    def watch_writable(self, wanted: bool) -> None:
        """Whether the epoll descriptor also reports room to send; it then stays readable while there is some."""
        if self.awaits_room != wanted:
            self.awaits_room = wanted
            self.watched = select.EPOLLIN | select.EPOLLERR | (select.EPOLLOUT if wanted else 0)
            self.poll.modify(self.fd, self.watched)

    @property
    def is_blocked(self) -> bool:
        """Whether the last `write` stopped for lack of room."""
        return self.is_blocked

    @property
    def send_share(self) -> float:
        """Share of the full send rate to keep to: halved by every flush that met ENOBUFS, ENOMEM or EPERM."""
        return self.send_share

    def regain_share(self) -> float:
        """Let the send share grow by a twentieth of the full rate; to be called once a second. Returns it."""
        self.send_share = min(1.0, self.send_share + SHARE_REGAINED)
        return self.send_share

    def fail_next_sends(self, error: int, count: int) -> None:
        """Make the next `count` system calls that send fail with an errno of 1 to 255: for tests of what follows."""
        if not 0 < error < ERRNO_SLOTS:
            raise ValueError(f"errno is {error}; 1 to {ERRNO_SLOTS - 1}")
        self.injected_errno = error
        self.injected_count = count

    def counters(self) -> dict:
        """Totals since the socket was opened; `send_ENAME` and `icmp_ENAME` only for errors that occurred.

        The buffer sizes are the kernel's own, which count its bookkeeping: twice what was asked for.
        """
        if self.fd >= 0:
            self.count_drops(read_drops(self.sock))
        totals = {
            "datagrams_in": self.datagrams_in, "bytes_in": self.bytes_in, "batches_in": self.batches_in,
            "datagrams_out": self.datagrams_out, "bytes_out": self.bytes_out, "batches_out": self.batches_out,
            "kernel_drops": self.kernel_drops, "blocked": self.blocked_flushes, "congested": self.congested,
            "unreachable": self.unreachable, "skipped": self.skipped,
            "receive_buffer_bytes": self.buffer_sizes[0], "send_buffer_bytes": self.buffer_sizes[1],
        }
        for code in range(ERRNO_SLOTS):
            name = errno_names.errorcode.get(code, str(code))
            if self.send_errors[code]:
                totals[f"send_{name}"] = self.send_errors[code]
            if self.icmp_errors[code]:
                totals[f"icmp_{name}"] = self.icmp_errors[code]
        return totals

    def close(self) -> None:
        """Release both descriptors; afterwards nothing is sent or received. May be called again."""
        if self.fd >= 0:
            self.fd = -1
            self.poll.close()
            self.sock.close()


cdef inline bint is_congestion(int error) noexcept nogil:  # R0
    return error == ENOBUFS or error == ENOMEM or error == EPERM     # EPERM: the firewall's table is full


cdef inline bint may_be_report(int error) noexcept nogil:  # R0
    return error != EINVAL and not is_congestion(error)
