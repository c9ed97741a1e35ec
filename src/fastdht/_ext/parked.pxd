"""Puts that wait for the verification of their signature. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.items cimport Put


cdef enum:
    MAX_SIGNED = 1104               # bytes: a salt of 64, a seq of 19 digits and a value of 1,000 make 1,102
    MAX_PARKED = 4096
    TID_BYTES = 32
    NO_PLACE = 0                    # places are counted from 1


cdef enum Stage:
    STAGE_FREE
    STAGE_WAITING                   # to be taken
    STAGE_TAKEN                     # Python verifies it


cdef struct ParkedPut:              # about 1.3 KB
    Endpoint source
    uint32_t generation             # how often this place has been used: an old handle finds nothing
    uint32_t next                   # in the free list
    uint32_t query_size
    uint8_t stage                   # Stage
    uint8_t tid_size
    uint8_t has_cas
    uint16_t signed_size
    uint16_t value_at               # the value is the end of `signed_part`
    int64_t seq
    int64_t cas
    uint8_t tid[TID_BYTES]
    uint8_t target[20]
    uint8_t key[32]
    uint8_t signature[64]
    uint8_t signed_part[MAX_SIGNED]


cdef class ParkedPuts:
    cdef uint32_t capacity
    cdef uint32_t per_ip
    cdef uint32_t per_subnet
    cdef int64_t interval_us            # of the meter below, for each verification
    cdef int64_t tolerance_us
    cdef int64_t meter_us               # when all that was taken will have drained
    cdef ParkedPut* puts                # puts[0] stays empty
    cdef uint64_t* holders              # the source of each place in use, else nobody
    cdef uint32_t* waiting              # a ring of places, in order of arrival
    cdef uint32_t first_waiting
    cdef readonly uint32_t waiting_count
    cdef readonly uint32_t count        # waiting and taken
    cdef uint32_t free_place
    cdef uint32_t untouched_place
    cdef ParkedPut* reserve(self, const Endpoint* source) noexcept nogil        # NULL: no place for this source
    cdef void park(self, ParkedPut* put) noexcept nogil
    cdef uint64_t take(self, int64_t now_us) noexcept nogil                     # a handle, or NO_PLACE
    cdef ParkedPut* find(self, uint64_t handle) noexcept nogil                  # NULL: not taken, or taken no more
    cdef void release(self, ParkedPut* put) noexcept nogil
    cdef int64_t next_due(self, int64_t now_us) noexcept nogil                  # -1: nothing waits
    cdef bint has_share_left(self, uint64_t source) noexcept nogil


cdef inline void describe(ParkedPut* parked, Put* out) noexcept nogil:
    """The put as the store takes it; it points into `parked`."""
    out.target = parked.target
    out.key = parked.key
    out.signature = parked.signature
    out.value.data = parked.signed_part + parked.value_at
    out.value.size = parked.signed_size - parked.value_at
    out.seq = parked.seq
    out.cas = parked.cas
    out.has_cas = parked.has_cas
