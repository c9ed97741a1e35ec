"""Peers of one address family by info-hash: the storage under PeerStore. Rate class: packet.

The peers of an info-hash stand in chunks of 16 records, each record ready to be copied into a reply; which source has
how many info-hashes is kept in counting sketches. Who is let in is decided in peers.pyx.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport HashKey


cdef enum:
    CHUNK = 16                      # peers; a lone peer wastes 15 records, 500 peers need a list of 32 chunks
    CHUNK_SHIFT = 4
    NO_SWARM = 0                    # so that zeroed memory is an empty index


cdef struct Peer:                   # 32 bytes
    uint8_t element[21]             # as in `values`: "6:" or "18:", then the compact peer
    uint8_t marks[3]                # bit 0: a seed; bit 1: 2-12 and 13-23, its two bits of a bloom filter, are known
    int64_t seen_us                 # last announce


cdef struct Swarm:                  # one info-hash; 48 bytes
    uint8_t info_hash[20]
    uint32_t count                  # peers
    uint32_t seeds                  # of them
    uint32_t next                   # in its hash chain, or in the free list
    uint32_t position               # in `order`
    int64_t seen_us                 # last announce


cdef struct Sketch:                 # counts by hash: the smaller of two cells, never too low
    uint32_t* rows[2]
    uint32_t mask


cdef struct Survey:                 # a swarm, seen from a newcomer; an index is no_peer() when there is none
    uint32_t same                   # the record with its ip and port
    uint32_t of_ip                  # how many share its ip …
    uint32_t oldest_of_ip
    uint32_t of_subnet              # … and its subnet
    uint32_t oldest_of_subnet
    uint32_t oldest


cdef class PeerSlab:
    cdef Peer* peers                # CHUNK for each chunk
    cdef uint32_t* free_chunks      # a stack
    cdef uint32_t free_chunk_count
    cdef uint32_t untouched_chunk   # chunks from here on were never used
    cdef Swarm* swarms              # swarms[0] stays empty
    cdef uint32_t* chunk_lists      # chunks_per_swarm for each swarm
    cdef uint32_t* heads            # hash chains of swarms
    cdef uint32_t* order            # the swarms in use, without gaps
    cdef uint32_t head_mask
    cdef uint32_t chunks_per_swarm
    cdef uint32_t free_swarm
    cdef uint32_t untouched_swarm
    cdef readonly uint32_t info_hash_count
    cdef readonly uint32_t peer_count
    cdef uint16_t family
    cdef uint32_t prefix_size       # of an element: "6:" is 2, "18:" is 3
    cdef uint32_t ip_size
    cdef uint32_t subnet_size       # bytes of the ip that name its /24 or /64
    cdef uint32_t element_size
    cdef Sketch ips                 # info-hashes of each ip …
    cdef Sketch subnets             # … and of each subnet
    cdef HashKey key
    cdef int allocate(self, uint32_t max_info_hashes, uint32_t max_peers, uint32_t peers_per_info_hash) except -1
    cdef uint32_t find_swarm(self, const uint8_t* info_hash) noexcept nogil
    cdef uint32_t open_swarm(self, const uint8_t* info_hash) noexcept nogil     # there must be one free
    cdef void close_swarm(self, uint32_t swarm) noexcept nogil                  # it must be empty
    cdef Peer* peer_at(self, uint32_t swarm, uint32_t index) noexcept nogil
    cdef void survey(self, uint32_t swarm, const Peer* peer, Survey* out) noexcept nogil
    cdef bint shares_subnet(self, const Peer* a, const Peer* b) noexcept nogil
    cdef void append(self, uint32_t swarm, const Peer* peer, const Survey* survey) noexcept nogil
    cdef void replace(self, uint32_t swarm, uint32_t index, const Peer* peer) noexcept nogil
    cdef void remove(self, uint32_t swarm, uint32_t index) noexcept nogil
    cdef uint32_t info_hashes_of(self, const Sketch* sketch, const Peer* peer) noexcept nogil
    cdef void count_source(self, const Peer* peer, bint ip, bint subnet, int step) noexcept nogil
    cdef uint32_t* head_of(self, const uint8_t* info_hash) noexcept nogil
    cdef uint64_t hash_prefix(self, const Peer* peer, uint32_t size) noexcept nogil
    cdef uint64_t sketch_total(self, int which)
    cdef void make_record(self, const Endpoint* peer, bint seeds, int64_t now_us, Peer* out) noexcept nogil


cdef inline uint32_t no_peer() noexcept nogil:
    return <uint32_t>0xFFFFFFFF


cdef inline uint32_t is_seeding(const Peer* peer) noexcept nogil:
    return peer.marks[0] & 1


cdef int check_info_hash(bytes info_hash) except -1
