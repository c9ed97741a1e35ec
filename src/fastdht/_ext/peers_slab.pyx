"""Records of peers in chunks, swarms in hash chains, sources in sketches. Rate class: packet.

Invariants: a swarm in use holds a peer (between calls of PeerStore); its records are without gaps; the sketches count
each (ip, info-hash) and (subnet, info-hash) pair once. A sketch may count too high when two sources share both of
their cells, never too low. Memory is taken once and touched only as it is needed.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.addresses cimport FAMILY_V4, load_compact, read_be32, read_be64, write_compact
from fastdht._ext.hashing cimport mix_words
from fastdht._ext.ids cimport ID_SIZE


cdef class PeerSlab:
    """The storage under PeerStore; not made on its own."""

    cdef int allocate(self, uint32_t max_info_hashes, uint32_t max_peers, uint32_t peers_per_info_hash) except -1:
        cdef uint32_t cells = 1 << max(10, int(max_peers).bit_length())
        cdef uint32_t heads = 1 << int(max_info_hashes).bit_length()
        cdef size_t chunks = max_peers // CHUNK + max_info_hashes + 1   # every swarm may leave one unfilled
        cdef size_t lists
        cdef int i
        self.prefix_size, self.ip_size, self.subnet_size = (2, 4, 3) if self.family == 4 else (3, 16, 8)
        self.element_size = self.prefix_size + self.ip_size + 2
        self.chunks_per_swarm = (peers_per_info_hash + CHUNK - 1) // CHUNK
        self.head_mask = heads - 1
        self.untouched_swarm = 1
        self.ips.mask = self.subnets.mask = cells - 1
        lists = (<size_t>max_info_hashes + 1) * self.chunks_per_swarm
        self.peers = <Peer*>calloc(chunks * CHUNK, sizeof(Peer))
        self.free_chunks = <uint32_t*>calloc(chunks, sizeof(uint32_t))
        self.swarms = <Swarm*>calloc(<size_t>max_info_hashes + 1, sizeof(Swarm))
        self.chunk_lists = <uint32_t*>calloc(lists, sizeof(uint32_t))
        self.heads = <uint32_t*>calloc(heads, sizeof(uint32_t))
        self.order = <uint32_t*>calloc(max_info_hashes, sizeof(uint32_t))
        for i in range(2):
            self.ips.rows[i] = <uint32_t*>calloc(cells, sizeof(uint32_t))
            self.subnets.rows[i] = <uint32_t*>calloc(cells, sizeof(uint32_t))
        if (self.peers == NULL or self.free_chunks == NULL or self.swarms == NULL or self.chunk_lists == NULL
                or self.heads == NULL or self.order == NULL or self.ips.rows[0] == NULL or self.ips.rows[1] == NULL
                or self.subnets.rows[0] == NULL or self.subnets.rows[1] == NULL):
            raise MemoryError(f"a store of {max_peers} peers needs {chunks * CHUNK * sizeof(Peer)} bytes")
        return 0

    def __dealloc__(self):
        cdef int i
        free(self.peers)
        free(self.free_chunks)
        free(self.swarms)
        free(self.chunk_lists)
        free(self.heads)
        free(self.order)
        for i in range(2):
            free(self.ips.rows[i])
            free(self.subnets.rows[i])

    # -- swarms ---------------------------------------------------------------------------------------------------

    cdef uint32_t find_swarm(self, const uint8_t* info_hash) noexcept nogil:  # R0
        cdef uint32_t swarm = self.head_of(info_hash)[0]
        while swarm != NO_SWARM and memcmp(self.swarms[swarm].info_hash, info_hash, ID_SIZE) != 0:
            swarm = self.swarms[swarm].next
        return swarm

    cdef uint32_t open_swarm(self, const uint8_t* info_hash) noexcept nogil:  # R0
        cdef uint32_t* head = self.head_of(info_hash)
        cdef uint32_t swarm = self.free_swarm
        if swarm != NO_SWARM:
            self.free_swarm = self.swarms[swarm].next
        else:
            swarm = self.untouched_swarm
            self.untouched_swarm += 1
        memset(&self.swarms[swarm], 0, sizeof(Swarm))
        memcpy(self.swarms[swarm].info_hash, info_hash, ID_SIZE)
        self.swarms[swarm].next = head[0]
        self.swarms[swarm].position = self.info_hash_count
        head[0] = swarm
        self.order[self.info_hash_count] = swarm
        self.info_hash_count += 1
        return swarm

    cdef void close_swarm(self, uint32_t swarm) noexcept nogil:  # R0
        cdef Swarm* s = &self.swarms[swarm]
        cdef uint32_t* link = self.head_of(s.info_hash)
        while link[0] != swarm:
            link = &self.swarms[link[0]].next
        link[0] = s.next
        self.info_hash_count -= 1
        self.order[s.position] = self.order[self.info_hash_count]
        self.swarms[self.order[s.position]].position = s.position
        s.next = self.free_swarm
        self.free_swarm = swarm

    cdef uint32_t* head_of(self, const uint8_t* info_hash) noexcept nogil:  # R0
        cdef uint64_t h = mix_words(&self.key, read_be64(info_hash), read_be64(info_hash + 8))
        return &self.heads[<uint32_t>h & self.head_mask]

    # -- peers ----------------------------------------------------------------------------------------------------

    cdef Peer* peer_at(self, uint32_t swarm, uint32_t index) noexcept nogil:  # R0
        cdef uint32_t chunk = self.chunk_lists[<size_t>swarm * self.chunks_per_swarm + (index >> CHUNK_SHIFT)]
        return &self.peers[<size_t>chunk * CHUNK + (index & (CHUNK - 1))]

    cdef void survey(self, uint32_t swarm, const Peer* peer, Survey* out) noexcept nogil:  # R0
        cdef uint32_t i, oldest = no_peer()
        cdef const uint8_t* address = peer.element + self.prefix_size
        cdef Peer* other
        out.same = out.oldest_of_ip = out.oldest_of_subnet = out.oldest = no_peer()
        out.of_ip = out.of_subnet = 0
        if swarm == NO_SWARM:
            return
        for i in range(self.swarms[swarm].count):
            other = self.peer_at(swarm, i)
            if out.oldest == no_peer() or other.seen_us < self.peer_at(swarm, out.oldest).seen_us:
                out.oldest = i
            if not self.shares_subnet(other, peer):
                continue
            out.of_subnet += 1
            if out.oldest_of_subnet == no_peer() or other.seen_us < self.peer_at(swarm, out.oldest_of_subnet).seen_us:
                out.oldest_of_subnet = i
            if memcmp(other.element + self.prefix_size, address, self.ip_size) != 0:
                continue
            out.of_ip += 1
            if out.oldest_of_ip == no_peer() or other.seen_us < self.peer_at(swarm, out.oldest_of_ip).seen_us:
                out.oldest_of_ip = i
            if memcmp(other.element, peer.element, self.element_size) == 0:
                out.same = i

    cdef bint shares_subnet(self, const Peer* a, const Peer* b) noexcept nogil:  # R0
        if self.family == FAMILY_V4:
            return (read_be32(a.element + 2) ^ read_be32(b.element + 2)) < 256
        return read_be64(a.element + 3) == read_be64(b.element + 3)

    cdef void append(self, uint32_t swarm, const Peer* peer, const Survey* survey) noexcept nogil:  # R0
        """Add a record that is not yet there, as the survey tells; the swarm and the store must have room."""
        cdef Swarm* s = &self.swarms[swarm]
        cdef uint32_t chunk
        self.count_source(peer, survey.of_ip == 0, survey.of_subnet == 0, 1)
        if s.count & (CHUNK - 1) == 0:
            if self.free_chunk_count:
                self.free_chunk_count -= 1
                chunk = self.free_chunks[self.free_chunk_count]
            else:
                chunk = self.untouched_chunk
                self.untouched_chunk += 1
            self.chunk_lists[<size_t>swarm * self.chunks_per_swarm + (s.count >> CHUNK_SHIFT)] = chunk
        s.count += 1
        s.seeds += is_seeding(peer)
        s.seen_us = max(s.seen_us, peer.seen_us) if s.count > 1 else peer.seen_us
        self.peer_at(swarm, s.count - 1)[0] = peer[0]
        self.peer_count += 1

    cdef void replace(self, uint32_t swarm, uint32_t index, const Peer* peer) noexcept nogil:  # R0
        """Overwrite a record with a later one of the same ip and port."""
        self.swarms[swarm].seeds += is_seeding(peer)
        self.swarms[swarm].seeds -= is_seeding(self.peer_at(swarm, index))
        self.swarms[swarm].seen_us = max(self.swarms[swarm].seen_us, peer.seen_us)
        self.peer_at(swarm, index)[0] = peer[0]

    cdef void remove(self, uint32_t swarm, uint32_t index) noexcept nogil:  # R0
        """Remove a record; the last of the swarm takes its index."""
        cdef Swarm* s = &self.swarms[swarm]
        cdef Peer* peer = self.peer_at(swarm, index)
        cdef Survey survey
        self.survey(swarm, peer, &survey)
        self.count_source(peer, survey.of_ip == 1, survey.of_subnet == 1, -1)
        s.seeds -= is_seeding(peer)
        peer[0] = self.peer_at(swarm, s.count - 1)[0]
        s.count -= 1
        self.peer_count -= 1
        if s.count & (CHUNK - 1) == 0:
            self.free_chunks[self.free_chunk_count] = self.chunk_lists[
                <size_t>swarm * self.chunks_per_swarm + (s.count >> CHUNK_SHIFT)]
            self.free_chunk_count += 1

    cdef void make_record(self, const Endpoint* peer, bint seeds, int64_t now_us, Peer* out) noexcept nogil:  # R0
        memset(out, 0, sizeof(Peer))
        memcpy(out.element, <const char*>b"6:" if self.family == FAMILY_V4 else <const char*>b"18:", self.prefix_size)
        write_compact(peer, out.element + self.prefix_size)
        out.marks[0] = 1 if seeds else 0
        out.seen_us = now_us

    # -- sources --------------------------------------------------------------------------------------------------

    cdef uint32_t info_hashes_of(self, const Sketch* sketch, const Peer* peer) noexcept nogil:  # R0
        cdef uint64_t h = self.hash_prefix(peer, self.ip_size if sketch == &self.ips else self.subnet_size)
        return min(sketch.rows[0][<uint32_t>h & sketch.mask], sketch.rows[1][<uint32_t>(h >> 32) & sketch.mask])

    cdef void count_source(self, const Peer* peer, bint ip, bint subnet, int step) noexcept nogil:  # R0
        """Count an info-hash more or less for the peer's ip and for its subnet."""
        if ip:
            bump(&self.ips, self.hash_prefix(peer, self.ip_size), step)
        if subnet:
            bump(&self.subnets, self.hash_prefix(peer, self.subnet_size), step)

    cdef uint64_t hash_prefix(self, const Peer* peer, uint32_t size) noexcept nogil:  # R0
        cdef uint64_t words[2]
        words[0] = words[1] = 0
        memcpy(words, peer.element + self.prefix_size, size)
        return mix_words(&self.key, words[0], words[1])

    # -- for tests and tools --------------------------------------------------------------------------------------

    def info_hashes(self) -> list[bytes]:
        """Every info-hash that has peers."""
        return [self.swarms[self.order[i]].info_hash[:ID_SIZE] for i in range(self.info_hash_count)]

    def peers_of(self, info_hash: bytes) -> list[tuple[bytes, bool, int]]:
        """All records of a 20-byte info-hash, expired ones too: compact peer, whether a seed, last announce in µs."""
        cdef Peer* peer
        check_info_hash(info_hash)
        cdef uint32_t swarm = self.find_swarm(info_hash)
        found = []
        for i in range(self.swarms[swarm].count):
            peer = self.peer_at(swarm, i)
            found.append((peer.element[self.prefix_size:self.element_size], bool(is_seeding(peer)), peer.seen_us))
        return found

    def info_hashes_from(self, packed: bytes) -> tuple[int, int]:
        """In how many info-hashes a compact peer's ip is counted, and its subnet."""
        cdef Endpoint endpoint
        cdef Peer record
        load_compact(packed, &endpoint)
        self.make_record(&endpoint, False, 0, &record)
        return self.info_hashes_of(&self.ips, &record), self.info_hashes_of(&self.subnets, &record)

    def check_invariants(self) -> None:
        """Raise AssertionError unless every swarm is found, none is empty, and all counts are true."""
        cdef uint32_t swarm, total = 0, chunks = 0
        cdef Swarm* s
        info_hashes = self.info_hashes()
        require(len(set(info_hashes)) == len(info_hashes), "an info-hash stands twice")
        for i, info_hash in enumerate(info_hashes):
            swarm = self.find_swarm(info_hash)
            s = &self.swarms[swarm]
            records = self.peers_of(info_hash)
            require(self.order[i] == swarm and s.position == i, f"swarm {swarm} is not found")
            require(0 < s.count <= self.chunks_per_swarm * CHUNK, f"swarm {swarm} has {s.count} peers")
            require(len({packed for packed, _, _ in records}) == s.count, f"swarm {swarm} has a peer twice")
            require(sum(is_seed for _, is_seed, _ in records) == s.seeds, f"swarm {swarm} miscounts its seeds")
            require(max(seen for _, _, seen in records) <= s.seen_us, f"swarm {swarm} is younger than a peer of it")
            total += s.count
            chunks += (s.count + CHUNK - 1) // CHUNK
        require(total == self.peer_count, f"{total} peers, peer_count {self.peer_count}")
        require(chunks + self.free_chunk_count == self.untouched_chunk, "a chunk is lost")
        for sketch, prefixes in ((0, self.ip_size), (1, self.subnet_size)):
            pairs = {(info_hash, packed[:prefixes]) for info_hash in info_hashes
                     for packed, _, _ in self.peers_of(info_hash)}
            require(self.sketch_total(sketch) == <uint64_t>len(pairs), "a sketch miscounts")

    cdef uint64_t sketch_total(self, int which):
        cdef Sketch* sketch = &self.ips if which == 0 else &self.subnets
        cdef uint64_t total = 0
        cdef uint32_t i
        for i in range(sketch.mask + 1):
            total += sketch.rows[0][i]
        return total


cdef inline void bump(const Sketch* sketch, uint64_t h, int step) noexcept nogil:
    sketch.rows[0][<uint32_t>h & sketch.mask] += step
    sketch.rows[1][<uint32_t>(h >> 32) & sketch.mask] += step


cdef int check_info_hash(bytes info_hash) except -1:
    if len(info_hash) != ID_SIZE:
        raise ValueError(f"info_hash is {len(info_hash)} bytes; {ID_SIZE} needed")
    return 0


cdef int require(bint condition, str what) except -1:
    if not condition:
        raise AssertionError(what)
    return 0
