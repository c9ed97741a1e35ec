"""Where each contact of a routing table stands. Rate class: packet.

Mechanics only: who is let in, and whose place is taken, is decided in placement.pyx.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.entries cimport Entry, EntrySlab
from fastdht._ext.ids cimport Contact


cdef enum:
    MAX_BUCKETS = 64            # so that the bucket of an id depends on its first word only
    MAX_K = 128
    MAX_CLOSEST = 128           # contacts in one answer


cdef struct Live:               # what the search for the closest reads, contiguous in each bucket; 32 bytes
    uint64_t id_high
    uint64_t id_middle
    uint32_t id_low
    uint32_t entry
    int64_t good_until_us       # LONG_AGO for a contact that failed


cdef struct KBucket:
    uint32_t first              # of its Live records
    uint32_t capacity
    uint32_t live_count
    uint32_t waiting_count      # replacements and candidates
    int64_t changed_us          # BEP 5: last answer, insertion or replacement
    int64_t crowded_until_us    # before then, a newcomer finds no place: all who wait here have answered lately
    int64_t settled_until_us    # before then, no candidate here has waited in vain; 0: not known


cdef class KBuckets:
    cdef EntrySlab slab
    cdef Entry* entries         # the slab's
    cdef Live* live
    cdef uint16_t* waiting      # max_buckets × replacements
    cdef uint16_t* scratch      # room to list every entry, for change_id
    cdef KBucket buckets[64]    # MAX_BUCKETS
    cdef uint64_t occupied      # bit 63 - i: bucket i has live entries
    cdef uint32_t bucket_count
    cdef uint32_t max_buckets
    cdef uint32_t replacements
    cdef uint32_t max_failures
    cdef uint32_t bucket_shift  # of subnet_of, to the subnet that a bucket counts: /24 or /56
    cdef uint16_t family
    cdef uint64_t own_high      # our id's first word in host order
    cdef uint8_t own_id[20]
    cdef int64_t now_us         # the latest time that any caller told
    cdef int64_t questionable_us
    cdef int allocate(self, uint32_t k, bint extended, uint64_t seed, bint by_address, bint by_subnet,
                      bint by_network) except -1
    cdef void set_own_id(self, const uint8_t* own_id) noexcept nogil
    cdef uint32_t bucket_of(self, uint64_t id_high) noexcept nogil
    cdef uint16_t waiting_at(self, uint32_t bucket, uint32_t position) noexcept nogil
    cdef uint16_t entry_at(self, uint32_t bucket, uint32_t position) noexcept nogil
    cdef uint16_t find_id(self, const uint8_t* node_id) noexcept nogil
    cdef bint is_good(self, const Entry* e) noexcept nogil
    cdef void refresh(self, uint16_t entry, int64_t seen_us) noexcept nogil
    cdef void fail(self, uint16_t entry) noexcept nogil
    cdef void add_live(self, uint32_t bucket, uint16_t entry) noexcept nogil
    cdef void add_waiting(self, uint32_t bucket, uint16_t entry, uint8_t role) noexcept nogil
    cdef void detach(self, uint16_t entry) noexcept nogil
    cdef void remove(self, uint16_t entry) noexcept nogil
    cdef uint32_t list_all(self) noexcept nogil
    cdef uint16_t more_failing(self, uint16_t worst, uint16_t entry) noexcept nogil
    cdef uint16_t worst_failing(self, uint32_t bucket) noexcept nogil
    cdef uint16_t stalest_waiting(self, uint32_t bucket, uint8_t role) noexcept nogil
    cdef uint16_t freshest_replacement(self, uint32_t bucket) noexcept nogil
    cdef list entries_now(self)


cdef void copy_contact(const Entry* entry, Contact* out) noexcept nogil
