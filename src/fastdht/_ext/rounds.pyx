"""A crawl's rounds between socket and core, many at a time and without Python. Rate class: packet.

A crawl at full speed would wake Python for every twenty datagrams; here it waits for the next ones itself, with the
interpreter released, as long as some come and nothing else is due. It ends after `BUDGET_US`, so that the event loop's
timers are never much later than that. Its time is that of engine.clock.
"""
from libc.stdint cimport int64_t

from fastdht._ext.clock cimport read_us
from fastdht._ext.core cimport Core, advance, next_deadline, take_in
from fastdht._ext.packets cimport Inbox, Outbox
from fastdht._ext.state cimport State
from fastdht._ext.udp cimport UdpSocket

cdef enum:
    BUDGET_US = 5000
    PATIENCE = 1000             # µs to wait for a datagram, as the kernel's ticks allow

PATIENCE_US = PATIENCE


def run_rounds(Core core not None, UdpSocket sock not None, Inbox inbox not None) -> int:
    """Receive, ask and send until nothing more comes or the loop's timers are due; how many batches there were.

    `core` has a frontier (ValueError). OSError when the event loop can no longer watch the socket.
    """
    cdef State state = core.state
    cdef Outbox outbox = core.outbox
    cdef int rounds
    if not state.has_frontier:
        raise ValueError("the core has no frontier: its events need Python after each batch")
    with nogil:
        rounds = go_round(state, sock, inbox, outbox)
    sock.give_back()
    return rounds


cdef int go_round(State state, UdpSocket sock, Inbox inbox, Outbox outbox) noexcept nogil:  # R0
    cdef int64_t now_us = read_us(), until_us = now_us + BUDGET_US
    cdef int rounds = 0, received = sock.receive(inbox)
    while True:
        rounds += received > 0
        take_in(state, inbox, now_us)
        advance(state, now_us)
        sock.flush(outbox)          # also when nothing came: there may be room again
        if (received == 0 or sock.is_blocked or state.event_count or now_us >= until_us
                or is_due_soon(state, now_us)):
            return rounds
        sock.take_over()
        received = sock.receive_patiently(inbox)
        now_us = read_us()


cdef inline bint is_due_soon(State state, int64_t now_us) noexcept nogil:  # R0
    """Whether a wait could outlast what the loop's timer is for."""
    cdef int64_t due_us = next_deadline(state, now_us)
    return 0 <= due_us < now_us + 4 * PATIENCE
