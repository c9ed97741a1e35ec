"""Who may stand in the routing table, and who is displaced. Rate class: packet.

A newcomer that answered us is filed; one that only spoke to us is offered and may wait. Invariants: an id, an endpoint
and (with `one_per_ip`) an address stand once; verified entries of one subnet at most as often as the limits say.
Candidates are counted among themselves and the verified, but a verified newcomer is not held up by them: spoofed
queries cannot keep an honest contact out. Source: BEP 5 "Routing Table".
"""
from libc.string cimport memcmp

from fastdht._ext.addresses cimport read_be32, read_be64, subnet_of
from fastdht._ext.buckets cimport KBucket
from fastdht._ext.entries cimport (
    BY_NETWORK, BY_SUBNET, NO_ENTRY, ROLE_CANDIDATE, ROLE_LIVE, ROLE_REPLACEMENT, Entry, has_id)
from fastdht._ext.ids cimport ID_SIZE, is_secure_id

# A replacement that answered so lately is as good as any newcomer, and filing one costs more than the rest of a reply.
cdef int64_t STAY_US = 60_000_000
cdef int64_t NEVER = -(<int64_t>1 << 62)    # a difference to it does not overflow


cdef class Placement(KBuckets):
    """The rules of RoutingTable; not made on its own."""

    cdef bint is_fileable(self, const Contact* contact) noexcept nogil:  # R0
        """Not ourselves, of our family, not the all-zero id that broken nodes claim, and one that fits if it must."""
        if contact.endpoint.family != self.family or memcmp(contact.id, self.own_id, ID_SIZE) == 0:
            return False
        if self.only_secure and not is_secure_id(contact.id, &contact.endpoint):
            return False
        return (read_be64(contact.id) | read_be64(contact.id + 8) | read_be32(contact.id + 16)) != 0

    cdef void file(self, const Contact* contact, uint32_t rtt_us, int64_t seen_us) noexcept nogil:  # R0
        cdef uint16_t entry
        if not self.admit(contact):
            self.refused += 1
            return
        entry = self.slab.take(contact, seen_us)
        self.entries[entry].rtt_us = rtt_us
        self.entries[entry].pinged_us = NEVER
        self.place(entry)

    cdef void offer(self, const Contact* contact) noexcept nogil:  # R0
        """Note a contact that never answered us. It displaces only what has waited in vain for 15 minutes."""
        cdef uint32_t bucket = self.bucket_of(read_be64(contact.id))
        cdef uint16_t entry = NO_ENTRY
        if self.buckets[bucket].waiting_count == self.replacements:
            entry = self.displaceable(bucket)
            if entry == NO_ENTRY:
                return
        if (self.find_id(contact.id) != NO_ENTRY
                or (self.one_per_ip and self.slab.find_address(&contact.endpoint) != NO_ENTRY)
                or not self.has_bucket_room(&contact.endpoint, bucket, False)
                or not self.has_table_room(&contact.endpoint, False)):
            return
        if entry != NO_ENTRY:
            self.remove(entry)
        entry = self.slab.take(contact, self.now_us)
        self.entries[entry].pinged_us = NEVER
        self.add_waiting(bucket, entry, ROLE_CANDIDATE)

    cdef uint16_t displaceable(self, uint32_t bucket) noexcept nogil:  # R0
        """The candidate of a full waiting list that has waited in vain, or NO_ENTRY. Strangers ask all the time, so
        the answer is remembered: until `settled_until_us` it stays the same, as candidates only get fresher."""
        cdef KBucket* b = &self.buckets[bucket]
        cdef uint16_t entry
        if self.now_us < b.settled_until_us:
            return NO_ENTRY
        entry = self.stalest_waiting(bucket, ROLE_CANDIDATE)
        if entry == NO_ENTRY:
            b.settled_until_us = self.now_us + self.questionable_us
            return NO_ENTRY
        b.settled_until_us = self.entries[entry].seen_us + self.questionable_us
        return entry if self.now_us >= b.settled_until_us else NO_ENTRY

    cdef bint is_crowded(self, uint32_t bucket) noexcept nogil:  # R0
        """Whether every place is taken by a contact in good standing, and all who wait have answered lately. As most
        answers of a lookup come from outside the table, the answer is remembered."""
        cdef KBucket* b = &self.buckets[bucket]
        if self.now_us < b.crowded_until_us:
            return True
        if (b.live_count < b.capacity or b.waiting_count < self.replacements or self.replacements == 0
                or self.is_splittable(bucket) or self.worst_failing(bucket) != NO_ENTRY
                or self.stalest_waiting(bucket, ROLE_CANDIDATE) != NO_ENTRY):
            return False
        b.crowded_until_us = self.entries[self.stalest_waiting(bucket, ROLE_REPLACEMENT)].seen_us + STAY_US
        return self.now_us < b.crowded_until_us

    cdef bint admit(self, const Contact* contact) noexcept nogil:  # R0
        """Whether a verified contact may be filed; what is unproved or failing makes way for it."""
        if not self.make_way(self.find_id(contact.id)):
            return False
        if self.one_per_ip and not self.make_way(self.slab.find_address(&contact.endpoint)):
            return False
        return (self.has_bucket_room(&contact.endpoint, self.bucket_of(read_be64(contact.id)), True)
                and self.has_table_room(&contact.endpoint, True))

    cdef bint make_way(self, uint16_t holder) noexcept nogil:  # R0
        cdef uint32_t bucket
        if holder == NO_ENTRY:
            return True
        if self.entries[holder].role != ROLE_CANDIDATE and self.entries[holder].failures == 0:
            return False
        bucket = self.entries[holder].bucket
        self.remove(holder)
        self.settle(bucket)
        return True

    cdef bint has_bucket_room(self, const Endpoint* endpoint, uint32_t bucket, bint verified) noexcept nogil:  # R0
        """Whether the subnet may stand once more in this bucket. For a verified contact candidates do not count,
        and a failing one leaves."""
        cdef uint64_t subnet = subnet_of(endpoint) >> self.bucket_shift
        cdef KBucket* b = &self.buckets[bucket]
        cdef uint16_t entry
        cdef uint16_t failing = NO_ENTRY
        cdef uint32_t i, count = 0
        if self.bucket_subnet_limit == 0:
            return True
        for i in range(b.live_count + b.waiting_count):
            entry = self.entry_at(bucket, i)
            if subnet_of(&self.entries[entry].endpoint) >> self.bucket_shift != subnet:
                continue
            if verified and self.entries[entry].role == ROLE_CANDIDATE:
                continue
            count += 1
            failing = self.more_failing(failing, entry)
        return count < self.bucket_subnet_limit or (verified and failing != NO_ENTRY and self.make_way(failing))

    cdef bint has_table_room(self, const Endpoint* endpoint, bint verified) noexcept nogil:  # R0
        """Whether its subnet and its network may stand once more in the table. The latter is what holds up a rich
        attacker: a /16 has 256 subnets, and ids made to fit would fill every bucket that honest ones leave empty."""
        return (self.has_chain_room(BY_SUBNET, self.table_subnet_limit, endpoint, verified)
                and self.has_chain_room(BY_NETWORK, self.network_limit, endpoint, verified))

    cdef bint has_chain_room(self, int chain, uint32_t limit, const Endpoint* endpoint, bint verified) noexcept nogil:  # R0
        cdef uint16_t entry
        cdef uint16_t failing = NO_ENTRY
        cdef uint32_t count = 0
        if limit == 0:
            return True
        entry = self.slab.first_like(chain, endpoint)
        while entry != NO_ENTRY:
            if not (verified and self.entries[entry].role == ROLE_CANDIDATE):
                count += 1
                failing = self.more_failing(failing, entry)
            entry = self.slab.next_like(chain, entry)
        return count < limit or (verified and failing != NO_ENTRY and self.make_way(failing))

    cdef void file_again(self, uint16_t entry) noexcept nogil:  # R0
        cdef Entry* e = &self.entries[entry]
        cdef uint32_t bucket = self.bucket_of(e.id_high)
        cdef bint verified = e.role != ROLE_CANDIDATE
        if has_id(e, self.own_id) or not self.has_bucket_room(&e.endpoint, bucket, verified):
            self.slab.release(entry)
        elif verified:
            self.place(entry)
        else:
            self.wait(bucket, entry, ROLE_CANDIDATE)

    # -- where it stands ------------------------------------------------------------------------------------------

    cdef void place(self, uint16_t entry) noexcept nogil:  # R0
        """Put a verified entry that is in no list where it belongs."""
        cdef uint32_t bucket = self.bucket_of(self.entries[entry].id_high)
        cdef uint16_t failing
        while self.buckets[bucket].live_count == self.buckets[bucket].capacity:
            failing = self.worst_failing(bucket)
            if failing != NO_ENTRY:
                self.remove(failing)
            elif self.is_splittable(bucket):
                self.split()
                bucket = self.bucket_of(self.entries[entry].id_high)
            elif self.entries[entry].failures:
                self.slab.release(entry)        # live before our id changed; a spare that failed is none
                return
            else:
                self.wait(bucket, entry, ROLE_REPLACEMENT)
                return
        self.add_live(bucket, entry)
        self.buckets[bucket].changed_us = self.now_us

    cdef bint is_splittable(self, uint32_t bucket) noexcept nogil:  # R0
        return bucket == self.bucket_count - 1 and self.bucket_count < self.max_buckets

    cdef void wait(self, uint32_t bucket, uint16_t entry, uint8_t role) noexcept nogil:  # R0
        """Let an entry wait. Replacements displace candidates, then each other; a candidate finds room or goes."""
        cdef uint16_t leaving = entry
        if self.buckets[bucket].waiting_count < self.replacements:
            self.add_waiting(bucket, entry, role)
            return
        if role == ROLE_REPLACEMENT and self.replacements > 0:
            leaving = self.stalest_waiting(bucket, ROLE_CANDIDATE)
            if leaving == NO_ENTRY:
                leaving = self.stalest_waiting(bucket, ROLE_REPLACEMENT)
            self.detach(leaving)
            self.add_waiting(bucket, entry, role)
        self.slab.release(leaving)

    cdef void split(self) noexcept nogil:  # R0
        """Open new last buckets, and move there what belongs there, until the last one has no one left waiting for a
        place or may not split."""
        cdef uint32_t old, b
        while True:
            old = self.bucket_count - 1
            self.open_bucket()
            # With `extended` the next bucket may be too small for all that leave this one.
            while self.count_leaving(old) > self.buckets[self.bucket_count - 1].capacity and self.is_splittable(
                    self.bucket_count - 1):
                self.open_bucket()
            self.move_deeper(old)
            for b in range(old, self.bucket_count):
                self.settle(b)
            b = self.bucket_count - 1
            if self.freshest_replacement(b) == NO_ENTRY or not self.is_splittable(b):
                return

    cdef void open_bucket(self) noexcept nogil:  # R0
        self.buckets[self.bucket_count].changed_us = self.buckets[self.bucket_count - 1].changed_us
        self.bucket_count += 1

    cdef uint32_t count_leaving(self, uint32_t bucket) noexcept nogil:  # R0
        """How many live entries of this bucket belong to the last one."""
        cdef uint32_t i, count = 0
        for i in range(self.buckets[bucket].live_count):
            count += self.bucket_of(self.live[self.buckets[bucket].first + i].id_high) == self.bucket_count - 1
        return count

    cdef void move_deeper(self, uint32_t bucket) noexcept nogil:  # R0
        """Move to newer buckets what no longer belongs here."""
        cdef uint32_t i = self.buckets[bucket].live_count + self.buckets[bucket].waiting_count
        cdef uint32_t b
        cdef uint16_t entry
        cdef uint8_t role
        while i:                                # backwards: what fills a gap has been looked at
            i -= 1
            entry = self.entry_at(bucket, i)
            b = self.bucket_of(self.entries[entry].id_high)
            if b == bucket:
                continue
            role = self.entries[entry].role
            self.detach(entry)
            if role == ROLE_LIVE and self.buckets[b].live_count < self.buckets[b].capacity:
                self.add_live(b, entry)
            else:
                self.wait(b, entry, ROLE_CANDIDATE if role == ROLE_CANDIDATE else ROLE_REPLACEMENT)

    cdef void settle(self, uint32_t bucket) noexcept nogil:  # R0
        """Let replacements into free places, and fresh ones into those of failing entries."""
        cdef KBucket* b = &self.buckets[bucket]
        cdef uint16_t entry = self.freshest_replacement(bucket)
        cdef uint16_t failing
        while entry != NO_ENTRY:
            if b.live_count == b.capacity:
                failing = self.worst_failing(bucket)
                if failing == NO_ENTRY or not self.is_good(&self.entries[entry]):
                    return
                self.remove(failing)
            self.detach(entry)
            self.add_live(bucket, entry)
            b.changed_us = self.now_us
            entry = self.freshest_replacement(bucket)
