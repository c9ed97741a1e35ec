"""Torrents of all sizes: who is in each, and what a holder knows of it (BEP 33). Rate class: packet.

A torrent's number of peers is log-uniform, and so is spread over all sizes alike; the share of seeds among them is
uniform. Addresses go in odd strides modulo 2^24, so that no two are the same and membership can be told from two
numbers. A node has heard of 60 to 100 % of a torrent's peers, its own share and its own choice. Four in five nodes
speak BEP 33 and answer a scrape with filters instead of peers, as libtorrent does; the others name 50 peers.
"""
from libc.math cimport exp, log
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport read_be64, write_be32
from fastdht._ext.filters cimport FILTER_SIZE, filter_bits, set_bits
from fastdht._ext.hashing cimport Rng, mix_words, seed_rng
from fastdht._ext.swarm_population cimport draw_key
from fastdht._ext.swarm_replies cimport MAX_VALUES

cdef enum:
    LEAST_HEARD = 39322         # of 65536: 60 %
    SPEAKERS = 52429            # of 65536: 80 %
    PORTS = 0x7FFF              # from 1024 on


cdef inline uint32_t address_of(const Crowd* crowd, uint32_t number) noexcept nogil:
    return <uint32_t>0x7F000000 | ((crowd.first + number * crowd.stride) & 0xFFFFFF)


cdef class Crowds:
    """Numbers of peers from 1 to `largest`; the share `full` of the nodes lies, with filters that have every bit."""

    def __cinit__(self, seed, largest, *, full=0.0):
        cdef Rng rng
        seed_rng(&rng, (seed ^ 0xC40BD5) & 0xFFFFFFFFFFFFFFFF)
        draw_key(&rng, &self.key)
        self.log_largest = log(<double>largest + 0.999)
        self.full_limit = round(full * 65536)

    cdef void gather(self, const uint8_t* info_hash, Crowd* crowd) noexcept nogil:  # R0
        cdef uint64_t size, place
        cdef uint32_t total
        crowd.name = read_be64(info_hash)
        size = mix_words(&self.key, crowd.name, 1)
        place = mix_words(&self.key, crowd.name, 2)
        total = <uint32_t>exp(<double>(size >> 32) / 4294967296.0 * self.log_largest)
        crowd.seeds = <uint32_t>(((size & <uint64_t>0xFFFFFFFF) * (total + 1)) >> 32)
        crowd.others = total - crowd.seeds
        crowd.first = <uint32_t>place & 0xFFFFFF
        crowd.stride = (<uint32_t>(place >> 32) & 0xFFFFFF) | 1

    cdef bint has_heard(self, const Crowd* crowd, uint32_t serial, uint32_t number) noexcept nogil:  # R0
        cdef uint64_t share = mix_words(&self.key, crowd.name ^ serial, 3) & 0xFFFF
        cdef uint64_t draw = mix_words(&self.key, crowd.name, (<uint64_t>serial << 32) | number) >> 48
        return draw < LEAST_HEARD + share * (65536 - LEAST_HEARD) // 65536

    cdef void tell(self, uint32_t serial, const Message* message, Draft* draft) noexcept nogil:  # R0
        """Add filters or peers to an answer to get_peers."""
        cdef Crowd crowd
        cdef uint64_t trait = mix_words(&self.key, serial, 4)
        self.gather(message.target, &crowd)
        if not message.scrape:
            self.write_values(&crowd, serial, draft)
        elif (trait & 0xFFFF) < self.full_limit:
            draft.has_filters = True
            memset(draft.seeds, 0xFF, FILTER_SIZE)
            memset(draft.downloaders, 0xFF, FILTER_SIZE)
        elif ((trait >> 16) & 0xFFFF) < SPEAKERS:
            self.write_filters(&crowd, serial, draft)
        else:
            self.write_values(&crowd, serial, draft)

    cdef void write_filters(self, const Crowd* crowd, uint32_t serial, Draft* draft) noexcept nogil:  # R0
        cdef uint8_t address[4]
        cdef uint8_t* chosen = draft.seeds
        cdef uint32_t i
        draft.has_filters = True
        memset(draft.seeds, 0, FILTER_SIZE)
        memset(draft.downloaders, 0, FILTER_SIZE)
        for i in range(crowd.seeds + crowd.others):
            if i == crowd.seeds:
                chosen = draft.downloaders
            if self.has_heard(crowd, serial, i):
                write_be32(address, address_of(crowd, i))
                set_bits(chosen, filter_bits(address, 4))

    cdef void write_values(self, const Crowd* crowd, uint32_t serial, Draft* draft) noexcept nogil:  # R0
        """The first peers heard of from a place of the node's own on, round the crowd once."""
        cdef uint32_t total = crowd.seeds + crowd.others
        cdef uint32_t start = <uint32_t>(mix_words(&self.key, crowd.name ^ serial, 5) % max(total, <uint32_t>1))
        cdef uint32_t i, number, address, port
        cdef uint8_t* at
        for i in range(total):
            number = (start + i) % total
            if draft.value_count == MAX_VALUES:
                return
            if self.has_heard(crowd, serial, number):
                address = address_of(crowd, number)
                port = 1024 + (address & PORTS)
                at = draft.values + 6 * draft.value_count
                write_be32(at, address)
                at[4] = <uint8_t>(port >> 8)
                at[5] = <uint8_t>port
                draft.value_count += 1

    def record(self, info_hash: bytes) -> bytes:
        """The truth about a torrent: seeds, other peers, the low 24 bits of its first address under 127/8 and the
        stride to each next one, modulo 2^24: four native uint32. The port of each is 1024 + (address & 0x7FFF)."""
        cdef Crowd crowd
        if len(info_hash) != 20:
            raise ValueError(f"infohash is {len(info_hash)} bytes; 20 needed")
        self.gather(info_hash, &crowd)
        return (<const uint8_t*>&crowd)[:CROWD_RECORD_SIZE]
