"""Announced peers of one address family: bounded, expiring, fair per source. Rate class: packet.

The layout is in peers_slab.pxd. Source: BEP 5 (announce_peer), BEP 33 (seeds).
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport Rng
from fastdht._ext.peers_slab cimport Peer, PeerSlab, Survey


cdef enum:
    SAMPLE = 16                     # how many are looked at to find a victim
    MAX_PEERS_PER_INFO_HASH = 4096


cdef class PeerStore(PeerSlab):
    cdef uint32_t max_info_hashes
    cdef uint32_t max_peers
    cdef uint32_t peers_per_info_hash
    cdef uint32_t ports_per_ip
    cdef uint32_t peers_per_subnet
    cdef uint32_t info_hashes_per_ip
    cdef uint32_t info_hashes_per_subnet
    cdef readonly int64_t ttl_us
    cdef readonly uint64_t refused          # announces by sources that have their share
    cdef readonly uint64_t evicted          # peers that made room for others
    cdef uint32_t expire_position   # where expire goes on: in `order` …
    cdef uint32_t expire_index      # … and below which record of that swarm
    cdef Rng rng
    cdef uint8_t own_id[20]
    cdef bint add(self, const uint8_t* info_hash, const Endpoint* peer, bint is_seed, int64_t now_us) noexcept nogil
    cdef uint32_t write_values(self, const uint8_t* info_hash, bint noseed, uint32_t limit, Rng* rng, int64_t now_us,
                               uint8_t* out, uint32_t* written) noexcept nogil
    cdef uint32_t expire(self, int64_t now_us, uint32_t budget) noexcept nogil
    cdef bint scrape(self, const uint8_t* info_hash, int64_t now_us, uint8_t* seeds, uint8_t* peers) noexcept nogil
    cdef bint is_closed_to(self, const uint8_t* info_hash, const Endpoint* source, int64_t now_us) noexcept nogil
    cdef bint is_alive(self, uint32_t swarm, int64_t now_us) noexcept nogil
    cdef bint copy_info_hash(self, uint32_t index, uint8_t* out) noexcept nogil     # index < info_hash_count
    cdef void change_id(self, const uint8_t* own_id) noexcept nogil
    cdef bint has_share_left(self, const Peer* peer, const Survey* survey) noexcept nogil
    cdef uint32_t choose_victim(self, uint32_t swarm, const Survey* survey, int64_t now_us) noexcept nogil
    cdef uint32_t crowded_peer(self, uint32_t swarm) noexcept nogil
    cdef void evict_swarm(self) noexcept nogil
    cdef void evict_peer(self, uint32_t keep) noexcept nogil
