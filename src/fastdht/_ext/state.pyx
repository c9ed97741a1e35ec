"""The parts of a participant, built from one configuration. Rate class: packet (the methods), command (building).

Invariant: nothing here grows after construction. Events are for queries that one Python caller awaits; a full ring
loses the newest and counts it, as its caller's timeout still ends the wait.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport FAMILY_V4, read_compact
from fastdht._ext.hashing cimport seed_rng
from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.krpc cimport encode_query
from fastdht._ext.transactions cimport NO_SLOT


cdef class State:
    """Built by Core from a CoreConfig; see fastdht.config for what each setting means."""

    def __cinit__(self, config, own_id, bytes secret, uint64_t seed, Frontier frontier):
        if len(own_id) != ID_SIZE:
            raise ValueError(f"own id is {len(own_id)} bytes; 20 needed")
        if len(secret) != SECRET_SIZE:
            raise ValueError(f"secret is {len(secret)} bytes; {SECRET_SIZE} needed")
        own_id = bytes(own_id)
        memcpy(self.own_id, <const uint8_t*><bytes>own_id, ID_SIZE)
        seed_rng(&self.rng, seed)
        self.family = config.family
        self.is_read_only = config.read_only
        self.nodes_per_reply = min(config.table.k, MAX_NODES_IN_REPLY)
        self.values_per_reply = config.values_per_reply
        self.frontier = frontier
        self.has_frontier = frontier is not None
        self.crawl_families = 1 if config.family == FAMILY_V4 else 2
        self.votes = <Vote*>calloc(VOTE_RING, sizeof(Vote))
        self.event_capacity = config.events
        self.events = <Event*>calloc(config.events, sizeof(Event))
        if self.votes == NULL or self.events == NULL:
            raise MemoryError(f"no memory for {config.events} events")
        self.build(config, own_id, secret, seed)

    def __dealloc__(self):
        free(self.votes)
        free(self.events)

    cdef int build(self, config, bytes own_id, bytes secret, uint64_t seed) except -1:
        self.addresses = AddressFilter(
            config.allowed_nets, None if config.blocklist is None else config.blocklist.ranges)
        self.outbox = Outbox(config.outbox)
        self.transactions = TransactionTable(config.transactions, secret[:16], config.stall_us, config.timeout_us)
        self.shortlists = ShortlistPool(config.lookups, config.values_per_lookup, secret[16:32], self.addresses)
        memcpy(self.shortlists.own_id, self.own_id, ID_SIZE)
        self.throttle = Throttle(secret[32:48], **config.throttle.arguments())
        self.has_table = not self.has_frontier
        if self.has_table:
            self.table = RoutingTable(own_id, config.family, seed=seed, **config.table.arguments())
            self.tokens = TokenIssuer(secret[64:96], 0)
            self.peers = PeerStore(config.family, secret=secret[48:64], seed=seed, own_id=own_id,
                                   **config.peers.arguments())
            self.items = ItemStore(secret=secret[48:64], seed=seed, own_id=own_id, **config.items.arguments())
            self.parked = ParkedPuts(**config.puts.arguments())
            self.sample = InfoHashSample(self.peers, config.sample_interval_s, seed ^ 1)
        return 0

    cdef uint32_t send_query(self, const Endpoint* endpoint, Query* query, int64_t now_us) noexcept nogil:  # R0
        """Open a transaction and queue its query; the caller fills in who owns it. NO_SLOT: nothing was sent."""
        cdef Outgoing* outgoing
        cdef uint32_t slot, size
        if self.addresses.is_blocked(endpoint):
            self.counters[QUERY_BLOCKED] += 1
            return NO_SLOT
        outgoing = self.outbox.reserve()
        if outgoing == NULL:
            self.counters[OUTBOX_FULL] += 1
            return NO_SLOT
        slot = self.transactions.open(endpoint, now_us)
        if slot == NO_SLOT:
            self.counters[NO_TRANSACTION] += 1
            return NO_SLOT
        query.id = self.own_id
        query.read_only = self.is_read_only
        size = encode_query(outgoing.data, self.transactions.tid_of(slot), query)
        if size == 0:
            self.transactions.close(slot)
            return NO_SLOT
        outgoing.target = endpoint[0]
        self.outbox.commit(size)
        self.transactions.slots[slot].method = query.method
        self.counters[SENT_QUERIES] += 1
        return slot

    cdef Event* add_event(self, const Transaction* transaction, int64_t now_us) noexcept nogil:  # R0
        cdef Event* event
        if self.event_count == self.event_capacity:
            self.counters[EVENTS_LOST] += 1
            return NULL
        event = &self.events[(self.event_first + self.event_count) % self.event_capacity]
        self.event_count += 1
        event.caller = transaction.owner_slot
        event.rtt_us = <uint32_t>(now_us - transaction.sent_us)
        event.source = transaction.endpoint
        event.size = 0
        event.is_refused = False
        return event

    cdef void add_vote(self, const Endpoint* voter, const Message* message) noexcept nogil:  # R0
        """Note what an answer says our address is (BEP 42); only the family of this socket counts."""
        cdef Vote* vote
        if message.external.size != (6 if self.family == FAMILY_V4 else 18):
            return
        vote = &self.votes[self.vote_count % VOTE_RING]
        vote.voter = voter[0]
        read_compact(message.external.data, self.family, &vote.claimed)
        self.vote_count += 1
