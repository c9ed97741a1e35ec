"""Infohashes that are generated, not stored, and the samples that nodes give of theirs. Rate class: packet.

The key space is cut into cells of 32 to 64 honest nodes. A cell has a log-normal number of infohashes, each a keyed
hash of its cell and number that carries both, so that it is known by sight. All ids of a cell are closer to its
infohashes than any other id is, so an infohash's holders, the 8 closest honest nodes, are found by looking at one cell.
A sample is a keyed choice that stays the same until the node's interval ends, whoever asks.
Sources: BEP 51 (samples, num, interval); libtorrent for 20 samples and six hours.
"""
from libc.math cimport M_PI, cos, exp, log, sqrt
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy

from fastdht._ext.addresses cimport read_be64, write_be32, write_be64
from fastdht._ext.hashing cimport Rng, mix_words, random_below, seed_rng
from fastdht._ext.swarm_memory cimport swarm_allocate
from fastdht._ext.swarm_population cimport NO_SERIAL, ROLE_HONEST, VirtualNode, draw_key

cdef enum:
    LEAST_CELL_NODES = 32
    NUMBER_BITS = 24            # of an infohash within its cell, where both are one word


cdef class Catalog:
    """About `infohashes` infohashes in the network of `people`; `seed` is a 64-bit int.

    `support`: share of honest nodes that answer sample_infohashes; of the others half refuse it (204), half take it for
    find_node. `sigma`: of the logarithm of a cell's number of infohashes. Raises ValueError when they are too many.
    """

    def __cinit__(self, Population people, seed, infohashes, *, support=0.6, sigma=1.0, interval_s=21600):
        cdef Rng rng
        self.people = people
        nodes = people.first_serial[1]
        self.cell_bits = max(0, (nodes // LEAST_CELL_NODES).bit_length() - 1)
        self.mean_count = infohashes / (1 << self.cell_bits)
        self.sigma = sigma
        self.interval_s = interval_s
        self.support_limit = round(support * 65536)
        self.gathered = ~<uint64_t>0
        if self.mean_count * 8 > MAX_CELL_HASHES:
            raise ValueError(f"{infohashes} infohashes on {nodes} nodes; at most {(1 << self.cell_bits) * 8192}")
        seed_rng(&rng, (seed ^ 0xB0051) & 0xFFFFFFFFFFFFFFFF)
        draw_key(&rng, &self.key)
        self.sampled_s = <uint32_t*>swarm_allocate(<size_t>people.total * sizeof(uint32_t))
        if not self.sampled_s:
            raise MemoryError(f"no memory for {people.total} contacts")

    def __dealloc__(self):
        free(self.sampled_s)

    cdef Support support_of(self, uint32_t serial) noexcept nogil:  # R0
        cdef uint64_t word = mix_words(&self.key, serial, 3)
        if ((word >> 8) & 0xFFFF) < self.support_limit:
            return SUPPORT_SAMPLES
        return SUPPORT_REFUSES if word >> 63 else SUPPORT_NONE

    cdef uint64_t cell_of(self, uint64_t prefix) noexcept nogil:  # R0
        return prefix >> (64 - self.cell_bits) if self.cell_bits else 0

    cdef uint32_t hashes_in(self, uint64_t cell) noexcept nogil:  # R0
        cdef uint64_t word = mix_words(&self.key, cell, 0)
        cdef double radius = sqrt(-2.0 * log((<double>(word >> 32) + 0.5) / 4294967296.0))
        cdef double deviation = radius * cos(2.0 * M_PI * <double>(word & <uint32_t>0xFFFFFFFF) / 4294967296.0)
        cdef double count = self.mean_count * exp(self.sigma * deviation - self.sigma * self.sigma / 2)
        return <uint32_t>min(count + 0.5, <double>MAX_CELL_HASHES)

    cdef uint64_t prefix_of(self, uint64_t cell, uint32_t number) noexcept nogil:  # R0
        cdef uint64_t word = mix_words(&self.key, (cell << NUMBER_BITS) | number, 1)
        if self.cell_bits == 0:
            return word
        return (cell << (64 - self.cell_bits)) | (word >> self.cell_bits)

    cdef void write_hash(self, uint64_t cell, uint32_t number, uint8_t* out) noexcept nogil:  # R0
        write_be64(out, self.prefix_of(cell, number))
        write_be64(out + 8, mix_words(&self.key, (cell << NUMBER_BITS) | number, 2))
        write_be32(out + 16, number)

    cdef bint knows(self, const uint8_t* info_hash) noexcept nogil:  # R0
        """Whether this is an infohash of the network."""
        cdef uint8_t expected[20]
        cdef uint64_t cell = self.cell_of(read_be64(info_hash))
        cdef uint32_t number = <uint32_t>read_be64(info_hash + 12)
        if number >= <uint32_t>MAX_CELL_HASHES or number >= self.hashes_in(cell):
            return False
        self.write_hash(cell, number, expected)
        return memcmp(expected, info_hash, 20) == 0

    cdef void gather(self, uint64_t cell) noexcept nogil:  # R0
        """Note the honest nodes of a cell, in the order of their ids; an old id of a node is not one of them."""
        cdef uint32_t low = 0, high = self.people.listed, i, serial
        cdef const VirtualNode* node
        if cell == self.gathered:
            return
        self.gathered = cell
        self.node_count = 0
        if self.cell_bits:
            self.people.find_range(cell << (64 - self.cell_bits), self.cell_bits, &low, &high)
        for i in range(low, high):
            node = &self.people.nodes[i]
            serial = self.people.serial_of(node.place)
            if (serial == <uint32_t>NO_SERIAL or self.people.role_of(serial) != ROLE_HONEST
                    or self.people.prefix_of(node.place) != node.prefix
                    or self.node_count == <uint32_t>MAX_CELL_NODES):
                continue
            self.prefixes[self.node_count] = node.prefix
            self.serials[self.node_count] = serial
            self.node_count += 1

    cdef uint32_t list_held(self, uint64_t own_prefix) noexcept nogil:  # R0
        """Note the numbers of the infohashes that a node holds; how many they are."""
        cdef uint64_t cell = self.cell_of(own_prefix)
        cdef uint64_t prefix, distance
        cdef uint32_t number, i, closer, held = 0
        self.gather(cell)
        for number in range(self.hashes_in(cell)):
            prefix = self.prefix_of(cell, number)
            distance = own_prefix ^ prefix
            closer = 0
            for i in range(self.node_count):
                closer += (self.prefixes[i] ^ prefix) < distance
            if closer < REPLICAS:
                self.held[held] = number
                held += 1
        return held

    cdef void note_time(self, uint32_t serial, uint64_t now_s) noexcept nogil:  # R0
        """Remember when a node was sampled, and count it when that was too early."""
        cdef uint64_t before = self.sampled_s[serial]
        if before and now_s + 1 < before + self.interval_s:
            self.violations += 1
        self.sampled_s[serial] = <uint32_t>(now_s + 1)

    cdef void take_samples(self, uint32_t serial, uint64_t own_prefix, int64_t now_us, Holding* out) noexcept nogil:  # R0
        """What an honest node tells now; that it was asked is counted."""
        self.note_time(serial, <uint64_t>now_us // 1000000)
        self.sampled += 1
        self.choose_samples(serial, own_prefix, now_us, out)

    cdef void choose_samples(self, uint32_t serial, uint64_t own_prefix, int64_t now_us, Holding* out) noexcept nogil:  # R0
        """The choice changes when the node's interval ends, and nodes' intervals end apart."""
        cdef uint64_t now_s = <uint64_t>now_us // 1000000
        cdef uint64_t phase = mix_words(&self.key, serial, 4) % max(self.interval_s, <uint32_t>1)
        cdef uint64_t cell = self.cell_of(own_prefix)
        cdef uint32_t i, at, number, held = self.list_held(own_prefix)
        cdef uint32_t count = min(held, <uint32_t>MAX_SAMPLES)
        cdef Rng rng
        out.num = held
        out.interval_s = self.interval_s
        out.size = 20 * count
        seed_rng(&rng, mix_words(&self.key, serial, (now_s + phase) // max(self.interval_s, <uint32_t>1) + 5))
        for i in range(count):
            at = i + <uint32_t>random_below(&rng, held - i)
            number = self.held[at]
            self.held[at] = self.held[i]
            self.held[i] = number
            self.write_hash(cell, number, out.samples + 20 * i)

    cdef uint32_t find_holders(self, uint64_t prefix, uint32_t* out) noexcept nogil:
        """The gathered nodes closest to an infohash, as positions, closest first; how many (8 but in a tiny network)."""
        cdef uint64_t distances[REPLICAS]
        cdef uint64_t distance
        cdef uint32_t i, at, count = 0
        for i in range(self.node_count):
            distance = self.prefixes[i] ^ prefix
            if count == <uint32_t>REPLICAS and distance >= distances[count - 1]:
                continue
            at = count if count < <uint32_t>REPLICAS else count - 1
            while at and distances[at - 1] > distance:
                distances[at] = distances[at - 1]
                out[at] = out[at - 1]
                at -= 1
            distances[at] = distance
            out[at] = i
            count = min(count + 1, <uint32_t>REPLICAS)
        return count

    cdef void write_records(self, uint64_t cell, uint32_t count, uint8_t* out) noexcept nogil:
        """The infohashes of a cell: each with its holders (native uint32 serials, all ones where there are fewer) and
        the chance (float) that one sweep of sample_infohashes over all supporting holders shows it."""
        cdef uint32_t holders[REPLICAS]
        cdef uint32_t number, i, found, serial
        cdef float chance
        self.gather(cell)
        for i in range(self.node_count):
            self.nums[i] = 0
        for number in range(count):
            found = self.find_holders(self.prefix_of(cell, number), holders)
            for i in range(found):
                self.nums[holders[i]] += 1
        for number in range(count):
            found = self.find_holders(self.prefix_of(cell, number), holders)
            chance = 1.0
            self.write_hash(cell, number, out)
            for i in range(<uint32_t>REPLICAS):
                serial = self.serials[holders[i]] if i < found else <uint32_t>NO_SERIAL
                memcpy(out + 20 + 4 * i, &serial, 4)
                if i < found and self.support_of(serial) == SUPPORT_SAMPLES:
                    chance *= 1.0 - min(1.0, <double>MAX_SAMPLES / self.nums[holders[i]])
            chance = 1.0 - chance
            memcpy(out + 52, &chance, 4)
            out += HASH_RECORD_SIZE

    def cells(self) -> int:
        """How many cells the key space has."""
        return 1 << self.cell_bits

    def total(self) -> int:
        """How many infohashes there are."""
        return sum(self.hashes_in(cell) for cell in range(self.cells()))

    def records(self, cell: int) -> bytes:
        """The truth about a cell's infohashes, 56 bytes each: infohash (20), the serials of its holders (8 native uint32,
        all ones where there are fewer), and the chance (native float) that a sweep of one question per node shows it."""
        if not 0 <= cell < self.cells():
            raise ValueError(f"cell {cell}; there are {self.cells()}")
        cdef uint64_t chosen = cell
        cdef uint32_t count = self.hashes_in(chosen)
        cdef bytearray out = bytearray(count * HASH_RECORD_SIZE)
        cdef uint8_t* at = out
        with nogil:
            self.write_records(chosen, count, at)
        return bytes(out)

    def support(self, serial: int) -> int:
        """What an honest node makes of sample_infohashes: 0 takes it for find_node, 1 refuses (204), 2 answers."""
        return self.support_of(serial)
