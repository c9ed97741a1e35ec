"""What a swarm tells about itself: its bloom filters, and whether it is closed. Rate class: packet.

Filters are over addresses, so the two ports of one address count once; a seed and a downloader behind one router count
in both. The two bits of a record are computed when it is first scraped and kept with it: a scrape of 500 peers then
costs no SHA-1. Source: BEP 33.
"""
from libc.string cimport memcmp, memset

from fastdht._ext.addresses cimport write_compact
from fastdht._ext.filters cimport FILTER_SIZE, FilterBits, filter_bits, set_bits
from fastdht._ext.hashing cimport random_below
from fastdht._ext.peers_slab cimport Peer, is_seeding

cdef enum:
    SAMPLE = 16                 # records looked at to find a crowded subnet
    ADDRESS = 18                # most bytes of a compact endpoint
    KNOWN = 2                   # of Peer.marks[0]


cdef bint fill_filters(
        PeerSlab slab, uint32_t swarm, int64_t oldest_us, uint8_t* seeds, uint8_t* peers) noexcept nogil:  # R0
    """Write the filters of the records later than `oldest_us`, 256 bytes each; False when there is none."""
    cdef Peer* peer
    cdef uint32_t i
    cdef bint is_any = False
    memset(seeds, 0, FILTER_SIZE)
    memset(peers, 0, FILTER_SIZE)
    for i in range(slab.swarms[swarm].count):
        peer = slab.peer_at(swarm, i)
        if peer.seen_us <= oldest_us:
            continue
        set_bits(seeds if is_seeding(peer) else peers, bits_of(slab, peer))
        is_any = True
    return is_any


cdef inline FilterBits bits_of(PeerSlab slab, Peer* peer) noexcept nogil:
    cdef FilterBits bits
    cdef uint32_t packed
    if not peer.marks[0] & KNOWN:
        bits = filter_bits(peer.element + slab.prefix_size, slab.ip_size)
        packed = (<uint32_t>bits.first << 2) | (<uint32_t>bits.second << 13)
        peer.marks[0] = <uint8_t>((peer.marks[0] & 1) | KNOWN | packed)
        peer.marks[1] = <uint8_t>(packed >> 8)
        peer.marks[2] = <uint8_t>(packed >> 16)
        return bits
    packed = peer.marks[0] | (<uint32_t>peer.marks[1] << 8) | (<uint32_t>peer.marks[2] << 16)
    bits.first = (packed >> 2) & 2047
    bits.second = packed >> 13
    return bits


cdef bint has_address(PeerSlab slab, uint32_t swarm, const Endpoint* source) noexcept nogil:  # R0
    cdef uint8_t address[ADDRESS]
    cdef uint32_t i
    write_compact(source, address)
    for i in range(slab.swarms[swarm].count):
        if memcmp(slab.peer_at(swarm, i).element + slab.prefix_size, address, slab.ip_size) == 0:
            return True
    return False


cdef bint has_way_in(PeerSlab slab, uint32_t swarm, int64_t oldest_us, Rng* rng) noexcept nogil:  # R0
    """Whether, of a full swarm, a random sample has a peer that should make room: one that has expired, or two of one
    subnet. Without that rule whoever comes first with many ports keeps everybody else out."""
    cdef uint32_t sample[SAMPLE]
    cdef uint32_t i, j
    for i in range(<uint32_t>SAMPLE):
        sample[i] = <uint32_t>random_below(rng, slab.swarms[swarm].count)
        if slab.peer_at(swarm, sample[i]).seen_us <= oldest_us:
            return True
        for j in range(i):
            if sample[i] != sample[j] and slab.shares_subnet(
                    slab.peer_at(swarm, sample[i]), slab.peer_at(swarm, sample[j])):
                return True
    return False
