"""Peers announced to virtual nodes, in sets chosen by node and infohash. Rate class: packet.

A full set forgets its oldest peer: announces in tests are few and repeated.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from fastdht._ext.addresses cimport read_be64, write_be32
from fastdht._ext.hashing cimport Rng, mix_words, next_random, seed_rng


cdef class PeerStore:
    """Takes 10 MB, mapped as they are used. Raises MemoryError."""

    def __cinit__(self, seed):
        cdef Rng rng
        seed_rng(&rng, (seed ^ 0x570BE) & 0xFFFFFFFFFFFFFFFF)
        self.key.k0 = next_random(&rng)
        self.key.k1 = next_random(&rng)
        self.peers = <StoredPeer*>calloc(STORE_SETS * STORE_WAYS, sizeof(StoredPeer))
        self.next = <uint16_t*>calloc(STORE_SETS, sizeof(uint16_t))
        if not self.peers or not self.next:
            raise MemoryError("no memory for the swarm's peers")

    def __dealloc__(self):
        free(self.peers)
        free(self.next)

    cdef uint32_t find_set(self, uint32_t serial, const uint8_t* info_hash) noexcept nogil:  # R0
        return <uint32_t>(mix_words(&self.key, read_be64(info_hash), serial) & (STORE_SETS - 1))

    cdef bint add(self, uint32_t serial, const uint8_t* info_hash, uint32_t ip, uint16_t port) noexcept nogil:  # R0
        """Keep a peer; False when it was known."""
        cdef uint32_t i, index = self.find_set(serial, info_hash)
        cdef StoredPeer* peers = &self.peers[index * STORE_WAYS]
        cdef StoredPeer* peer
        for i in range(<uint32_t>STORE_WAYS):
            peer = &peers[i]
            if (peer.port == port and peer.ip == ip and peer.serial == serial
                    and memcmp(peer.info_hash, info_hash, 20) == 0):
                return False
        peer = &peers[self.next[index] % STORE_WAYS]
        self.next[index] = (self.next[index] + 1) % STORE_WAYS
        memcpy(peer.info_hash, info_hash, 20)
        peer.serial = serial
        peer.ip = ip
        peer.port = port
        return True

    cdef uint32_t write(self, uint32_t serial, const uint8_t* info_hash, uint32_t room, uint8_t* out) noexcept nogil:  # R0
        """The compact peers (6 bytes each) that a node was told for an infohash, at most `room`; how many."""
        cdef uint32_t i, count = 0
        cdef StoredPeer* peers = &self.peers[self.find_set(serial, info_hash) * STORE_WAYS]
        cdef StoredPeer* peer
        for i in range(<uint32_t>STORE_WAYS):
            peer = &peers[i]
            if (peer.port == 0 or peer.serial != serial or count == room
                    or memcmp(peer.info_hash, info_hash, 20) != 0):
                continue
            write_be32(out + 6 * count, peer.ip)
            out[6 * count + 4] = <uint8_t>(peer.port >> 8)
            out[6 * count + 5] = <uint8_t>peer.port
            count += 1
        return count
