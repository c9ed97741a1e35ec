"""Builds the virtual network's contacts and finds them by place, id prefix or popularity.

Rate class: packet (look-ups), command (building: about 0.3 µs a contact).
Invariants: nodes are sorted by prefix; serial_of(place_of(s)) == s; an id depends on the seed and the place alone.
Source: BEP 42 for the ids; M. Luby, C. Rackoff, "How to construct pseudorandom permutations" (1988) for the addresses.
"""
from libc.math cimport M_PI, cos, exp, log, sqrt
from libc.stdlib cimport free

from fastdht._ext.addresses cimport FAMILY_V4, Endpoint, write_be32, write_be64
from fastdht._ext.hashing cimport Rng, mix_words, next_random, seed_rng
from fastdht._ext.ids cimport is_secure_id, secure_prefix
from fastdht._ext.swarm_memory cimport swarm_allocate

ROLE_NAMES = ("honest", "dead", "ring", "invented-id", "same-id", "bogons", "reflector", "id-mirror", "wrong-tid",
              "other-port", "big-reply", "many-nodes", "ragged", "unsorted", "deep", "two-replies", "limited",
              "huge-num", "odd-interval", "ragged-samples", "invented-samples", "repeated-samples", "many-ids")

cdef bint role_answers[ROLE_COUNT]
role_answers[:] = [name not in ("dead", "invented-id", "reflector", "id-mirror", "wrong-tid", "other-port")
                   for name in ROLE_NAMES]


cdef void draw_key(Rng* rng, HashKey* key) noexcept nogil:
    key.k0 = next_random(rng)
    key.k1 = next_random(rng)


cdef class Population:
    """All contacts of one virtual network.

    `counts` gives the number of contacts of each role, in the order of ROLE_NAMES; `seed` is a 64-bit int; the
    addresses are the 127.x.y.z under `net_base` (its low 24 bits) with `net_bits` host bits, an even number of 8 to
    24. `stale` listed entries carry an old id of an honest node; `sessions` says who comes and goes. Raises ValueError
    when they do not fit.
    """

    def __cinit__(self, counts, seed, base_port, *, net_base=0, net_bits=HOST_BITS, secure_share=1.0, sigma=0.0,
                  stale=0, ids_per_ip=200, same_id_group=1000, Sessions sessions=None):
        check_shape(counts, net_bits, net_base)
        self.base_port = base_port
        self.net_base = net_base
        self.net_mask = (1 << net_bits) - 1
        self.half_bits = net_bits // 2
        self.net_capacity = self.net_mask - RESERVED_LOW
        self.ids_per_ip = ids_per_ip
        self.same_id_group = same_id_group
        self.secure_limit = round(secure_share * 65536)
        self.stale = stale
        self.sigma = sigma
        self.sessions = sessions
        self.number_contacts(counts)
        self.derive_keys(seed)
        self.allocate()
        with nogil:
            self.fill_nodes()
            if self.sigma > 0:
                self.fill_weights()

    def __dealloc__(self):
        free(self.nodes)
        free(self.cells)
        free(self.guide)

    cdef int number_contacts(self, counts) except -1:
        """Hand out the serials and settle how many ports they need."""
        serial = 0
        for role, count in enumerate(counts):
            self.first_serial[role] = serial
            serial += count
        self.first_serial[ROLE_COUNT] = serial
        self.total = serial
        self.plain_total = self.first_serial[ROLE_MANY_IDS]
        self.plain_ports = max(1, (self.plain_total + self.net_capacity - 1) // self.net_capacity)
        self.ports = self.plain_ports + (self.ids_per_ip if self.plain_total < self.total else 0)
        if self.ports > MAX_PORTS:
            raise ValueError(f"{serial} contacts need {self.ports} ports; at most {MAX_PORTS}")
        if self.base_port + self.ports - 1 > 65535:
            raise ValueError(f"port {self.base_port} and the {self.ports - 1} above it pass 65535")
        return 0

    cdef int derive_keys(self, seed) except -1:
        """One key for each use, so that no two choices are correlated."""
        cdef Rng rng
        seed_rng(&rng, seed & 0xFFFFFFFFFFFFFFFF)
        draw_key(&rng, &self.id_key)
        draw_key(&rng, &self.place_key)
        draw_key(&rng, &self.weight_key)
        draw_key(&rng, &self.stale_key)
        return 0

    cdef int allocate(self) except -1:
        """Take all memory: 20 bytes a contact, 24 with unequal popularity."""
        cdef uint32_t serial
        cdef uint32_t same = self.first_serial[ROLE_SAME_ID + 1] - self.first_serial[ROLE_SAME_ID]
        self.listed = self.total + self.stale - same + (same + self.same_id_group - 1) // self.same_id_group
        self.cell_bits = max(1, int(self.listed).bit_length() - 1)
        self.guide_shift = 32 - self.cell_bits
        self.nodes = <VirtualNode*>swarm_allocate(<size_t>(self.listed + 1) * sizeof(VirtualNode))
        self.cells = <uint32_t*>swarm_allocate(((<size_t>1 << self.cell_bits) + 2) * sizeof(uint32_t))
        if self.sigma > 0:
            self.guide = <uint32_t*>swarm_allocate(((<size_t>1 << self.cell_bits) + 2) * sizeof(uint32_t))
        if not self.nodes or not self.cells or (self.sigma > 0 and not self.guide):
            raise MemoryError(f"no memory for {self.total} contacts")
        return 0

    cdef uint32_t permute(self, uint32_t x) noexcept nogil:  # R0
        """A keyed permutation of the usable addresses: reserved outcomes are walked past (a cycle, so it ends)."""
        cdef int i
        cdef uint32_t half = (<uint32_t>1 << self.half_bits) - 1
        cdef uint32_t left, right, swap
        while True:
            left = x >> self.half_bits
            right = x & half
            for i in range(4):
                swap = left ^ (<uint32_t>mix_words(&self.place_key, right, i) & half)
                left = right
                right = swap
            x = (left << self.half_bits) | right
            if x >= RESERVED_LOW and x != self.net_mask:
                return x

    cdef uint32_t unpermute(self, uint32_t x) noexcept nogil:  # R0
        cdef int i
        cdef uint32_t half = (<uint32_t>1 << self.half_bits) - 1
        cdef uint32_t left, right, swap
        while True:
            left = x >> self.half_bits
            right = x & half
            for i in range(3, -1, -1):
                swap = right ^ (<uint32_t>mix_words(&self.place_key, left, i) & half)
                right = left
                left = swap
            x = (left << self.half_bits) | right
            if x >= RESERVED_LOW and x != self.net_mask:
                return x

    cdef uint32_t place_of(self, uint32_t serial) noexcept nogil:  # R0
        cdef uint32_t port, slot
        if serial < self.plain_total:
            port = serial // self.net_capacity
            slot = serial % self.net_capacity
        else:
            serial -= self.plain_total
            port = self.plain_ports + serial % self.ids_per_ip
            slot = self.net_capacity - 1 - serial // self.ids_per_ip
        return (port << HOST_BITS) | self.net_base | self.permute(slot + RESERVED_LOW)

    cdef uint32_t serial_of(self, uint32_t place) noexcept nogil:  # R0
        """The contact at a place, or NO_SERIAL."""
        cdef uint32_t port = place >> HOST_BITS
        cdef uint32_t host = (place & 0xFFFFFF) ^ self.net_base
        cdef uint64_t serial
        if host > self.net_mask or host < RESERVED_LOW or host == self.net_mask:
            return NO_SERIAL
        host = self.unpermute(host) - RESERVED_LOW
        if port < self.plain_ports:
            serial = <uint64_t>port * self.net_capacity + host
            return <uint32_t>serial if serial < self.plain_total else NO_SERIAL
        port -= self.plain_ports
        serial = self.plain_total + <uint64_t>(self.net_capacity - 1 - host) * self.ids_per_ip + port
        return <uint32_t>serial if port < self.ids_per_ip and serial < self.total else NO_SERIAL

    cdef Role role_of(self, uint32_t serial) noexcept nogil:  # R0
        cdef int role
        for role in range(1, ROLE_COUNT):
            if serial < self.first_serial[role]:
                return <Role>(role - 1)
        return ROLE_MANY_IDS

    cdef uint32_t identity_place(self, uint32_t serial, uint32_t place) noexcept nogil:  # R0
        """The place an id is derived from: a contact's own, but for those that share one id their first one's."""
        cdef uint32_t first = self.first_serial[ROLE_SAME_ID]
        if first <= serial < self.first_serial[ROLE_SAME_ID + 1]:
            return self.place_of(serial - (serial - first) % self.same_id_group)
        return place

    cdef bint is_unlisted(self, uint32_t serial) noexcept nogil:  # R0
        cdef uint32_t first = self.first_serial[ROLE_SAME_ID]
        return (first <= serial < self.first_serial[ROLE_SAME_ID + 1]
                and (serial - first) % self.same_id_group != 0)

    cdef uint64_t prefix_of(self, uint32_t place) noexcept nogil:  # R0
        """The first 8 bytes of the id at a place; BEP 42 rules its top 21 bits if the place is of the secure share."""
        cdef Endpoint endpoint
        cdef uint64_t last = mix_words(&self.id_key, place, 3)
        cdef uint64_t prefix = mix_words(&self.id_key, place, 1)
        if ((last >> 32) & 0xFFFF) >= self.secure_limit:
            return prefix
        endpoint.high = 0
        endpoint.low = <uint32_t>0x7F000000 | (place & 0xFFFFFF)
        endpoint.port = 0
        endpoint.family = FAMILY_V4
        endpoint.spare = 0
        return (<uint64_t>(secure_prefix(&endpoint, <uint8_t>last) >> 11) << 43) | (prefix & ((<uint64_t>1 << 43) - 1))

    cdef void write_tail(self, uint32_t place, uint8_t* out) noexcept nogil:  # R0
        """The last 12 bytes of the id at a place."""
        write_be64(out, mix_words(&self.id_key, place, 2))
        write_be32(out + 8, <uint32_t>mix_words(&self.id_key, place, 3))

    cdef void write_id(self, uint32_t serial, uint32_t place, uint8_t* out) noexcept nogil:  # R0
        """The id that the contact with this serial, which is at this place, answers with."""
        place = self.identity_place(serial, place)
        write_be64(out, self.prefix_of(place))
        self.write_tail(place, out + 8)

    cdef void write_contact(self, const VirtualNode* node, uint8_t* out) noexcept nogil:  # R0
        """A listed contact as 26 compact bytes (BEP 5). A stale one has an old prefix and its owner's tail."""
        cdef uint32_t port = self.base_port + (node.place >> HOST_BITS)
        write_be64(out, node.prefix)
        self.write_tail(node.place, out + 8)
        write_be32(out + 20, <uint32_t>0x7F000000 | (node.place & 0xFFFFFF))
        out[24] = <uint8_t>(port >> 8)
        out[25] = <uint8_t>port

    cdef void write_serial(self, uint32_t serial, uint8_t* out) noexcept nogil:  # R0
        """Any contact as 26 compact bytes."""
        cdef uint32_t place = self.place_of(serial)
        cdef uint32_t port = self.base_port + (place >> HOST_BITS)
        self.write_id(serial, place, out)
        write_be32(out + 20, <uint32_t>0x7F000000 | (place & 0xFFFFFF))
        out[24] = <uint8_t>(port >> 8)
        out[25] = <uint8_t>port

    cdef void find_range(self, uint64_t prefix, int bits, uint32_t* low, uint32_t* high) noexcept nogil:  # R0
        """The entries whose ids share the first `bits` (1 … 64) of prefix: nodes[low … high-1]."""
        cdef uint64_t cell = prefix >> (64 - self.cell_bits)
        cdef uint64_t last
        if bits <= self.cell_bits:
            cell = (prefix >> (64 - bits)) << (self.cell_bits - bits)
            low[0] = self.cells[cell]
            high[0] = self.cells[cell + (<uint64_t>1 << (self.cell_bits - bits))]
            return
        last = prefix | (~<uint64_t>0 >> bits if bits < 64 else 0)
        prefix = last ^ (~<uint64_t>0 >> bits if bits < 64 else 0)
        low[0] = self.cells[cell]
        while low[0] < self.cells[cell + 1] and self.nodes[low[0]].prefix < prefix:
            low[0] += 1
        high[0] = low[0]
        while high[0] < self.cells[cell + 1] and self.nodes[high[0]].prefix <= last:
            high[0] += 1

    cdef uint64_t weight_at(self, uint32_t rank) noexcept nogil:  # R0
        return self.weight_total if rank >= self.listed else self.nodes[rank].weight_before

    cdef uint32_t find_weight(self, uint32_t weight) noexcept nogil:  # R0
        """The last entry whose weight_before is at most `weight`."""
        cdef uint32_t cell = weight >> self.guide_shift
        cdef uint32_t low = self.guide[cell]
        cdef uint32_t high = self.guide[cell + 1]
        cdef uint32_t middle
        while low < high:
            middle = (low + high) >> 1
            if self.nodes[middle].weight_before <= weight:
                low = middle + 1
            else:
                high = middle
        return low - 1

    cdef bint load_entry(self, uint32_t entry, VirtualNode* out) noexcept nogil:
        """The entry-th contact to list; past `total` come the stale ones, spread evenly over the honest."""
        cdef uint32_t serial = entry
        if entry >= self.total:
            serial = <uint32_t>(<uint64_t>(entry - self.total) * self.first_serial[1] // self.stale)
            out.place = self.place_of(serial)
            out.prefix = mix_words(&self.stale_key, out.place, 1)
        elif self.is_unlisted(serial):
            return False
        else:
            out.place = self.place_of(serial)
            out.prefix = self.prefix_of(out.place)
        out.weight_before = 0
        return True

    cdef void fill_nodes(self) noexcept nogil:
        """Counting sort by cell, then insertion sort inside each."""
        cdef uint32_t entry
        cdef uint64_t cell, cell_count = <uint64_t>1 << self.cell_bits
        cdef int shift = 64 - self.cell_bits
        cdef VirtualNode node
        for entry in range(self.total + self.stale):
            if self.load_entry(entry, &node):
                self.cells[(node.prefix >> shift) + 2] += 1
        for cell in range(2, cell_count + 1):
            self.cells[cell + 1] += self.cells[cell]
        for entry in range(self.total + self.stale):
            if self.load_entry(entry, &node):
                cell = (node.prefix >> shift) + 1
                self.nodes[self.cells[cell]] = node
                self.cells[cell] += 1
        for cell in range(cell_count):
            self.sort_cell(self.cells[cell], self.cells[cell + 1])

    cdef void sort_cell(self, uint32_t low, uint32_t high) noexcept nogil:
        cdef uint32_t i, at
        cdef VirtualNode node
        for i in range(low + 1, high):
            node = self.nodes[i]
            at = i
            while at > low and self.nodes[at - 1].prefix > node.prefix:
                self.nodes[at] = self.nodes[at - 1]
                at -= 1
            self.nodes[at] = node

    cdef void fill_weights(self) noexcept nogil:
        """Popularity summed into 32 bits; each contact adds at least 1, so that none is impossible."""
        cdef uint32_t i
        cdef uint64_t cell
        cdef double total = 0.0
        cdef double running = 0.0
        cdef double scale
        for i in range(self.listed):
            total += self.weight_of(i)
        scale = (4294967295.0 - self.listed) / total
        for i in range(self.listed):
            self.nodes[i].weight_before = <uint32_t>(running * scale) + i
            running += self.weight_of(i)
        self.weight_total = <uint32_t>0xFFFFFFFF
        self.full_weight = <uint32_t>scale
        i = 0
        for cell in range((<uint64_t>1 << self.cell_bits) + 1):
            while i < self.listed and self.nodes[i].weight_before < cell << self.guide_shift:
                i += 1
            self.guide[cell] = i

    cdef double weight_of(self, uint32_t rank) noexcept nogil:
        """Log-normal below its median; the older half is equally well known."""
        cdef uint64_t word = mix_words(&self.weight_key, self.nodes[rank].prefix, self.nodes[rank].place)
        cdef double radius = sqrt(-2.0 * log((<double>(word >> 32) + 0.5) / 4294967296.0))
        cdef double deviation = radius * cos(2.0 * M_PI * <double>(word & <uint32_t>0xFFFFFFFF) / 4294967296.0)
        return exp(self.sigma * min(deviation, 0.0))

    cdef void write_record(self, uint32_t serial, uint8_t* out) noexcept nogil:
        cdef uint8_t contact[26]
        cdef Endpoint endpoint
        cdef int i
        cdef Role role = self.role_of(serial)
        cdef bint churns = self.sessions is not None and role == ROLE_HONEST and self.sessions.churns(serial)
        self.write_serial(serial, contact)
        endpoint.high = 0
        endpoint.low = <uint32_t>0x7F000000 | (self.place_of(serial) & 0xFFFFFF)
        endpoint.port = 0
        endpoint.family = FAMILY_V4
        endpoint.spare = 0
        for i in range(6):
            out[i] = contact[20 + i]
        for i in range(20):
            out[6 + i] = contact[i]
        out[26] = ((TRUTH_REACHABLE if role == ROLE_HONEST and not churns else 0) | (TRUTH_ANSWERS if role_answers[role] else 0)
                   | (TRUTH_BEP42 if is_secure_id(contact, &endpoint) else 0)
                   | (0 if self.is_unlisted(serial) else TRUTH_LISTED) | (TRUTH_CHURNS if churns else 0))
        out[27] = <uint8_t>role

    def truth_records(self, start: int, count: int) -> bytes:
        """Records of `count` contacts from serial `start`, 28 bytes each: ip 4, port 2, id 20, flags 1, role 1."""
        cdef uint32_t serial, first = start, last = min(start + count, self.total)
        cdef bytearray out = bytearray((last - first) * RECORD_SIZE)
        cdef uint8_t* at = out
        with nogil:
            for serial in range(first, last):
                self.write_record(serial, at + <size_t>(serial - first) * RECORD_SIZE)
        return bytes(out)

    def serial_at(self, host: int, port: int) -> int:
        """The serial of the contact at 127.0.0.0 + `host` and UDP `port`, or -1."""
        if not 0 <= host < 1 << HOST_BITS or not 0 <= port - self.base_port < self.ports:
            return -1
        cdef uint32_t serial = self.serial_of((<uint32_t>(port - self.base_port) << HOST_BITS) | <uint32_t>host)
        return -1 if serial == <uint32_t>NO_SERIAL else serial


cdef int check_shape(counts, net_bits, net_base) except -1:
    """Raise ValueError unless the counts and the net make sense."""
    if len(counts) != ROLE_COUNT:
        raise ValueError(f"{len(counts)} role counts; {ROLE_COUNT} needed")
    if any(count < 0 for count in counts) or not 1 <= counts[0] or sum(counts) > 0x7FFFFFFF:
        raise ValueError(f"{sum(counts)} contacts, {counts[0]} of them honest; 1 to {0x7FFFFFFF}")
    if net_bits % 2 or not 8 <= net_bits <= HOST_BITS:
        raise ValueError(f"net has {net_bits} host bits; an even number of 8 to {HOST_BITS} needed")
    if net_base & ((1 << net_bits) - 1) or not 0 <= net_base < 1 << HOST_BITS:
        raise ValueError(f"net base {net_base:#x} is no /{32 - net_bits} of 127.0.0.0/8")
    return 0
