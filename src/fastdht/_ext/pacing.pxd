"""When the next query may leave: one rate for all, and one for each remote address. Rate class: packet.

Both are virtual schedules (GCRA): a word holds when the next packet would be due at an even pace, and a packet may
leave as far ahead of it as the burst allows. Nothing is dropped here: who may not leave now is told when.
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint, hash_host
from fastdht._ext.hashing cimport HashKey
from fastdht._ext.prefetch cimport fastdht_fetch


cdef enum:
    PACE_PLACES = 10


cdef struct Pace:               # of all packets
    int64_t due_ns
    int64_t interval_ns         # 0: no limit
    int64_t quantum_ns          # how much of a late wake-up is made good at once


cdef struct PaceLine:           # 64 bytes: one line of the cache
    uint16_t tags[10]           # of each address; two of the same line and tag share a pace
    uint32_t spare
    uint32_t due_ms[10]         # since the first question; once that time has come, the place is free


cdef struct AddressPace:        # of the addresses asked lately, in fixed memory
    HashKey key
    PaceLine* lines
    uint32_t mask
    uint32_t interval_ms        # 0: no limit
    uint32_t ahead_ms           # burst


cdef bint open_address_pace(AddressPace* pace, uint32_t cells, double rate, uint32_t burst,
                            uint64_t seed) noexcept nogil
cdef void free_address_pace(AddressPace* pace) noexcept nogil
cdef void ready_address_pace(AddressPace* pace) noexcept nogil
cdef void set_pace(Pace* pace, double rate, int64_t quantum_us) noexcept nogil
cdef uint32_t take_turn(AddressPace* pace, const Endpoint* endpoint, uint32_t now_ms) noexcept nogil


cdef inline void expect_turn(const AddressPace* pace, const Endpoint* endpoint) noexcept nogil:
    """Have memory fetch what `take_turn` will need."""
    fastdht_fetch(&pace.lines[hash_host(&pace.key, endpoint) & pace.mask])


cdef inline int64_t pace_due_us(const Pace* pace) noexcept nogil:
    """When the next packet may leave; it may when this is not after now."""
    return (pace.due_ns + 999) // 1000


cdef inline void spend_pace(Pace* pace, int64_t now_us) noexcept nogil:
    cdef int64_t earliest = now_us * 1000 - pace.quantum_ns
    if pace.due_ns < earliest:
        pace.due_ns = earliest
    pace.due_ns += pace.interval_ns
