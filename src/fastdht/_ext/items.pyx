"""Stored values of BEP 44: who is stored, who makes room, and what a put may change. Rate class: packet.

Room is made, never refused: a source that has its share replaces its own oldest item, a subnet likewise. A full store
drops, of a random sample, what has expired, else an item of the most crowded subnet, then the one farthest from our
id, then the oldest; the newcomer's own subnet is looked at too, so that nobody drives out others by coming often.
An item counts for the source that stored it first: otherwise repeating somebody's put would make it one's own.
It expires two hours after its last put; an equal put starts its time anew. An expired one is never given out.
Source: BEP 44; its precedence is cas before seq, and an equal seq with another value is refused.
"""
from libc.stdint cimport uint16_t
from libc.string cimport memcmp, memcpy

from fastdht._ext.addresses cimport Endpoint, load_compact
from fastdht._ext.hashing cimport load_key, random_below, seed_rng
from fastdht._ext.ids cimport ID_SIZE, prefix_length
from fastdht._ext.items_slab cimport (
    KEY_SIZE, ITEM_ANY, ITEM_IMMUTABLE, ITEM_MUTABLE, MAX_SALT, MAX_VALUE, NO_ITEM, SIGNATURE_SIZE, source_of)
from fastdht._ext.sha1 cimport sha1

VERDICTS = ("stored", "refreshed", "cas", "seq")
DUMP_MAGIC = b"FDI\x01"             # the last byte is the version
DUMP_HEAD = 47                      # bytes of a record before its key, signature and value


cdef class ItemStore(ItemSlab):
    """Items indexed under a 16-byte `secret`; `seed` makes its choices repeatable.

    Holds `max_items`, of these `items_per_ip` of one source and `items_per_subnet`. An item expires `ttl_us` after its
    last put. `own_id` (20 bytes) is what "far" is measured from. Raises ValueError for a number below 1 or a wrong size.
    """

    def __cinit__(self, *, max_items: int = 1024, items_per_ip: int = 16, items_per_subnet: int = 64,
                  ttl_us: int = 7_200_000_000, secret: bytes, seed: int, own_id: bytes = bytes(20)):
        if len(secret) != 16 or len(own_id) != ID_SIZE:
            raise ValueError(f"secret is {len(secret)}, own_id {len(own_id)} bytes; 16 and {ID_SIZE} needed")
        for name, value, most in (("max_items", max_items, 1 << 20), ("items_per_ip", items_per_ip, 1 << 30),
                                  ("items_per_subnet", items_per_subnet, 1 << 30), ("ttl_us", ttl_us, 1 << 60)):
            if not 1 <= value <= most:
                raise ValueError(f"{name} is {value}; 1 to {most}")
        self.max_items, self.items_per_ip, self.items_per_subnet = max_items, items_per_ip, items_per_subnet
        self.ttl_us = ttl_us
        load_key(&self.key, secret)
        seed_rng(&self.rng, seed)
        self.change_id(own_id)
        self.allocate(max_items)

    # -- give out -------------------------------------------------------------------------------------------------

    cdef uint32_t find_alive(self, const uint8_t* target, uint32_t kinds, int64_t now_us) noexcept nogil:  # R0
        """The item of a target that has not expired, or NO_ITEM; of two kinds that share a target, the one made last."""
        cdef uint32_t item = self.find_item(target, kinds)
        if item != NO_ITEM and now_us - self.items[item].seen_us >= self.ttl_us:
            item = self.find_item(target, kinds & ~<uint32_t>self.items[item].kind)
            if item != NO_ITEM and now_us - self.items[item].seen_us >= self.ttl_us:
                return NO_ITEM
        return item

    # -- put ------------------------------------------------------------------------------------------------------

    cdef void put_immutable(self, const uint8_t* target, const Span* value, uint64_t source,
                            int64_t now_us) noexcept nogil:  # R0
        """Store or refresh a value of at most 1,000 bytes under its own hash."""
        cdef uint32_t item = self.reuse(target, ITEM_IMMUTABLE, source, now_us)
        self.write_value(item, value)

    cdef int put_mutable(self, const Put* put, uint64_t source, int64_t now_us) noexcept nogil:  # R0
        """Store an item whose signature is good, if cas and seq allow it; returns a Verdict."""
        cdef uint32_t item = self.find_alive(put.target, ITEM_MUTABLE, now_us)
        if item != NO_ITEM:
            if put.has_cas and put.cas != self.items[item].seq:
                return PUT_CAS_MISMATCH
            if put.seq <= self.items[item].seq:
                if put.seq < self.items[item].seq or not self.holds_value(item, &put.value):
                    return PUT_SEQ_TOO_LOW
                self.items[item].seen_us = now_us
                return PUT_REFRESHED
        item = self.reuse(put.target, ITEM_MUTABLE, source, now_us)
        self.items[item].seq = put.seq
        memcpy(self.bodies[item].key, put.key, KEY_SIZE)
        memcpy(self.bodies[item].signature, put.signature, SIGNATURE_SIZE)
        self.write_value(item, &put.value)
        return PUT_STORED

    cdef bint has_same(self, const Put* put, int64_t now_us) noexcept nogil:  # R0
        """Whether exactly this is stored, so that its signature need not be verified again."""
        cdef uint32_t item = self.find_alive(put.target, ITEM_MUTABLE, now_us)
        return (item != NO_ITEM and self.items[item].seq == put.seq and self.holds_value(item, &put.value)
                and memcmp(self.bodies[item].signature, put.signature, SIGNATURE_SIZE) == 0
                and memcmp(self.bodies[item].key, put.key, KEY_SIZE) == 0)

    cdef bint holds_value(self, uint32_t item, const Span* value) noexcept nogil:  # R0
        return (self.items[item].value_size == value.size
                and memcmp(self.bodies[item].value, value.data, value.size) == 0)

    cdef void write_value(self, uint32_t item, const Span* value) noexcept nogil:  # R0
        self.items[item].value_size = <uint16_t>value.size
        memcpy(self.bodies[item].value, value.data, value.size)

    cdef uint32_t reuse(self, const uint8_t* target, uint32_t kind, uint64_t source, int64_t now_us) noexcept nogil:  # R0
        """The item of a target, its time started anew; one that is new or had expired is its source's from now on."""
        cdef uint32_t item = self.find_item(target, kind)
        if item != NO_ITEM and now_us - self.items[item].seen_us >= self.ttl_us:
            self.close_item(item)
            item = NO_ITEM
        if item == NO_ITEM:
            item = self.place(target, kind, source, now_us)
        self.items[item].seen_us = now_us
        self.clock_us = max(self.clock_us, now_us)
        return item

    cdef uint32_t place(self, const uint8_t* target, uint32_t kind, uint64_t source, int64_t now_us) noexcept nogil:  # R0
        self.make_room(source, now_us)
        return self.open_item(target, kind, source)

    cdef void make_room(self, uint64_t source, int64_t now_us) noexcept nogil:  # R0
        cdef Survey own
        cdef uint32_t victim
        self.survey(source, &own)
        if own.of_source >= self.items_per_ip:
            victim = own.oldest_of_source
        elif own.of_subnet >= self.items_per_subnet:
            victim = own.oldest_of_subnet
        elif self.item_count < self.max_items:
            return
        else:
            victim = self.crowded_item(now_us)
            # With the newcomer, its own subnet may be the most crowded one.
            if (now_us - self.items[victim].seen_us < self.ttl_us
                    and own.of_subnet >= self.origins[self.items[victim].origin].count):
                victim = own.oldest_of_subnet
        self.evicted += 1
        self.close_item(victim)

    cdef uint32_t crowded_item(self, int64_t now_us) noexcept nogil:  # R0
        """Of a random sample: an expired item, else one of the most crowded subnet, then the farthest, the oldest."""
        cdef uint32_t i, item, crowd, victim = NO_ITEM, most = 0
        cdef int nearness, least = 0
        for i in range(<uint32_t>SAMPLE):
            item = self.order[random_below(&self.rng, self.item_count)]
            if now_us - self.items[item].seen_us >= self.ttl_us:
                return item
            crowd = self.origins[self.items[item].origin].count
            nearness = prefix_length(self.items[item].target, self.own_id)
            if victim != NO_ITEM and (crowd < most or (crowd == most and (
                    nearness > least
                    or (nearness == least and self.items[item].seen_us >= self.items[victim].seen_us)))):
                continue
            victim = item
            most = crowd
            least = nearness
        return victim

    # -- forget ---------------------------------------------------------------------------------------------------

    cdef uint32_t expire(self, int64_t now_us, uint32_t budget) noexcept nogil:  # R0
        """Look at up to `budget` items, going on where the last call stopped; returns how many were removed.

        Ends early after a whole round without one: the item that fills a gap may come from behind or from ahead.
        """
        cdef uint32_t removed = 0, alive = 0
        self.clock_us = max(self.clock_us, now_us)
        while budget and alive < self.item_count:
            budget -= 1
            if self.expire_position >= self.item_count:
                self.expire_position = 0
            if now_us - self.items[self.order[self.expire_position]].seen_us >= self.ttl_us:
                self.close_item(self.order[self.expire_position])
                removed += 1
                alive = 0
            else:
                self.expire_position += 1
                alive += 1
        return removed

    cdef void change_id(self, const uint8_t* own_id) noexcept nogil:  # R0
        memcpy(self.own_id, own_id, ID_SIZE)

    # -- from Python ----------------------------------------------------------------------------------------------

    def put_value(self, value: bytes, source: bytes, now_us: int) -> bytes:
        """Store an immutable item, 1 to 1,000 bencoded bytes, for a compact endpoint; returns its 20-byte target."""
        cdef Endpoint endpoint
        cdef Span span = value_span(value)
        cdef uint8_t target[ID_SIZE]
        load_compact(source, &endpoint)
        sha1(span.data, span.size, target)
        self.put_immutable(target, &span, source_of(&endpoint), now_us)
        return target[:ID_SIZE]

    def put_signed(self, public_key: bytes, signature: bytes, value: bytes, seq: int, source: bytes, now_us: int, *,
                   salt: bytes = b"", cas: int | None = None) -> str:
        """Store a mutable item whose signature the caller has verified; returns one of VERDICTS."""
        cdef Endpoint endpoint
        cdef Put put
        cdef uint8_t target[ID_SIZE]
        cdef bytes named = public_key + salt
        if len(public_key) != KEY_SIZE or len(signature) != SIGNATURE_SIZE or len(salt) > MAX_SALT:
            raise ValueError(f"key, signature and salt are {len(public_key)}, {len(signature)} and {len(salt)} bytes; "
                             f"{KEY_SIZE}, {SIGNATURE_SIZE} and at most {MAX_SALT} needed")
        load_compact(source, &endpoint)
        sha1(named, <uint32_t>len(named), target)
        put.target = target
        put.key = public_key
        put.signature = signature
        put.value = value_span(value)
        put.seq = seq
        put.has_cas = cas is not None
        put.cas = cas if cas is not None else 0
        return VERDICTS[self.put_mutable(&put, source_of(&endpoint), now_us)]

    def get(self, target: bytes, now_us: int) -> tuple | None:
        """(value, public key, signature, seq) of a 20-byte target, the last three None when immutable; None: nothing."""
        cdef uint32_t item
        if len(target) != ID_SIZE:
            raise ValueError(f"target is {len(target)} bytes; {ID_SIZE} needed")
        item = self.find_alive(target, ITEM_ANY, now_us)
        if item == NO_ITEM:
            return None
        value = self.bodies[item].value[:self.items[item].value_size]
        if self.items[item].kind == ITEM_IMMUTABLE:
            return value, None, None, None
        return (value, self.bodies[item].key[:KEY_SIZE], self.bodies[item].signature[:SIGNATURE_SIZE],
                self.items[item].seq)

    def reclaim(self, now_us: int, budget: int) -> int:
        """Look at up to `budget` items and remove the expired among them; returns how many those were."""
        return self.expire(now_us, budget)

    def dump(self) -> bytes:
        """Every item, for `load`: "FDI", the version 1, then a record each, all numbers big-endian.

        A record is target (20), kind (1: immutable, 2: mutable), source (8: the IPv4 address or the IPv6 /64),
        age in µs since its last put (8), seq (8, signed), size of the value (2), then public key (32) and signature
        (64) of a mutable item, then the value. Ages are as of the latest time this store was told.
        """
        cdef Item* item
        cdef Body* body
        parts = [DUMP_MAGIC]
        for i in range(self.item_count):
            item = &self.items[self.order[i]]
            body = &self.bodies[self.order[i]]
            parts.append(item.target[:ID_SIZE] + bytes((item.kind,)) + item.source.to_bytes(8, "big")
                         + max(0, self.clock_us - item.seen_us).to_bytes(8, "big")
                         + item.seq.to_bytes(8, "big", signed=True) + item.value_size.to_bytes(2, "big"))
            if item.kind == ITEM_MUTABLE:
                parts.append(body.key[:KEY_SIZE] + body.signature[:SIGNATURE_SIZE])
            parts.append(body.value[:item.value_size])
        return b"".join(parts)

    def load(self, dumped: bytes, now_us: int, elapsed_us: int = 0) -> int:
        """Add what `dump` wrote `elapsed_us` ago; returns how many items are alive still. The limits hold as in puts.

        Raises ValueError, and adds nothing, when that is no dump of this version, or an immutable value is not that
        of its target. Signatures are not verified again: the caller vouches for the bytes.
        """
        records = read_dump(dumped)
        loaded = 0
        for target, kind, source, age_us, seq, key, signature, value in records:
            if age_us + elapsed_us < self.ttl_us:
                self.restore(target, kind, source, now_us - age_us - elapsed_us, seq, key, signature, value, now_us)
                loaded += 1
        return loaded

    cdef int restore(self, bytes target, uint32_t kind, uint64_t source, int64_t seen_us, int64_t seq, bytes key,
                     bytes signature, bytes value, int64_t now_us) except -1:
        cdef Span span = value_span(value)
        cdef Put put
        cdef uint32_t item
        put.target, put.key, put.signature = target, key, signature
        put.value, put.seq, put.has_cas = span, seq, False
        if kind == ITEM_IMMUTABLE:
            self.put_immutable(target, &span, source, now_us)
        elif self.put_mutable(&put, source, now_us) != PUT_STORED:
            return 0                    # what is here is newer
        item = self.find_item(target, kind)
        self.items[item].seen_us = seen_us
        return 0


cdef list read_dump(bytes dumped):
    """The records of a dump, checked; raises ValueError."""
    if not dumped.startswith(DUMP_MAGIC):
        raise ValueError(f"a dump of items starts with {DUMP_MAGIC!r}, not {dumped[:4]!r}")
    records = []
    at = len(DUMP_MAGIC)
    while at < len(dumped):
        head = dumped[at:at + DUMP_HEAD]
        if len(head) < DUMP_HEAD or head[20] not in (ITEM_IMMUTABLE, ITEM_MUTABLE):
            raise ValueError(f"no record of an item at byte {at}")
        at += DUMP_HEAD
        signed = KEY_SIZE + SIGNATURE_SIZE if head[20] == ITEM_MUTABLE else 0
        size = int.from_bytes(head[45:], "big")
        key, signature = dumped[at:at + KEY_SIZE], dumped[at + KEY_SIZE:at + signed]
        value = dumped[at + signed:at + signed + size]
        check_value(head, value, size)
        at += signed + size
        records.append((head[:20], head[20], int.from_bytes(head[21:29], "big"), int.from_bytes(head[29:37], "big"),
                        int.from_bytes(head[37:45], "big", signed=True), key, signature, value))
    return records


cdef int check_value(bytes head, bytes value, size) except -1:
    """Raise ValueError unless the value is as long as its record says and, if immutable, that of its target."""
    cdef uint8_t target[ID_SIZE]
    cdef Span span = value_span(value)
    if len(value) != size:
        raise ValueError(f"value is {len(value)} bytes; its record says {size}")
    sha1(span.data, span.size, target)
    if head[20] == ITEM_IMMUTABLE and target[:ID_SIZE] != head[:ID_SIZE]:
        raise ValueError(f"the value of {head[:ID_SIZE].hex()} is not what its target names")
    return 0


cdef Span value_span(bytes value) except *:
    """A Span over a value that the caller keeps alive."""
    cdef Span span
    if not 1 <= len(value) <= MAX_VALUE:
        raise ValueError(f"value is {len(value)} bytes; BEP 44 allows 1 to {MAX_VALUE}")
    span.data = value
    span.size = <uint32_t>len(value)
    return span
