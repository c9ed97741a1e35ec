"""Rate limits in and out, and a fair share of the reply budget. Rate class: packet.

Every limit is a meter: the time at which all that was taken will have drained. Taking adds an interval; what would
put the meter further ahead of now than the tolerance is refused. Meters stand in four-way sets hashed under a secret;
a newcomer takes the place of the one that drains first, so floods of new sources do not free those already at their
limit, and memory is fixed. Losing a meter only ever makes us more generous.

The reply budget has three pools. All may use the common one. When a flood has emptied it, sources that ask rarely
draw from a second, in which no wide prefix may take more than its even share in a second (spoofed addresses of one
prefix do not starve the others), and sources whose address is proved draw from a third.
Proved is who answered a query of ours or echoed a token: that cannot be done from a spoofed address.
"""
from libc.stdlib cimport calloc, free
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from fastdht._ext.addresses cimport FAMILY_V4, load_compact, same_address, subnet_of
from fastdht._ext.hashing cimport load_key, mix_words
from fastdht._ext.prefetch cimport fastdht_fetch, fetch_span

cdef enum:
    BYTE_SHIFT = 20
    MAX_SPENT = 4096                # larger replies do not exist; keeps size × cost within 63 bits


# Not enumerators: those would be 32 bits wide.
cdef int64_t CALM_INTERVAL_NS = 3_000_000_000       # a source is calm at one query in 3 s …
cdef int64_t CALM_TOLERANCE_NS = 9_000_000_000      # … and with three at once; more would let newcomers in too long
cdef int64_t CALM_MEMORY_NS = 60_000_000_000        # after so long without a query any source is calm again
cdef int64_t ABUSE_TOLERANCE_NS = 10_000_000_000    # muted after ten seconds above `mute_factor` times its rate
cdef int64_t SECOND_NS = 1_000_000_000
cdef int64_t ITEM_INTERVAL_NS = 5_000_000_000       # between large items for unproved sources of one subnet


cdef inline bint is_over(int64_t meter, int64_t now_ns, int64_t tolerance_ns) noexcept nogil:
    return meter - now_ns > tolerance_ns


cdef inline void take(int64_t* meter, int64_t now_ns, int64_t cost_ns) noexcept nogil:
    meter[0] = max(meter[0], now_ns) + cost_ns


cdef inline void* find_record(const Table* table, uint64_t tag, size_t size) noexcept nogil:
    """The record of `tag`, of `size` bytes; when it has none, the one of its set that drains first, emptied."""
    cdef uint8_t* records = <uint8_t*>table.records + WAYS * (tag & table.mask) * size
    cdef Meter* first = <Meter*>records
    cdef Meter* meter
    cdef int i
    for i in range(WAYS):
        meter = <Meter*>(records + i * size)
        if meter.tag == tag:
            return meter
        if meter.drained < first.drained:
            first = meter
    memset(first, 0, size)
    first.tag = tag
    return first


cdef Slot* find_slot(const Table* table, uint64_t tag) noexcept nogil:  # R0
    return <Slot*>find_record(table, tag, sizeof(Slot))


cdef Meter* find_meter(const Table* table, uint64_t tag) noexcept nogil:  # R0
    return <Meter*>find_record(table, tag, sizeof(Meter))


cdef inline void fetch_set(const Table* table, uint64_t tag, size_t size) noexcept nogil:
    fetch_span(<uint8_t*>table.records + WAYS * (tag & table.mask) * size, WAYS * size)


cdef class Throttle:
    """Limits under a 16-byte `secret`; rates in queries or bytes per second, bursts in queries, times in seconds.

    Queries: `per_ip_rate`, `per_ip_burst` and the same per subnet; a source above `mute_factor` times its rate for
    ten seconds is muted for `mute_s`. Replies: `reply_bytes_per_s` in all, `subnet_reply_bytes_per_s` to one subnet,
    and to an unproved source at most `amplification` times its query. Our own queries: so many in `outbound_window_s`
    to one address and to one subnet. Sizes count slots and are rounded up to a power of two. With `enabled` false all
    is checked and counted, and nothing refused. Raises ValueError for a number that is not positive.
    """

    def __cinit__(self, secret: bytes, *, per_ip_rate: float = 8, per_ip_burst: int = 40, per_subnet_rate: float = 40,
                  per_subnet_burst: int = 120, mute_factor: float = 3, mute_s: int = 300,
                  reply_bytes_per_s: int = 64_000, subnet_reply_bytes_per_s: int = 20_000, amplification: int = 6,
                  outbound_per_ip: int = 4, outbound_per_subnet: int = 16, outbound_window_s: int = 10,
                  proved_s: int = 600, sources: int = 65_536, subnets: int = 16_384, proved: int = 16_384,
                  destinations: int = 16_384, enabled: bool = True):
        if len(secret) != 16:
            raise ValueError(f"secret is {len(secret)} bytes; 16 needed")
        for name, value in list(locals().items()):
            if name not in ("self", "secret", "enabled") and not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        load_key(&self.key, secret)
        self.enabled = enabled
        self.per_source = make_limit(per_ip_rate, per_ip_burst)
        self.per_subnet = make_limit(per_subnet_rate, per_subnet_burst)
        self.per_destination = make_window(outbound_per_ip, outbound_window_s)
        self.per_destination_net = make_window(outbound_per_subnet, outbound_window_s)
        self.abuse_interval_ns = int(1_000_000_000 / (mute_factor * per_ip_rate))
        self.mute_ns = min(mute_s, 1 << 30) * 1_000_000_000
        self.subnet_bytes = make_byte_limit(subnet_reply_bytes_per_s)
        self.pool_limits[POOL_COMMON] = make_byte_limit(reply_bytes_per_s / 2)
        self.pool_limits[POOL_CALM] = self.pool_limits[POOL_PROVED] = make_byte_limit(reply_bytes_per_s / 4)
        self.calm_bytes = min(reply_bytes_per_s // 4, 1 << 31)
        self.amplification = min(amplification, 1 << 30)
        self.proved_s = min(proved_s, 1 << 30)
        self.allocate_table(0, &self.sources, sources, sizeof(Slot))
        self.allocate_table(1, &self.subnets, subnets, sizeof(Slot))
        self.allocate_table(2, &self.destinations, destinations, sizeof(Meter))
        self.allocate_table(3, &self.destination_nets, destinations, sizeof(Meter))
        self.proof_mask = power_of_two(max(1, proved // 8)) - 1
        self.proofs = <Proof*>self.allocate(4, (self.proof_mask + 1) * 8 * sizeof(Proof))

    def __dealloc__(self):
        cdef int i
        for i in range(5):
            free(self.memory[i])

    cdef int allocate_table(self, int number, Table* table, records, size_t size) except -1:
        table.mask = power_of_two(max(1, records // WAYS)) - 1
        table.records = self.allocate(number, (table.mask + 1) * WAYS * size)
        return 0

    cdef void* allocate(self, int number, size_t size) except NULL:
        """Zeroed memory that starts a cache line, so that a set never spans two."""
        self.memory[number] = calloc(size + 64, 1)
        if self.memory[number] == NULL:
            raise MemoryError(f"a throttle table of {size} bytes does not fit")
        return <void*>((<uintptr_t>self.memory[number] + 63) & ~<uintptr_t>63)

    cdef void expect(self, const Endpoint* source) noexcept nogil:  # R0
        """Have memory fetch what a query from this source will need: its records are seldom in the cache."""
        cdef uint64_t tag = self.tag_of(source)
        fetch_set(&self.sources, tag, sizeof(Slot))
        fastdht_fetch(&self.proofs[8 * (tag & self.proof_mask)])
        fetch_set(&self.subnets, self.net_tag_of(source), sizeof(Slot))

    cdef void expect_answer(self, const Endpoint* source) noexcept nogil:  # R0
        """Likewise for an answer, which proves its source."""
        fastdht_fetch(&self.proofs[8 * (self.tag_of(source) & self.proof_mask)])

    cdef void expect_query_to(self, const Endpoint* target) noexcept nogil:  # R0
        """Likewise for a query of ours."""
        fetch_set(&self.destinations, self.tag_of(target), sizeof(Meter))
        fetch_set(&self.destination_nets, self.net_tag_of(target), sizeof(Meter))

    cdef bint admit(self, const Endpoint* source, int64_t now_us) noexcept nogil:  # R0
        """Whether to look at a query at all. Counts it against source and subnet if so."""
        cdef int64_t now_ns = now_us * 1000
        cdef int64_t* meters
        self.locate(source)
        meters = self.source.meters
        take(&meters[METER_CALM], now_ns, CALM_INTERVAL_NS)
        meters[METER_CALM] = min(meters[METER_CALM], now_ns + CALM_MEMORY_NS)
        take(&meters[METER_ABUSE], now_ns, self.abuse_interval_ns)
        if is_over(meters[METER_ABUSE], now_ns, ABUSE_TOLERANCE_NS):
            self.mutes += 1
            meters[METER_ABUSE] = now_ns
            meters[METER_QUERIES] = now_ns + self.per_source.tolerance_ns + self.mute_ns
        if is_over(meters[METER_QUERIES], now_ns, self.per_source.tolerance_ns):
            self.dropped_source += 1
            return not self.enabled
        if is_over(self.subnet.meters[METER_QUERIES], now_ns, self.per_subnet.tolerance_ns):
            self.dropped_subnet += 1
            return not self.enabled
        take(&meters[METER_QUERIES], now_ns, self.per_source.interval_ns)
        take(&self.subnet.meters[METER_QUERIES], now_ns, self.per_subnet.interval_ns)
        return True

    cdef uint32_t reply_allowance(self, const Endpoint* source, uint32_t query_size, int64_t now_us) noexcept nogil:  # R0
        """The most bytes that may answer a query of this size; 0: stay silent."""
        cdef int64_t now_ns = now_us * 1000
        cdef uint32_t most = MAX_REPLY_V4 if source.family == FAMILY_V4 else MAX_REPLY_V6
        cdef bint proved
        self.locate(source)
        proved = self.is_proved(self.recent_tag, now_us)
        self.is_recent_proved = proved
        self.recent_size = query_size
        self.pool = self.choose_pool(proved, now_ns)
        if is_over(self.subnet.meters[METER_BYTES], now_ns, self.subnet_bytes.tolerance_ns):
            self.denied_subnet += 1
            return 0 if self.enabled else most
        if self.pool == POOL_NONE:
            self.denied_budget += 1
            return 0 if self.enabled else most
        if not proved and self.enabled:
            most = <uint32_t>min(<uint64_t>most, self.amplification * query_size)
        return most

    cdef uint32_t item_allowance(self, int64_t now_us) noexcept nogil:  # R0
        """The most bytes that may answer the query last asked about, if an item needs more than its allowance.

        0: no more than that. An unproved source may get so much once in five seconds for all of its subnet: an item
        amplifies twice as much as any other answer, but who asks for one has seldom been asked by us before.
        """
        cdef int64_t now_ns = now_us * 1000
        cdef uint32_t most = MAX_ITEM_REPLY_V4 if self.recent.family == FAMILY_V4 else MAX_ITEM_REPLY_V6
        if self.is_recent_proved or not self.enabled or self.amplification * self.recent_size >= most:
            return most
        if is_over(self.subnet.meters[METER_ITEMS], now_ns, 0):
            self.denied_items += 1
            return 0
        take(&self.subnet.meters[METER_ITEMS], now_ns, ITEM_INTERVAL_NS)
        return min(most, <uint32_t>ITEM_AMPLIFICATION * self.recent_size)

    cdef int choose_pool(self, bint proved, int64_t now_ns) noexcept nogil:  # R0
        if not is_over(self.pools[POOL_COMMON], now_ns, self.pool_limits[POOL_COMMON].tolerance_ns):
            return POOL_COMMON
        if proved and not is_over(self.pools[POOL_PROVED], now_ns, self.pool_limits[POOL_PROVED].tolerance_ns):
            return POOL_PROVED
        if (not is_over(self.source.meters[METER_CALM], now_ns, CALM_TOLERANCE_NS)
                and not is_over(self.pools[POOL_CALM], now_ns, self.pool_limits[POOL_CALM].tolerance_ns)
                and self.is_fair(now_ns)):
            return POOL_CALM
        return POOL_NONE

    cdef bint is_fair(self, int64_t now_ns) noexcept nogil:  # R0
        """Whether the source's wide prefix has taken less than an even share of this second; one reply is always."""
        cdef uint32_t window = <uint32_t>(now_ns / SECOND_NS) + 1
        if window != self.window:
            self.active_before = self.active_cells if window == self.window + 1 else 0
            self.active_cells = 0
            self.window = window
        if self.cell.window != window:
            self.cell.window = window
            self.cell.taken = 0
            self.active_cells += 1
        return self.cell.taken == 0 or self.cell.taken < self.calm_bytes / max(self.active_cells, self.active_before)

    cdef void spend(self, const Endpoint* source, uint32_t reply_size, int64_t now_us) noexcept nogil:  # R0
        """Charge a reply to the pool that allowed it, and to the subnet it goes to."""
        cdef int64_t now_ns = now_us * 1000
        cdef int64_t size = min(reply_size, <uint32_t>MAX_SPENT)
        self.locate(source)
        take(&self.subnet.meters[METER_BYTES], now_ns, (size * self.subnet_bytes.cost) >> BYTE_SHIFT)
        if self.pool == POOL_NONE:
            return
        take(&self.pools[self.pool], now_ns, (size * self.pool_limits[self.pool].cost) >> BYTE_SHIFT)
        if self.pool == POOL_CALM:
            self.cell.taken += <uint32_t>size

    cdef void prove(self, const Endpoint* source, int64_t now_us) noexcept nogil:  # R0
        """The source answered a query of ours, or echoed a token: nobody spoofs its address."""
        cdef uint64_t tag = self.tag_of(source)
        cdef Proof* proofs = &self.proofs[8 * (tag & self.proof_mask)]
        cdef uint32_t i, oldest = 0
        for i in range(8):
            if proofs[i].tag == <uint32_t>(tag >> 32):
                oldest = i
                break
            if proofs[i].until_s < proofs[oldest].until_s:
                oldest = i
        proofs[oldest].tag = <uint32_t>(tag >> 32)
        proofs[oldest].until_s = <uint32_t>(now_us / 1_000_000) + self.proved_s

    cdef bint is_proved(self, uint64_t tag, int64_t now_us) noexcept nogil:  # R0
        cdef const Proof* proofs = &self.proofs[8 * (tag & self.proof_mask)]
        cdef uint32_t now_s = <uint32_t>(now_us / 1_000_000)
        cdef uint32_t i
        cdef bint found = False
        for i in range(8):
            found |= (proofs[i].tag == <uint32_t>(tag >> 32)) & (proofs[i].until_s > now_s)
        return found

    cdef bint admit_query_to(self, const Endpoint* target, int64_t now_us) noexcept nogil:  # R0
        """Whether we may query this address now; counts the query if so. Replies may name a victim's address."""
        cdef int64_t now_ns = now_us * 1000
        cdef Meter* one = find_meter(&self.destinations, self.tag_of(target))
        cdef Meter* net = find_meter(&self.destination_nets, self.net_tag_of(target))
        if (is_over(one.drained, now_ns, self.per_destination.tolerance_ns)
                or is_over(net.drained, now_ns, self.per_destination_net.tolerance_ns)):
            self.denied_outbound += 1
            return not self.enabled
        take(&one.drained, now_ns, self.per_destination.interval_ns)
        take(&net.drained, now_ns, self.per_destination_net.interval_ns)
        return True

    cdef void locate(self, const Endpoint* source) noexcept nogil:  # R0
        """Find the slots of a source; the three calls of one packet share the search."""
        cdef uint64_t tag
        if same_address(source, &self.recent):
            return
        tag = self.tag_of(source)
        self.recent = source[0]
        self.recent_tag = tag
        self.source = find_slot(&self.sources, tag)
        self.subnet = find_slot(&self.subnets, self.net_tag_of(source))
        if source.family == FAMILY_V4:
            self.cell = &self.cells[(source.low >> 24) & (CELLS - 1)]
        else:
            self.cell = &self.cells[mix_words(&self.key, source.high >> 32, 3) & (CELLS - 1)]
        self.pool = POOL_COMMON

    cdef uint64_t tag_of(self, const Endpoint* endpoint) noexcept nogil:  # R0
        return mix_words(&self.key, endpoint.low if endpoint.family == FAMILY_V4 else endpoint.high, endpoint.family) | (
            <uint64_t>1 << 63)

    cdef uint64_t net_tag_of(self, const Endpoint* endpoint) noexcept nogil:  # R0
        cdef uint64_t subnet = subnet_of(endpoint)
        return mix_words(&self.key, subnet if endpoint.family == FAMILY_V4 else subnet >> 8, 2) | (<uint64_t>1 << 63)

    def admits(self, packed: bytes, now_us: int) -> bool:
        """Whether a query from this compact endpoint is looked at; counts it."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        return self.admit(&endpoint, now_us)

    def allowance(self, packed: bytes, query_size: int, now_us: int) -> int:
        """The most bytes that may answer a query of this size from this compact endpoint; 0: none."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        return self.reply_allowance(&endpoint, query_size, now_us)

    def spent(self, packed: bytes, reply_size: int, now_us: int) -> None:
        """A reply of so many bytes went to this compact endpoint."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        self.spend(&endpoint, reply_size, now_us)

    def proved(self, packed: bytes, now_us: int) -> None:
        """This compact endpoint answered a query of ours, or echoed a token."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        self.prove(&endpoint, now_us)

    def admits_query_to(self, packed: bytes, now_us: int) -> bool:
        """Whether we may query this compact endpoint now; counts the query."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        return self.admit_query_to(&endpoint, now_us)


cdef Limit make_limit(rate, burst):
    cdef Limit limit
    interval_ns = int(1_000_000_000 / rate)
    limit.interval_ns = min(interval_ns, 1 << 60)
    limit.tolerance_ns = min((burst - 1) * interval_ns, 1 << 60)
    return limit


cdef Limit make_window(count, window_s):
    """At most `count` in any such window: half of them at once, the others evenly later."""
    cdef Limit limit
    burst = max(1, count // 2)
    interval_ns = -(-window_s * 1_000_000_000 // (count - burst + 1)) if count < 1_000_000_000 else 0
    limit.interval_ns = min(interval_ns, 1 << 60)
    limit.tolerance_ns = min((burst - 1) * interval_ns, 1 << 60)
    return limit


cdef ByteLimit make_byte_limit(rate):
    """A second's worth may be taken at once."""
    cdef ByteLimit limit
    limit.cost = min(int(1e9 * 2**BYTE_SHIFT / rate), 1 << 50)
    limit.tolerance_ns = SECOND_NS
    return limit


cdef uint64_t power_of_two(size):
    return 1 << (size - 1).bit_length()
