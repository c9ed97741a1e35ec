"""Who is kept in the routing table and who is replaced. Rate class: packet.

Theory of operation. Only the last bucket, which holds our own id, may split. An entry is LIVE, REPLACEMENT (verified,
no place free) or CANDIDATE (never answered us).
  saw_reply     files the contact: LIVE if there is a place or somebody failing to displace, else REPLACEMENT; where all
                stand well and those waiting have answered within a minute, it changes nothing
  saw_query     refreshes a contact in good standing, or offers a CANDIDATE; it never adds to LIVE nor takes from it
  saw_failure   counts against a LIVE entry, ends any other; a fresh REPLACEMENT takes a failing entry's place at once
A live entry is good (no failure, heard of in 15 min), bad (max_failures in a row) or questionable. Bad entries stay
until displaced: after an outage they are all we know. Limits bind verified entries; candidates yield to them, so that
spoofed queries cannot keep an honest contact out.
Source: BEP 5 "Routing Table"; Kademlia 2.4.
"""
from collections.abc import Iterable

from libc.string cimport memcpy

from fastdht._ext.addresses cimport FAMILY_V4, dump_compact, load_compact, read_be64, write_be64
from fastdht._ext.buckets cimport MAX_BUCKETS, MAX_CLOSEST, MAX_K, copy_contact
from fastdht._ext.closest cimport Ranked, find_closest
from fastdht._ext.entries cimport NO_ENTRY, ROLE_CANDIDATE, ROLE_LIVE, has_id
from fastdht._ext.hashing cimport fill_random, next_random, seed_rng
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE


cdef class RoutingTable(Placement):
    """Contacts of one `family` (4 or 6) around `own_id` (20 bytes); `seed` (64 bits) makes its choices repeatable.

    k contacts a bucket (1 to 128); with `extended`, 16, 8, 4 and 2 times k in the first four. Up to `replacements`
    more wait at each of at most `max_buckets` (1 to 64). Limits, 0 for none: `bucket_subnet_limit` counts a /24
    (default 1) or /56 (default 2) in a bucket, `table_subnet_limit` a /24 or /48 in the table, `network_limit` a /16
    or /32; `one_per_ip` allows an address or a /64 once; `only_secure` takes no id that does not fit its address
    (BEP 42). An entry is questionable after `questionable_us` of silence and bad after `max_failures` failures; a
    candidate is pinged `candidate_wait_us` after its last query. Raises ValueError outside these limits.
    """

    def __cinit__(self, own_id: bytes, family: int, *, k: int = 8, replacements: int = 8, max_buckets: int = 40,
                  seed: int, one_per_ip: bool = True, bucket_subnet_limit: int | None = None,
                  table_subnet_limit: int = 8, network_limit: int = 5, questionable_us: int = 900_000_000,
                  candidate_wait_us: int = 90_000_000, max_failures: int = 3, extended: bool = False,
                  only_secure: bool = False):
        check_id(own_id)
        if family not in (4, 6):
            raise ValueError(f"family is {family}; 4 or 6")
        if bucket_subnet_limit is None:
            bucket_subnet_limit = 1 if family == 4 else 2
        for name, value, low, high in (
                ("k", k, 1, MAX_K), ("replacements", replacements, 0, MAX_K), ("max_buckets", max_buckets, 1, MAX_BUCKETS),
                ("bucket_subnet_limit", bucket_subnet_limit, 0, 65535), ("max_failures", max_failures, 1, 100),
                ("table_subnet_limit", table_subnet_limit, 0, 65535), ("questionable_us", questionable_us, 1, 1 << 60),
                ("network_limit", network_limit, 0, 65535),
                ("candidate_wait_us", candidate_wait_us, 0, 1 << 60)):
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; {low} to {high}")
        self.family = family
        self.max_buckets = max_buckets
        self.replacements = replacements
        self.max_failures = max_failures
        self.questionable_us = questionable_us
        self.candidate_wait_us = candidate_wait_us
        self.one_per_ip = one_per_ip
        self.only_secure = only_secure
        self.bucket_subnet_limit = bucket_subnet_limit
        self.table_subnet_limit = table_subnet_limit
        self.network_limit = network_limit
        self.bucket_shift = 0 if family == 4 else 8
        seed_rng(&self.rng, seed)
        self.allocate(k, extended, next_random(&self.rng), one_per_ip, table_subnet_limit > 0,
                      network_limit > 0)
        self.set_own_id(own_id)

    # -- what happened --------------------------------------------------------------------------------------------

    cdef void saw_reply(self, const Contact* contact, uint32_t rtt_us, int64_t now_us) noexcept nogil:  # R0
        cdef uint16_t entry
        cdef uint32_t bucket
        cdef Entry* e
        cdef bint is_steady
        self.now_us = max(self.now_us, now_us)
        if not self.is_fileable(contact):
            return
        entry = self.slab.find(&contact.endpoint)
        e = &self.entries[entry]
        if entry == NO_ENTRY:
            if not self.is_crowded(self.bucket_of(read_be64(contact.id))):
                self.file(contact, rtt_us, self.now_us)
        elif e.role == ROLE_CANDIDATE:          # whatever id we had heard, this one is proved
            self.remove(entry)
            self.file(contact, rtt_us, self.now_us)
        elif has_id(e, contact.id):
            is_steady = e.role == ROLE_LIVE and e.failures == 0     # then nobody's standing changes
            e.rtt_us = rtt_us
            e.failures = 0
            self.refresh(entry, self.now_us)
            self.buckets[e.bucket].changed_us = self.now_us
            if not is_steady:
                self.settle(e.bucket)
        else:
            # A node that changes its id, or one between us and two others: neither is a contact to rely on.
            self.changed_ids += 1
            bucket = e.bucket
            self.remove(entry)
            self.settle(bucket)
            self.offer(contact)

    cdef void saw_query(self, const Contact* contact, int64_t now_us) noexcept nogil:  # R0
        cdef uint16_t entry
        self.now_us = max(self.now_us, now_us)
        if not self.is_fileable(contact):
            return
        entry = self.slab.find(&contact.endpoint)
        if entry == NO_ENTRY:
            self.offer(contact)
        elif has_id(&self.entries[entry], contact.id) and self.entries[entry].failures == 0:
            self.refresh(entry, self.now_us)

    cdef void saw_failure(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil:  # R0
        cdef uint16_t entry = self.slab.find(endpoint)
        self.now_us = max(self.now_us, now_us)
        if entry == NO_ENTRY:
            return
        if self.entries[entry].role != ROLE_LIVE:
            self.remove(entry)                  # a spare that does not answer is none
            return
        self.fail(entry)
        self.settle(self.entries[entry].bucket)

    cdef void change_id(self, const uint8_t* own_id) noexcept nogil:  # R0
        """File every entry again under a new own id, live ones first, so that the others yield to them."""
        cdef uint32_t count = self.list_all()
        cdef uint32_t i
        for i in range(self.bucket_count):
            self.buckets[i].live_count = 0
            self.buckets[i].waiting_count = 0
            self.buckets[i].crowded_until_us = 0
        self.buckets[0].changed_us = self.now_us
        self.bucket_count = 1
        self.occupied = 0
        self.set_own_id(own_id)
        for i in range(count):
            self.file_again(self.scratch[i])

    # -- the closest ----------------------------------------------------------------------------------------------

    cdef uint32_t write_closest(self, const uint8_t* target, uint32_t limit, uint8_t* out) noexcept nogil:  # R0
        """Write up to `limit` (≤ 128) compact nodes, closest first; returns how many. Unverified and bad: never."""
        cdef Ranked ranked[MAX_CLOSEST]
        cdef uint32_t count = find_closest(self, target, limit, ranked)
        cdef uint32_t i
        if self.family == FAMILY_V4:
            for i in range(count):
                memcpy(out + i * COMPACT_NODE_V4, self.entries[ranked[i].entry].compact, COMPACT_NODE_V4)
        else:
            for i in range(count):
                memcpy(out + i * COMPACT_NODE_V6, self.entries[ranked[i].entry].compact, COMPACT_NODE_V6)
        return count

    cdef uint32_t copy_closest(self, const uint8_t* target, uint32_t limit, Contact* out) noexcept nogil:  # R0
        cdef Ranked ranked[MAX_CLOSEST]
        cdef uint32_t count = find_closest(self, target, limit, ranked)
        cdef uint32_t i
        for i in range(count):
            copy_contact(&self.entries[ranked[i].entry], &out[i])
        return count

    # -- upkeep ---------------------------------------------------------------------------------------------------

    cdef bint pick_questionable(self, int64_t now_us, Contact* out) noexcept nogil:  # R0
        """The entry that most needs a ping, the longest silent first; it is not picked again for a while."""
        cdef uint16_t picked = NO_ENTRY
        cdef uint32_t b, i
        cdef bint wanted
        cdef uint16_t entry
        self.now_us = max(self.now_us, now_us)
        for b in range(self.bucket_count):
            wanted = self.buckets[b].live_count < self.buckets[b].capacity or self.is_splittable(b)
            for i in range(self.buckets[b].live_count + self.buckets[b].waiting_count):
                entry = self.entry_at(b, i)
                wanted |= self.entries[entry].role == ROLE_LIVE and not self.is_good(&self.entries[entry])
                if self.is_due(&self.entries[entry], wanted) and (
                        picked == NO_ENTRY or self.entries[entry].seen_us < self.entries[picked].seen_us):
                    picked = entry
        if picked == NO_ENTRY:
            return False
        self.entries[picked].pinged_us = self.now_us
        copy_contact(&self.entries[picked], out)
        return True

    cdef bint is_due(self, const Entry* e, bint wanted) noexcept nogil:  # R0
        """Whether to ping: a live entry unless good, a waiting one only when its bucket could use it."""
        cdef int64_t gap = PING_GAP_US
        cdef int64_t silence = self.now_us - e.seen_us
        if e.role == ROLE_LIVE:
            if self.is_good(e):
                return False
            if e.failures >= self.max_failures:
                gap = <int64_t>BAD_GAP_US << min(e.failures - self.max_failures, <uint32_t>MAX_BAD_DOUBLINGS)
        elif not wanted or silence < (self.candidate_wait_us if e.role == ROLE_CANDIDATE else self.questionable_us):
            return False
        return self.now_us - e.pinged_us >= gap

    cdef bint pick_refresh(self, int64_t now_us, uint8_t* target) noexcept nogil:  # R0
        """A random id in the range of the bucket longest unchanged, if for 15 minutes; the bucket counts as changed."""
        cdef uint32_t b, stalest = 0
        cdef uint64_t free_bits, high
        self.now_us = max(self.now_us, now_us)
        for b in range(self.bucket_count):
            if self.buckets[b].changed_us < self.buckets[stalest].changed_us:
                stalest = b
        if self.slab.count == 0 or self.now_us - self.buckets[stalest].changed_us < self.questionable_us:
            return False
        self.buckets[stalest].changed_us = self.now_us
        fill_random(&self.rng, target, ID_SIZE)
        free_bits = <uint64_t>0xFFFFFFFFFFFFFFFF >> stalest
        high = self.own_high
        if stalest < self.bucket_count - 1:     # the first bit after those shared must differ
            free_bits >>= 1
            high ^= <uint64_t>1 << (63 - stalest)
        write_be64(target, (high & ~free_bits) | (read_be64(target) & free_bits))
        return True

    # -- from Python ----------------------------------------------------------------------------------------------

    def reply_from(self, node_id: bytes, packed: bytes, rtt_us: int, now_us: int) -> None:
        """A query of ours was answered by this 20-byte id at this compact endpoint after `rtt_us`."""
        cdef Contact contact
        load_contact(node_id, packed, &contact)
        self.saw_reply(&contact, rtt_us, now_us)

    def query_from(self, node_id: bytes, packed: bytes, now_us: int) -> None:
        """This id queried us from this compact endpoint."""
        cdef Contact contact
        load_contact(node_id, packed, &contact)
        self.saw_query(&contact, now_us)

    def failure_of(self, packed: bytes, now_us: int) -> None:
        """A query of ours to this compact endpoint got no answer."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        self.saw_failure(&endpoint, now_us)

    def closest(self, target: bytes, limit: int = 8) -> bytes:
        """Up to `limit` (at most 128) compact nodes of 26 or 38 bytes, closest to the 20-byte target first."""
        cdef uint8_t out[MAX_CLOSEST * COMPACT_NODE_V6]
        check_id(target)
        cdef uint32_t count = self.write_closest(target, max(0, limit), out)
        return out[:count * (COMPACT_NODE_V4 if self.family == FAMILY_V4 else COMPACT_NODE_V6)]

    def closest_contacts(self, target: bytes, limit: int = 8) -> list[tuple[bytes, bytes]]:
        """The same as `closest`, as (id, compact endpoint)."""
        cdef Contact out[MAX_CLOSEST]
        check_id(target)
        cdef uint32_t count = self.copy_closest(target, max(0, limit), out)
        return [dump_contact(&out[i]) for i in range(count)]

    def next_questionable(self, now_us: int) -> tuple[bytes, bytes] | None:
        """The (id, compact endpoint) that should be pinged now, or None; the next call gives another."""
        cdef Contact contact
        return dump_contact(&contact) if self.pick_questionable(now_us, &contact) else None

    def next_refresh(self, now_us: int) -> bytes | None:
        """A random id in the range of a bucket unchanged for 15 minutes, or None; the next call gives another."""
        cdef uint8_t target[20]
        return target[:ID_SIZE] if self.pick_refresh(now_us, target) else None

    def move_to(self, own_id: bytes) -> None:
        """Take a new own id (20 bytes) and file every contact again; those without a place are dropped."""
        check_id(own_id)
        self.change_id(own_id)

    def load(self, contacts: Iterable[tuple[bytes, bytes]], now_us: int) -> int:
        """File saved contacts (id, compact endpoint) as questionable ones; returns how many the table then holds.

        For contacts that we verified in an earlier run only. Raises ValueError for a malformed one.
        """
        cdef Contact contact
        self.now_us = max(self.now_us, now_us)
        for node_id, packed in contacts:
            load_contact(node_id, packed, &contact)
            if self.is_fileable(&contact) and self.slab.find(&contact.endpoint) == NO_ENTRY:
                self.file(&contact, 0, self.now_us - self.questionable_us)
        return len(self)

    def center(self) -> bytes:
        """The 20-byte own id that buckets are counted from."""
        return self.own_id[:ID_SIZE]

    def good_count(self, now_us: int) -> int:
        """How many contacts are good at `now_us`."""
        self.now_us = max(self.now_us, now_us)
        return sum(1 for contact in self.contacts() if contact[2] == "good")


cdef int check_id(bytes node_id) except -1:
    if len(node_id) != ID_SIZE:
        raise ValueError(f"id is {len(node_id)} bytes; {ID_SIZE} needed")
    return 0


cdef int load_contact(bytes node_id, bytes packed, Contact* out) except -1:
    check_id(node_id)
    load_compact(packed, &out.endpoint)
    memcpy(out.id, <const uint8_t*>node_id, ID_SIZE)
    return 0


cdef tuple dump_contact(const Contact* contact):
    return contact.id[:ID_SIZE], dump_compact(&contact.endpoint)
