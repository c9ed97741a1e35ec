"""What a swarm tells about itself: its bloom filters, and whether it is closed. Rate class: packet. Source: BEP 33."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.hashing cimport Rng
from fastdht._ext.peers_slab cimport PeerSlab


cdef bint fill_filters(
    PeerSlab slab, uint32_t swarm, int64_t oldest_us, uint8_t* seeds, uint8_t* peers) noexcept nogil
cdef bint has_address(PeerSlab slab, uint32_t swarm, const Endpoint* source) noexcept nogil
cdef bint has_way_in(PeerSlab slab, uint32_t swarm, int64_t oldest_us, Rng* rng) noexcept nogil
