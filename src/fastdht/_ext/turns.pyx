"""What a wake of a node's engine does between its socket and its core, without Python. Rate class: batch.

A node wakes for every thirty datagrams or so: the calls that take them in, step what they changed and send what that
asks would cost Python as much as all else it does for a lookup. What needs Python ends the run early, and says so.
"""
from libc.stdint cimport int64_t

from fastdht._ext.core cimport take_in
from fastdht._ext.packets cimport Inbox
from fastdht._ext.state cimport State
from fastdht._ext.udp cimport UdpSocket
from fastdht._ext.walks cimport EVENTS, FIRST, LookupSlots, PUTS, REFUSED, ROOM, TO_SEND

cdef enum:
    ROUNDS = 64                 # of stepping what sending has left dirty; a bound, hardly ever reached


def exchange(LookupSlots slots not None, UdpSocket sock not None, Inbox inbox not None, int64_t now_us,
             int64_t last_batch, bint is_crowded) -> int:
    """Take in batches until the socket is empty or has given `last_batch`, and send what they lead to.

    What is left, as bits of LEFT_*. LEFT_FIRST: one was taken in, and events or callers (`is_crowded`) are to be served
    before anything is stepped; call again after that.
    """
    cdef State state = slots.core.state
    while slots.batches < last_batch:
        if sock.receive(inbox) == 0:
            sock.flush(slots.core.outbox)       # there may be room again
            break
        slots.batches += 1
        take_in(state, inbox, now_us)
        if not run(slots, state, sock, now_us, is_crowded):
            return FIRST
        if inbox.count < inbox.capacity:
            break
    return left_by(sock, state)


def settle(LookupSlots slots not None, UdpSocket sock not None, int64_t now_us, bint is_crowded) -> int:
    """Step what time or callers have changed, and send what it leads to. What is left, as `exchange` says."""
    return left_by(sock, slots.core.state) if run(slots, slots.core.state, sock, now_us, is_crowded) else FIRST


cdef bint run(LookupSlots slots, State state, UdpSocket sock, int64_t now_us, bint is_crowded) except -1:
    """Step and send until nothing is left that can be sent; False as soon as Python must come first."""
    cdef int left, i
    for i in range(ROUNDS):
        left = slots.take_turn(now_us, is_crowded)
        if left & (FIRST | EVENTS):
            return False
        if not left & TO_SEND or not sock.flush(state.outbox) or not state.shortlists.dirty_count:
            break
    return True


cdef inline int left_by(UdpSocket sock, State state) noexcept:
    return ((REFUSED if sock.has_errors else 0) | (ROOM if sock.is_blocked != sock.awaits_room else 0)
            | (PUTS if state.has_table and state.parked.waiting_count else 0))
