"""The batched UDP socket of Linux. Rate class: packet.

`receive` and `flush` move whole batches between the kernel and the slots of an Inbox or Outbox, without a copy of our
own. `arrived_at` and `depart_from` belong to a socket that answers for many addresses: who was asked, by position in
the inbox, and who answers, by slot of the outbox.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.linux cimport msghdr
from fastdht._ext.mmsg cimport BATCH, Batch
from fastdht._ext.packets cimport Inbox, Outbox


cdef enum:
    ERRNO_SLOTS = 256           # Linux knows 133


cdef class UdpSocket:
    cdef object sock            # socket.socket: owns the descriptor
    cdef object poll            # select.epoll: what an event loop watches
    cdef tuple buffer_sizes     # bytes to receive and to send with, as granted
    cdef int fd                 # -1 once closed
    cdef int poller             # the descriptor of `poll`
    cdef uint32_t watched       # the events `poll` reports
    cdef bint is_taken          # by us alone: `poll` reports nothing
    cdef uint16_t family        # FAMILY_V4 or FAMILY_V6
    cdef bint is_blocked        # the last flush left datagrams because the kernel had no room
    cdef bint awaits_room       # `poll` reports when there is room again
    cdef bint is_patient        # receiving may wait, when asked to
    cdef bint has_errors        # the error queue is worth a look
    cdef Batch* incoming
    cdef Batch* outgoing
    cdef uint32_t drops_seen    # the kernel's own counter, which wraps
    cdef uint64_t kernel_drops
    cdef uint64_t datagrams_in
    cdef uint64_t bytes_in
    cdef uint64_t batches_in
    cdef uint64_t datagrams_out
    cdef uint64_t bytes_out
    cdef uint64_t batches_out
    cdef uint64_t blocked_flushes   # flushes that ended on a full send buffer
    cdef uint64_t congested     # datagrams given up on ENOBUFS, ENOMEM, EPERM
    cdef uint64_t unreachable   # datagrams given up on ENETUNREACH, EHOSTUNREACH, ENETDOWN
    cdef uint64_t skipped       # datagrams given up on any other errno
    cdef uint64_t send_errors[ERRNO_SLOTS]
    cdef uint64_t icmp_errors[ERRNO_SLOTS]
    cdef double send_share      # of the full rate; 1.0 unless congested
    cdef int injected_errno
    cdef int injected_count
    cdef int receive(self, Inbox inbox) noexcept nogil          # fills the inbox anew; how many
    cdef int receive_at(self, Inbox inbox, Endpoint* arrived_at) noexcept nogil     # needs sees_local
    cdef int receive_patiently(self, Inbox inbox) noexcept nogil    # the same, and waits for the first datagram
    cdef void take_over(self) noexcept nogil    # nobody is told of datagrams until `give_back`
    cdef int give_back(self) except -1
    cdef int receive_errors(self, Inbox inbox) noexcept nogil   # our datagrams that ICMP refused; source = their target
    cdef int flush(self, Outbox outbox) noexcept nogil          # sends what it can; how many; see is_blocked
    cdef int flush_from(self, Outbox outbox, const Endpoint* depart_from) noexcept nogil
    cdef void read_batch(self, Inbox inbox, int received, Endpoint* arrived_at) noexcept nogil
    cdef int fill_batch(self, Inbox inbox, int count, int flags) noexcept nogil
    cdef void read_controls(self, msghdr* header, Endpoint* arrived_at) noexcept nogil
    cdef int read_refusal(self, msghdr* header) noexcept nogil
    cdef void count_drops(self, uint32_t total) noexcept nogil
    cdef int address_batch(self, Outbox outbox, const Endpoint* depart_from) noexcept nogil
    cdef int send_batch(self, Outbox outbox, int count) noexcept nogil
    cdef int send_some(self, int first, int count) noexcept nogil
    cdef void give_up(self, int error) noexcept nogil
