"""Which infohashes a virtual network knows, and who holds them. Rate class: packet; command to export them."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastdht._ext.hashing cimport HashKey
from fastdht._ext.swarm_population cimport Population


cdef enum:
    REPLICAS = 8                # an infohash lives on so many closest honest nodes (BEP 5)
    MAX_SAMPLES = 20            # of one answer, as libtorrent sends
    MAX_CELL_NODES = 512        # a cell has 32 to 64 on average
    MAX_CELL_HASHES = 1 << 16
    HASH_RECORD_SIZE = 56       # of the truth: infohash 20, holders 8 × 4, chance 4


cdef enum Support:              # what an honest node makes of sample_infohashes
    SUPPORT_NONE                # answers like find_node
    SUPPORT_REFUSES             # error 204
    SUPPORT_SAMPLES


cdef struct Holding:            # what a node answers
    int64_t num
    int64_t interval_s
    uint32_t size               # of samples, bytes
    uint8_t samples[MAX_SAMPLES * 20]


cdef class Catalog:
    cdef readonly Population people
    cdef HashKey key
    cdef double mean_count              # infohashes in a cell
    cdef double sigma
    cdef int cell_bits
    cdef readonly uint32_t interval_s
    cdef uint32_t support_limit         # of 65536
    cdef uint32_t* sampled_s            # by serial: second of the last sample_infohashes, plus one
    cdef readonly uint64_t violations   # asked again before the interval had ended
    cdef readonly uint64_t sampled      # answers with samples
    cdef uint64_t gathered              # the cell whose nodes follow, or all ones
    cdef uint32_t node_count
    cdef uint64_t prefixes[MAX_CELL_NODES]
    cdef uint32_t serials[MAX_CELL_NODES]
    cdef uint32_t nums[MAX_CELL_NODES]  # while a cell is exported
    cdef uint32_t held[MAX_CELL_HASHES]
    cdef Support support_of(self, uint32_t serial) noexcept nogil
    cdef bint knows(self, const uint8_t* info_hash) noexcept nogil
    cdef void choose_samples(self, uint32_t serial, uint64_t own_prefix, int64_t now_us, Holding* out) noexcept nogil
    cdef void take_samples(self, uint32_t serial, uint64_t own_prefix, int64_t now_us, Holding* out) noexcept nogil
    # private
    cdef uint32_t hashes_in(self, uint64_t cell) noexcept nogil
    cdef uint64_t cell_of(self, uint64_t prefix) noexcept nogil
    cdef uint64_t prefix_of(self, uint64_t cell, uint32_t number) noexcept nogil
    cdef void write_hash(self, uint64_t cell, uint32_t number, uint8_t* out) noexcept nogil
    cdef void gather(self, uint64_t cell) noexcept nogil
    cdef uint32_t list_held(self, uint64_t own_prefix) noexcept nogil
    cdef void note_time(self, uint32_t serial, uint64_t now_s) noexcept nogil
    cdef uint32_t find_holders(self, uint64_t prefix, uint32_t* out) noexcept nogil
    cdef void write_records(self, uint64_t cell, uint32_t count, uint8_t* out) noexcept nogil
