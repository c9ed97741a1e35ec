"""Setting up the two paces. Rate class: packet (the cells), command (the rest).

The cells of AddressPace are never tagged or evicted: a collision makes the pace stricter, never laxer, and with 2^20
cells it is rare at any rate one process reaches. Source: ITU-T I.371 for the virtual scheduling algorithm.
"""
from libc.string cimport memset

from fastdht._ext.addresses cimport hash_address
from fastdht._ext.hashing cimport Rng, next_random, seed_rng
from fastdht._ext.pages cimport make_ready, map_zeroed, unmap


cdef bint open_address_pace(AddressPace* pace, uint32_t cells, double rate, uint32_t burst,
                            uint64_t seed) noexcept nogil:
    """`cells` is a power of two; `rate` packets/s per address, 0 for no limit. False when memory is short."""
    cdef Rng rng
    memset(pace, 0, sizeof(AddressPace))
    if rate <= 0:
        return True
    seed_rng(&rng, seed)
    pace.key.k0 = next_random(&rng)
    pace.key.k1 = next_random(&rng)
    pace.due_ms = <uint32_t*>map_zeroed(cells * sizeof(uint32_t))
    if pace.due_ms == NULL:
        return False
    pace.mask = cells - 1
    pace.interval_ms = <uint32_t>(1000 / rate)
    if pace.interval_ms == 0:
        pace.interval_ms = 1
    pace.ahead_ms = (burst - 1) * pace.interval_ms
    return True


cdef void free_address_pace(AddressPace* pace) noexcept nogil:
    unmap(pace.due_ms, (<size_t>pace.mask + 1) * sizeof(uint32_t))
    memset(pace, 0, sizeof(AddressPace))


cdef void ready_address_pace(AddressPace* pace) noexcept nogil:
    """Have the system provide the cells: they are touched at random from the first question on."""
    if pace.due_ms != NULL:
        make_ready(pace.due_ms, (<size_t>pace.mask + 1) * sizeof(uint32_t))


cdef void set_pace(Pace* pace, double rate, int64_t quantum_us) noexcept nogil:
    """`rate` packets/s, 0 for no limit; at most `quantum_us` of them leave at once."""
    pace.interval_ns = <int64_t>(1e9 / rate) if rate > 0 else 0
    pace.quantum_ns = quantum_us * 1000


cdef uint32_t* address_cell(const AddressPace* pace, const Endpoint* endpoint) noexcept nogil:  # R0
    return &pace.due_ms[hash_address(&pace.key, endpoint) & pace.mask]
