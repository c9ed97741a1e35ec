"""A slab of routing table entries with intrusive hash chains. Rate class: packet.

Chains are keyed: without the seed nobody can choose endpoints that fall into one. An endpoint chain is about one entry
long; another holds the entries of one address, subnet or network, which the table's limits keep few.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.addresses cimport hash_endpoint, read_be32, read_be64, same_endpoint, write_compact
from fastdht._ext.hashing cimport Rng, mix_words, next_random, seed_rng
from fastdht._ext.ids cimport ID_SIZE


cdef class EntrySlab:
    """Room for `capacity` entries of one address family (4 or 6), hashed under `seed`."""

    def __cinit__(self, capacity: int, family: int, seed: int, by_address: bool, by_subnet: bool,
                  by_network: bool):
        cdef Rng rng
        if capacity > MAX_ENTRIES - 1:
            raise ValueError(f"a table of {capacity} entries; at most {MAX_ENTRIES - 1}")
        self.capacity = capacity
        self.family = family
        self.shifts[BY_SUBNET] = 0 if family == 4 else 16
        self.shifts[BY_NETWORK] = 8 if family == 4 else 32
        self.mask = (1 << max(4, capacity.bit_length())) - 1
        self.untouched = 1
        self.in_use[BY_ENDPOINT] = True
        self.in_use[BY_ADDRESS] = by_address
        self.in_use[BY_SUBNET] = by_subnet
        self.in_use[BY_NETWORK] = by_network
        seed_rng(&rng, seed)
        self.key.k0 = next_random(&rng)
        self.key.k1 = next_random(&rng)
        self.entries = <Entry*>calloc(self.capacity + 1, sizeof(Entry))
        self.heads = <uint16_t*>calloc(CHAIN_COUNT * (self.mask + 1), sizeof(uint16_t))
        if self.entries == NULL or self.heads == NULL:
            raise MemoryError(f"a table of {capacity} entries needs {capacity * sizeof(Entry)} bytes")

    def __dealloc__(self):
        free(self.entries)
        free(self.heads)

    cdef uint16_t take(self, const Contact* contact, int64_t now_us) noexcept nogil:  # R0
        cdef uint16_t entry = self.free_first
        cdef uint16_t* head
        cdef Entry* e
        cdef int chain
        if entry != NO_ENTRY:
            self.free_first = self.entries[entry].next[0]
        elif self.untouched <= self.capacity:
            entry = <uint16_t>self.untouched
            self.untouched += 1
        else:
            return NO_ENTRY
        e = &self.entries[entry]
        memset(e, 0, sizeof(Entry))
        e.endpoint = contact.endpoint
        e.id_high = read_be64(contact.id)
        e.id_middle = read_be64(contact.id + 8)
        e.id_low = read_be32(contact.id + 16)
        e.seen_us = now_us
        memcpy(e.compact, contact.id, ID_SIZE)
        write_compact(&contact.endpoint, e.compact + ID_SIZE)
        for chain in range(CHAIN_COUNT):
            if self.in_use[chain]:
                head = self.head_of(chain, &e.endpoint)
                e.next[chain] = head[0]
                head[0] = entry
        self.count += 1
        return entry

    cdef void release(self, uint16_t entry) noexcept nogil:  # R0
        cdef Entry* e = &self.entries[entry]
        cdef uint16_t* link
        cdef int chain
        for chain in range(CHAIN_COUNT):
            if self.in_use[chain]:
                link = self.head_of(chain, &e.endpoint)
                while link[0] != entry:
                    link = &self.entries[link[0]].next[chain]
                link[0] = e.next[chain]
        e.role = ROLE_FREE
        e.next[0] = self.free_first
        self.free_first = entry
        self.count -= 1

    cdef uint16_t find(self, const Endpoint* endpoint) noexcept nogil:  # R0
        cdef uint16_t entry = self.head_of(BY_ENDPOINT, endpoint)[0]
        while entry != NO_ENTRY and not same_endpoint(&self.entries[entry].endpoint, endpoint):
            entry = self.entries[entry].next[BY_ENDPOINT]
        return entry

    cdef uint16_t find_address(self, const Endpoint* endpoint) noexcept nogil:  # R0
        cdef uint16_t entry = self.head_of(BY_ADDRESS, endpoint)[0]
        while entry != NO_ENTRY and address_word(&self.entries[entry].endpoint) != address_word(endpoint):
            entry = self.entries[entry].next[BY_ADDRESS]
        return entry

    cdef uint16_t first_like(self, int chain, const Endpoint* endpoint) noexcept nogil:  # R0
        """The first entry of a subnet or network, or NO_ENTRY."""
        return self.skip_others(chain, self.head_of(chain, endpoint)[0], self.prefix_of(chain, endpoint))

    cdef uint16_t next_like(self, int chain, uint16_t entry) noexcept nogil:  # R0
        cdef Entry* e = &self.entries[entry]
        return self.skip_others(chain, e.next[chain], self.prefix_of(chain, &e.endpoint))

    cdef uint16_t skip_others(self, int chain, uint16_t entry, uint64_t prefix) noexcept nogil:  # R0
        while entry != NO_ENTRY and self.prefix_of(chain, &self.entries[entry].endpoint) != prefix:
            entry = self.entries[entry].next[chain]
        return entry

    cdef uint16_t* head_of(self, int chain, const Endpoint* endpoint) noexcept nogil:  # R0
        cdef uint64_t h
        if chain == BY_ENDPOINT:
            h = hash_endpoint(&self.key, endpoint)
        elif chain == BY_ADDRESS:
            h = mix_words(&self.key, address_word(endpoint), BY_ADDRESS)
        else:
            h = mix_words(&self.key, self.prefix_of(chain, endpoint), chain)
        return &self.heads[chain * (self.mask + 1) + (<uint32_t>h & self.mask)]

    cdef uint64_t prefix_of(self, int chain, const Endpoint* endpoint) noexcept nogil:  # R0
        return subnet_of(endpoint) >> self.shifts[chain]


cdef bint has_id(const Entry* entry, const uint8_t* node_id) noexcept nogil:  # R0
    return memcmp(entry.compact, node_id, ID_SIZE) == 0
