"""Who may stand in the routing table, and who is displaced. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.buckets cimport KBuckets
from fastdht._ext.ids cimport Contact


cdef class Placement(KBuckets):
    cdef uint32_t bucket_subnet_limit   # 0: none
    cdef uint32_t table_subnet_limit    # 0: none
    cdef uint32_t network_limit         # 0: none
    cdef bint one_per_ip
    cdef bint only_secure           # ids must fit their addresses (BEP 42)
    cdef readonly uint64_t refused      # answers not filed: the id is held elsewhere, or the address or subnet is full
    cdef bint is_fileable(self, const Contact* contact) noexcept nogil
    cdef void file(self, const Contact* contact, uint32_t rtt_us, int64_t seen_us) noexcept nogil
    cdef void file_again(self, uint16_t entry) noexcept nogil
    cdef void offer(self, const Contact* contact) noexcept nogil
    cdef uint16_t displaceable(self, uint32_t bucket) noexcept nogil
    cdef bint is_crowded(self, uint32_t bucket) noexcept nogil
    cdef bint admit(self, const Contact* contact) noexcept nogil
    cdef bint make_way(self, uint16_t holder) noexcept nogil
    cdef bint has_bucket_room(self, const Endpoint* endpoint, uint32_t bucket, bint verified) noexcept nogil
    cdef bint has_table_room(self, const Endpoint* endpoint, bint verified) noexcept nogil
    cdef bint has_chain_room(self, int chain, uint32_t limit, const Endpoint* endpoint, bint verified) noexcept nogil
    cdef void place(self, uint16_t entry) noexcept nogil
    cdef bint is_splittable(self, uint32_t bucket) noexcept nogil
    cdef void wait(self, uint32_t bucket, uint16_t entry, uint8_t role) noexcept nogil
    cdef void split(self) noexcept nogil
    cdef void open_bucket(self) noexcept nogil
    cdef uint32_t count_leaving(self, uint32_t bucket) noexcept nogil
    cdef void move_deeper(self, uint32_t bucket) noexcept nogil
    cdef void settle(self, uint32_t bucket) noexcept nogil
