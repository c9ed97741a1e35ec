"""Announced peers: who is stored, who makes room, and which are given out. Rate class: packet.

The key is (info-hash, ip, port). A source that has its share replaces its own oldest record, or is refused; a full
swarm loses the oldest peer of its most crowded subnet; full of info-hashes, the store drops one with few peers, far
from our id and old. Victims are found in a sample of 16, so an announce costs one walk over its swarm at most.
An expired record is never given out; `expire` reclaims it later. An IP's subnet is its /24 or, for IPv6, its /64.
Source: BEP 5 "announce_peer"; BEP 33 (seed flag, `noseed`).
"""
from libc.string cimport memcpy

from fastdht._ext.addresses cimport COMPACT_V4, COMPACT_V6, load_compact
from fastdht._ext.filters cimport FILTER_SIZE
from fastdht._ext.hashing cimport load_key, next_random, random_below, seed_rng
from fastdht._ext.ids cimport ID_SIZE, prefix_length
from fastdht._ext.peers_scrape cimport fill_filters, has_address, has_way_in
from fastdht._ext.peers_slab cimport CHUNK, CHUNK_SHIFT, NO_SWARM, check_info_hash, is_seeding, no_peer

# Steps through a swarm. Primes, so that one that does not divide its size visits every peer once; 4,096 is too small
# to be divided by all of them.
cdef uint32_t[8] STRIDES = [31, 37, 41, 43, 47, 53, 59, 61]


cdef class PeerStore(PeerSlab):
    """Peers of one `family` (4 or 6), indexed under a 16-byte `secret`; `seed` makes its choices repeatable.

    Holds `max_info_hashes` and `max_peers` in all, `peers_per_info_hash` (1 to 4,096), of these `ports_per_ip` of one
    address and `peers_per_subnet`; a source may be in `info_hashes_per_ip`, its subnet in `info_hashes_per_subnet`.
    A peer expires `ttl_us` after its last announce. `own_id` (20 bytes) is what "far" is measured from. Raises
    ValueError for a number below 1 or a wrong size.
    """

    def __cinit__(self, family: int, *, max_info_hashes: int = 4096, max_peers: int = 200_000,
                  peers_per_info_hash: int = 500, ports_per_ip: int = 2, peers_per_subnet: int = 16,
                  info_hashes_per_ip: int = 64, info_hashes_per_subnet: int = 256, ttl_us: int = 2_700_000_000,
                  secret: bytes, seed: int, own_id: bytes = bytes(20)):
        if family not in (4, 6):
            raise ValueError(f"family is {family}; 4 or 6")
        if len(secret) != 16 or len(own_id) != ID_SIZE:
            raise ValueError(f"secret is {len(secret)}, own_id {len(own_id)} bytes; 16 and {ID_SIZE} needed")
        for name, value, most in (
                ("max_info_hashes", max_info_hashes, 1 << 24), ("max_peers", max_peers, 1 << 28),
                ("peers_per_info_hash", peers_per_info_hash, MAX_PEERS_PER_INFO_HASH),
                ("ports_per_ip", ports_per_ip, 1 << 30), ("peers_per_subnet", peers_per_subnet, 1 << 30),
                ("info_hashes_per_ip", info_hashes_per_ip, 1 << 30),
                ("info_hashes_per_subnet", info_hashes_per_subnet, 1 << 30), ("ttl_us", ttl_us, 1 << 60)):
            if not 1 <= value <= most:
                raise ValueError(f"{name} is {value}; 1 to {most}")
        self.family = family
        self.max_info_hashes, self.max_peers = max_info_hashes, max_peers
        self.peers_per_info_hash = peers_per_info_hash
        self.ports_per_ip, self.peers_per_subnet = ports_per_ip, peers_per_subnet
        self.info_hashes_per_ip, self.info_hashes_per_subnet = info_hashes_per_ip, info_hashes_per_subnet
        self.ttl_us = ttl_us
        self.expire_index = no_peer()
        load_key(&self.key, secret)
        seed_rng(&self.rng, seed)
        self.change_id(own_id)
        self.allocate(max_info_hashes, max_peers, peers_per_info_hash)

    # -- announce -------------------------------------------------------------------------------------------------

    cdef bint add(self, const uint8_t* info_hash, const Endpoint* peer, bint is_seed, int64_t now_us) noexcept nogil:  # R0
        """Store or refresh a peer; False when its source has its share of info-hashes."""
        cdef Peer record
        cdef Survey survey
        cdef uint32_t swarm, victim
        if peer.family != self.family:
            return False
        swarm = self.find_swarm(info_hash)
        self.make_record(peer, is_seed, now_us, &record)
        self.survey(swarm, &record, &survey)
        if survey.same != no_peer():
            self.replace(swarm, survey.same, &record)
            return True
        if not self.has_share_left(&record, &survey):
            self.refused += 1
            return False
        if swarm == NO_SWARM:
            if self.info_hash_count == self.max_info_hashes:
                self.evict_swarm()
            swarm = self.open_swarm(info_hash)
        victim = self.choose_victim(swarm, &survey, now_us)
        if victim != no_peer():
            self.evicted += 1
            self.remove(swarm, victim)
            self.survey(swarm, &record, &survey)
        elif self.peer_count == self.max_peers:
            self.evict_peer(swarm)
            self.survey(swarm, &record, &survey)
        self.append(swarm, &record, &survey)
        return True

    cdef bint has_share_left(self, const Peer* peer, const Survey* survey) noexcept nogil:  # R0
        """Whether the source may be in one more info-hash; in those it is in already, it may always announce."""
        if survey.of_ip == 0 and self.info_hashes_of(&self.ips, peer) >= self.info_hashes_per_ip:
            return False
        return survey.of_subnet > 0 or self.info_hashes_of(&self.subnets, peer) < self.info_hashes_per_subnet

    cdef uint32_t choose_victim(self, uint32_t swarm, const Survey* survey, int64_t now_us) noexcept nogil:  # R0
        """The record of this swarm that makes room for the newcomer, or no_peer() when there is room."""
        if survey.of_ip >= self.ports_per_ip:
            return survey.oldest_of_ip
        if survey.of_subnet >= self.peers_per_subnet:
            return survey.oldest_of_subnet
        if self.swarms[swarm].count < self.peers_per_info_hash:
            return no_peer()
        if now_us - self.peer_at(swarm, survey.oldest).seen_us >= self.ttl_us:
            return survey.oldest
        return self.crowded_peer(swarm)

    cdef uint32_t crowded_peer(self, uint32_t swarm) noexcept nogil:  # R0
        """Of a random sample, the oldest peer of the subnet that has most in it."""
        cdef uint32_t sample[SAMPLE]
        cdef uint32_t i, j, mates, victim = 0, most = 0
        for i in range(<uint32_t>SAMPLE):
            sample[i] = <uint32_t>random_below(&self.rng, self.swarms[swarm].count)
        for i in range(<uint32_t>SAMPLE):
            mates = 0
            for j in range(<uint32_t>SAMPLE):
                mates += self.shares_subnet(self.peer_at(swarm, sample[i]), self.peer_at(swarm, sample[j]))
            if mates > most or (mates == most and self.peer_at(swarm, sample[i]).seen_us
                                < self.peer_at(swarm, victim).seen_us):
                most = mates
                victim = sample[i]
        return victim

    cdef void evict_peer(self, uint32_t keep) noexcept nogil:  # R0
        """Remove the oldest of a random sample of all peers. The swarm `keep` stays, even when empty."""
        cdef uint32_t i, swarm, index, victim = 0, of_swarm = NO_SWARM
        for i in range(<uint32_t>SAMPLE):
            swarm = self.order[random_below(&self.rng, self.info_hash_count)]
            if self.swarms[swarm].count == 0:
                continue
            index = <uint32_t>random_below(&self.rng, self.swarms[swarm].count)
            if of_swarm == NO_SWARM or (self.peer_at(swarm, index).seen_us
                                        < self.peer_at(of_swarm, victim).seen_us):
                of_swarm = swarm
                victim = index
        if of_swarm == NO_SWARM:        # the sample met nothing but `keep`, just opened and empty
            of_swarm = self.order[0 if self.order[0] != keep else 1]
        self.evicted += 1
        self.remove(of_swarm, victim)
        if self.swarms[of_swarm].count == 0 and of_swarm != keep:
            self.close_swarm(of_swarm)

    cdef void evict_swarm(self) noexcept nogil:  # R0
        """Close, of a random sample, the swarm with fewest peers, then farthest from us, then longest silent."""
        cdef uint32_t i, swarm, victim = self.order[0]
        cdef int nearness, least = 161
        cdef uint32_t fewest = no_peer()
        for i in range(<uint32_t>SAMPLE):
            swarm = self.order[random_below(&self.rng, self.info_hash_count)]
            nearness = prefix_length(self.swarms[swarm].info_hash, self.own_id)
            if self.swarms[swarm].count > fewest or (self.swarms[swarm].count == fewest and (
                    nearness > least
                    or (nearness == least and self.swarms[swarm].seen_us >= self.swarms[victim].seen_us))):
                continue
            victim = swarm
            fewest = self.swarms[swarm].count
            least = nearness
        self.evicted += fewest
        while self.swarms[victim].count:
            self.remove(victim, self.swarms[victim].count - 1)
        self.close_swarm(victim)

    # -- give out and forget --------------------------------------------------------------------------------------

    cdef uint32_t write_values(self, const uint8_t* info_hash, bint noseed, uint32_t limit, Rng* rng, int64_t now_us,
                               uint8_t* out, uint32_t* written) noexcept nogil:  # R0
        """Write up to `limit` random peers as bencoded elements, 8 or 21 bytes each; returns how many."""
        cdef uint32_t swarm = self.find_swarm(info_hash)
        cdef uint32_t size = self.swarms[swarm].count
        cdef uint32_t i, at, stride, count = 0
        cdef uint32_t choice
        cdef const Peer* peer
        cdef const uint32_t* chunks = &self.chunk_lists[<size_t>swarm * self.chunks_per_swarm]
        cdef const Peer* peers = self.peers
        cdef uint32_t element_size = self.element_size
        cdef int64_t oldest_us = now_us - self.ttl_us
        written[0] = 0
        if size == 0 or limit == 0:
            return 0
        choice = <uint32_t>(next_random(rng) >> 32)
        at = <uint32_t>((<uint64_t>choice * size) >> 32)
        while size % STRIDES[choice & 7] == 0:
            choice += 1
        stride = STRIDES[choice & 7] % size
        for i in range(size):
            peer = &peers[<size_t>chunks[at >> CHUNK_SHIFT] * CHUNK + (at & (CHUNK - 1))]
            at += stride
            if at >= size:
                at -= size
            if peer.seen_us <= oldest_us or (noseed and is_seeding(peer)):
                continue
            if element_size == COMPACT_V4 + 2:
                memcpy(out, peer.element, COMPACT_V4 + 2)
            else:
                memcpy(out, peer.element, COMPACT_V6 + 3)
            out += element_size
            count += 1
            if count == limit:
                break
        written[0] = count * element_size
        return count

    cdef bint scrape(self, const uint8_t* info_hash, int64_t now_us, uint8_t* seeds, uint8_t* peers) noexcept nogil:  # R0
        """Fill the bloom filters of a swarm, 256 bytes each; False when it has no peers (BEP 33)."""
        return fill_filters(self, self.find_swarm(info_hash), now_us - self.ttl_us, seeds, peers)

    cdef bint is_closed_to(self, const uint8_t* info_hash, const Endpoint* source, int64_t now_us) noexcept nogil:  # R0
        """Whether a newcomer should announce elsewhere: the swarm is full and nobody in it should make room."""
        cdef uint32_t swarm = self.find_swarm(info_hash)
        if self.swarms[swarm].count < self.peers_per_info_hash:
            return False
        return (not has_address(self, swarm, source)
                and not has_way_in(self, swarm, now_us - self.ttl_us, &self.rng))

    cdef bint is_alive(self, uint32_t swarm, int64_t now_us) noexcept nogil:  # R0
        return swarm != NO_SWARM and now_us - self.swarms[swarm].seen_us < self.ttl_us

    cdef uint32_t expire(self, int64_t now_us, uint32_t budget) noexcept nogil:  # R0
        """Look at up to `budget` records, going on where the last call stopped; returns how many were removed."""
        cdef uint32_t removed = 0
        # A swarm that the last call left half-way is come back to.
        cdef uint32_t left = self.info_hash_count + (self.expire_index != no_peer())
        cdef uint32_t swarm, i
        while budget and left and self.info_hash_count:
            if self.expire_position >= self.info_hash_count:
                self.expire_position = 0
            swarm = self.order[self.expire_position]
            i = min(self.expire_index, self.swarms[swarm].count)
            while i and budget:         # backwards: what fills a gap has been looked at
                i -= 1
                budget -= 1
                if now_us - self.peer_at(swarm, i).seen_us >= self.ttl_us:
                    self.remove(swarm, i)
                    removed += 1
            if i:
                self.expire_index = i
                return removed
            self.expire_index = no_peer()
            if self.swarms[swarm].count == 0:
                self.close_swarm(swarm)     # another one takes its position
            else:
                self.expire_position += 1
                left -= 1
        return removed

    cdef bint copy_info_hash(self, uint32_t index, uint8_t* out) noexcept nogil:  # R0
        if index >= self.info_hash_count:
            return False
        memcpy(out, self.swarms[self.order[index]].info_hash, ID_SIZE)
        return True

    cdef void change_id(self, const uint8_t* own_id) noexcept nogil:  # R0
        memcpy(self.own_id, own_id, ID_SIZE)

    # -- from Python ----------------------------------------------------------------------------------------------

    def announce(self, info_hash: bytes, packed: bytes, is_seed: bool, now_us: int) -> bool:
        """Store a compact peer under a 20-byte info-hash; False when its source has its share."""
        cdef Endpoint endpoint
        check_info_hash(info_hash)
        load_compact(packed, &endpoint)
        return self.add(info_hash, &endpoint, is_seed, now_us)

    def values(self, info_hash: bytes, limit: int, now_us: int, noseed: bool = False, seed: int = 0) -> bytes:
        """Up to `limit` peers as bencoded strings back to back, chosen by a 64-bit `seed`."""
        cdef Rng rng
        cdef uint32_t written
        check_info_hash(info_hash)
        seed_rng(&rng, seed)
        cdef uint32_t most = min(limit, self.peers_per_info_hash)
        out = bytearray(most * self.element_size + 1)
        self.write_values(info_hash, noseed, most, &rng, now_us, out, &written)
        return bytes(out[:written])

    def filters(self, info_hash: bytes, now_us: int) -> tuple[bytes, bytes] | None:
        """The bloom filters of a swarm, seeds first, 256 bytes each; None when it has no peers (BEP 33)."""
        cdef uint8_t seeds[FILTER_SIZE]
        cdef uint8_t peers[FILTER_SIZE]
        check_info_hash(info_hash)
        if not self.scrape(info_hash, now_us, seeds, peers):
            return None
        return seeds[:FILTER_SIZE], peers[:FILTER_SIZE]

    def refuses(self, info_hash: bytes, packed: bytes, now_us: int) -> bool:
        """Whether this compact endpoint is given no token, as the swarm is full and nobody should make room."""
        cdef Endpoint endpoint
        check_info_hash(info_hash)
        load_compact(packed, &endpoint)
        return self.is_closed_to(info_hash, &endpoint, now_us)

    def reclaim(self, now_us: int, budget: int) -> int:
        """Look at up to `budget` records and remove the expired among them; returns how many those were."""
        return self.expire(now_us, budget)

    def info_hash_at(self, index: int) -> bytes | None:
        """The info-hash at `index` below `info_hash_count`, in no particular order; None beyond."""
        cdef uint8_t out[20]
        return out[:ID_SIZE] if self.copy_info_hash(index, out) else None
