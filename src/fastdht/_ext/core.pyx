"""One participant without I/O: what every datagram and every deadline does. Rate class: packet; batch and lookup where
Python enters.

Invariants: no clock, socket, logger or environment is read; nothing from the network raises; every datagram is either
handled, parked or counted under one drop reason, so that RECEIVED is the sum of them. The cheapest check comes first: size,
first and last byte, source, throttle, scan, kind.
"""
from cpython.bytes cimport PyBytes_AsString
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport dump_compact, load_compact
from fastdht._ext.candidates cimport Shortlist
from fastdht._ext.frontier cimport Frontier
from fastdht._ext.ids cimport Contact, ID_SIZE, load_seed
from fastdht._ext.krpc cimport DECODE_OK, KIND_QUERY, Message, decode
from fastdht._ext.machine cimport decide
from fastdht._ext.packets cimport Incoming
from fastdht._ext.peers_dump cimport dump_peers, load_peers
from fastdht._ext.queries cimport ask_closest, expect_questions, ping_contact, pump, wake_lookups
from fastdht._ext.reception cimport looks_like_query, receive_one
from fastdht._ext.replies cimport handle_silence, handle_stall
from fastdht._ext.shortlist cimport FLAG_RESULTS, ShortlistPool, View
from fastdht._ext.state cimport *
from fastdht._ext.storage cimport SIGNATURE_BAD, SIGNATURE_GOOD, SIGNATURE_UNKNOWN, finish_put, take_parked
from fastdht._ext.transactions cimport NO_SLOT, OWNER_DIRECT

cdef enum:
    SEED_CONTACTS = 16          # taken from the table when a lookup opens
    SWEEP_QUANTUM_US = 10000    # deadlines nearer together than this are swept at once
    LOOKAHEAD = 3               # datagrams whose source's records are fetched while earlier ones are answered
    WAKE_QUANTUM_US = 100000    # late and blocked lookups are looked for ten times a second

COUNTER_NAMES = (
    "received", "queries_handled", "responses_handled", "errors_handled", "drop_truncated", "drop_too_short",
    "drop_not_a_dictionary", "drop_bad_source", "drop_blocked", "drop_throttled", "drop_bad_syntax", "drop_too_deep",
    "drop_too_many_tokens", "drop_no_kind", "drop_bad_tid", "drop_own_id", "drop_not_asked", "drop_read_only",
    "drop_no_allowance", "drop_error_too_large", "drop_put_crowded", None, "sent_queries", "sent_replies",
    "sent_errors", "outbox_full", "no_transaction", "query_blocked", "outbound_limited", "stalls", "timeouts", "unreachable",
    "id_mismatches", "answers_without_id", "events_lost")
METHOD_NAMES = ("ping", "find_node", "get_peers", "announce_peer", "get", "put", "sample_infohashes", "unknown")


cdef class Core(DirectQueries):
    """A participant of one family: `config` is a CoreConfig, `own_id` 20 bytes, `secret` 96 random bytes, `seed` 64 bits."""

    def __init__(self, config, own_id: bytes, secret: bytes, seed: int, frontier: Frontier | None = None):
        self.state = State(config, own_id, secret, seed, frontier)
        self.outbox = self.state.outbox

    cpdef void receive_batch(self, Inbox inbox, int64_t now_us):
        """Take in one batch; answers and further questions stand in the outbox afterwards."""
        take_in(self.state, inbox, now_us)

    def receive(self, data: bytes, source: bytes, now_us: int) -> None:
        """Take in one datagram from a compact endpoint (6 or 18 bytes)."""
        cdef Endpoint endpoint
        load_compact(source, &endpoint)
        receive_one(self.state, data, <uint32_t>len(data), &endpoint, False, now_us)

    cpdef void receive_unreachable(self, Inbox inbox, int64_t now_us):
        """Take in our own datagrams that the network returned; each fails its transaction at once."""
        cdef uint32_t i, slot
        cdef Incoming* incoming
        cdef Message message
        for i in range(inbox.count):
            incoming = &inbox.datagrams[i]
            if decode(incoming.data, incoming.size, &message) != DECODE_OK or message.kind != KIND_QUERY:
                continue
            slot = self.state.transactions.match(&message.tid, &incoming.source)
            if slot != NO_SLOT:
                handle_silence(self.state, slot, True, now_us)

    cpdef void advance(self, int64_t now_us):
        """Do what time demands: stalls, timeouts, late lookups, and the questions that a crawl's pace allows."""
        advance(self.state, now_us)

    cpdef int64_t next_deadline(self, int64_t now_us):
        """When `advance` is wanted next, in µs of the same clock; -1 when nothing is waiting."""
        return next_deadline(self.state, now_us)

    def take_parked(self, uint32_t limit, int64_t now_us) -> list:
        """Up to `limit` mutable puts to verify: (slot, public key, signature, what it signs). finish_put must follow."""
        return take_parked(self.state, limit, now_us) if self.state.has_table else []

    def finish_put(self, uint64_t slot, ok, int64_t now_us) -> None:
        """Store or refuse a put of take_parked, and answer it. `ok`: whether its signature is good; None: unknown."""
        finish_put(self.state, slot, SIGNATURE_UNKNOWN if ok is None else SIGNATURE_GOOD if ok else SIGNATURE_BAD, now_us)

    cpdef void step_lookups(self, list branches, int64_t now_us, list machines=None):
        """Step each dirty lookup once: `branches[slot].step(…)` says how many to ask, and is told of its end.

        It is told of results too once `watch_lookup` was called. An exception in a step fails that lookup only.
        `machines`: who decides instead, by slot; None: the policy of machine.pxd.
        """
        cdef list deciders = branches if machines is None else machines
        cdef ShortlistPool pool = self.state.shortlists
        cdef uint32_t slot, left = pool.dirty_count
        cdef View view
        cdef int wanted
        cdef Shortlist* shortlist
        while left:
            left -= 1
            slot = pool.next_dirty()
            if slot == NO_SLOT:
                return
            shortlist = &pool.lists[slot]
            view = pool.view(slot)
            expect_questions(self.state, slot, view.fresh)
            branch = branches[slot]
            decider = deciders[slot]
            try:
                if decider is None:
                    wanted = decide(&view, shortlist.alpha, &shortlist.phase)
                else:
                    wanted = decider.step(view.in_flight, view.fresh, view.pending, view.answered, view.flags)
                if view.flags & FLAG_RESULTS and shortlist.is_watched:
                    branch.on_results()
                if wanted < 0:
                    branch.on_finished()
                elif wanted > 0 and shortlist.is_active:
                    ask_closest(self.state, slot, wanted, now_us)
            except Exception as error:
                branch.on_failed(error)

    def has_dirty(self) -> bool:
        return self.state.shortlists.dirty_count > 0

    cpdef int open_lookup(self, int method, target, int width, int wide_width, int subnet_limit, int max_queries,
                          int64_t deadline_us, int64_t now_us, seeds=(), bint noseed=False, bint is_fixed=False,
                          bint scrape=False, uint32_t reader=0, int alpha=0) except -2:
        """Open a lookup of a krpc Method for 20 bytes; returns its slot, or -1 when all are in use.

        Candidates are the closest of the table and `seeds`: compact node info (26 or 38 bytes), or compact endpoints,
        asked before their ids are known; with `is_fixed` only the seeds are asked. Answers with more in them than nodes come as events under `reader`, if given.
        `alpha`: queries in flight, for lookups without a machine.
        """
        cdef uint32_t slot, i, count
        cdef int has_id
        cdef Shortlist* shortlist
        cdef Contact contacts[SEED_CONTACTS]
        cdef Contact contact
        cdef const uint8_t* wanted = id_pointer(target)
        slot = self.state.shortlists.open(wanted, method)
        if slot == NO_SLOT:
            return -1
        shortlist = &self.state.shortlists.lists[slot]
        shortlist.width = width
        shortlist.wide_width = wide_width
        shortlist.subnet_limit = subnet_limit
        shortlist.max_queries = max_queries
        shortlist.alpha = <uint16_t>alpha
        shortlist.started_us = now_us
        shortlist.deadline_us = deadline_us
        shortlist.noseed = noseed
        shortlist.is_fixed = is_fixed
        shortlist.scrape = scrape
        shortlist.reader = reader
        if not is_fixed:
            count = self.state.table.copy_closest(wanted, SEED_CONTACTS, contacts)
            for i in range(count):
                self.state.shortlists.add(slot, &contacts[i], True, 0)
        for packed in seeds:
            has_id = load_seed(packed, &contact)
            if contact.endpoint.family == self.state.family and self.state.addresses.is_contactable(&contact.endpoint):
                self.state.shortlists.add(slot, &contact, has_id, 0)
        self.state.shortlists.mark_dirty(slot)
        return <int>slot

    cpdef Result finish_lookup(self, uint32_t slot, uint32_t limit):
        """Free a lookup's slot: what is still out for it is answered to nobody. What it knew, as `result_of` says."""
        cdef Result result = self.state.shortlists.result_of(slot, limit)
        self.state.shortlists.close(slot)
        return result

    cpdef void watch_lookup(self, uint32_t slot):
        """Have the lookup's branch told of results as they come; most callers only want to hear of the end."""
        self.state.shortlists.lists[slot].is_watched = True

    cpdef list lookup_values(self, uint32_t slot):
        """Compact endpoints of the peers found since the last call."""
        return self.state.shortlists.take_values(slot)

    def ping_questionable(self, uint32_t limit, int64_t now_us) -> int:
        """Ping up to `limit` contacts of the table that are due (BEP 5: questionable); returns how many."""
        cdef Contact contact
        cdef uint32_t sent = 0
        while sent < limit and self.state.table.pick_questionable(now_us, &contact):
            if not ping_contact(self.state, &contact, now_us):
                break
            sent += 1
        return sent

    def refresh_target(self, int64_t now_us) -> bytes | None:
        """A random id in the range of a bucket that has not changed for 15 minutes (BEP 5), or None."""
        cdef uint8_t target[ID_SIZE]
        if self.state.table.pick_refresh(now_us, target):
            return target[:ID_SIZE]
        return None

    def take_votes(self) -> list:
        """(voter, claimed address), compact endpoints both, of the newest answers that named our address."""
        cdef uint32_t i, count = min(self.state.vote_count, <uint32_t>VOTE_RING)
        self.state.vote_count = 0
        return [(dump_compact(&self.state.votes[i].voter), dump_compact(&self.state.votes[i].claimed))
                for i in range(count)]

    def change_id(self, own_id) -> None:
        """Become another node: queries carry the new id, the table is filed anew."""
        cdef bytes held = id_bytes(own_id)
        memcpy(self.state.own_id, <const uint8_t*>held, ID_SIZE)
        memcpy(self.state.shortlists.own_id, <const uint8_t*>held, ID_SIZE)
        if self.state.has_table:
            self.state.table.change_id(held)
            self.state.peers.change_id(held)
            self.state.items.change_id(held)

    def rotate_token_secret(self, bytes secret, int64_t now_us) -> None:
        """Tokens of the last secret stay valid for one more rotation (BEP 5: every 5 minutes)."""
        self.state.tokens.rotate(secret, now_us)

    def expire_peers(self, uint32_t budget, int64_t now_us) -> int:
        """Look at up to `budget` stored swarms for peers past their time; returns how many peers went."""
        return self.state.peers.expire(now_us, budget)

    def dump_peers(self, int64_t now_us) -> bytes:
        """The announced peers, for a later process; peers_dump.pyx has the format."""
        return dump_peers(self.state.peers, now_us)

    def load_peers(self, bytes data, int64_t now_us, int64_t away_us=0) -> int:
        """Add peers that were dumped `away_us` ago; returns how many. Raises ValueError for what is no such dump."""
        return load_peers(self.state.peers, data, now_us, away_us)

    def expire_items(self, uint32_t budget, int64_t now_us) -> int:
        """Look at up to `budget` stored items for those past their time; returns how many went."""
        return self.state.items.expire(now_us, budget)

    def set_read_only(self, bint is_read_only) -> None:
        """Serve no queries and say so in our own (BEP 43)."""
        self.state.is_read_only = is_read_only or self.state.has_frontier

    def set_sibling(self, Core other) -> None:
        """Link the participant of the other family, whose nodes `want` may ask for (BEP 32)."""
        self.state.sibling = other.state if other is not None else None
        self.state.has_sibling = other is not None and other.state.has_table

    def set_stall(self, int64_t stall_us) -> None:
        """How long to wait for an answer before another node is asked, in µs; at most the timeout."""
        self.state.transactions.stall_us = min(stall_us, self.state.transactions.timeout_us)

    def set_timeout(self, timeout_us: int) -> None:
        """How long an answer is waited for at all, in µs; also of queries already out. Never shorter than the stall."""
        self.state.transactions.timeout_us = max(timeout_us, self.state.transactions.stall_us)

    @property
    def own_id(self) -> bytes:
        return self.state.own_id[:ID_SIZE]

    cpdef bint has_contacts(self):
        """Whether the table holds anybody we could ask."""
        return self.state.has_table and self.state.table.occupied != 0

    @property
    def table(self):
        return self.state.table

    @property
    def items(self):
        """The ItemStore; None in a crawl."""
        return self.state.items

    @property
    def peers(self):
        return self.state.peers

    @property
    def lookups_open(self) -> int:
        return self.state.shortlists.active

    @property
    def transactions_open(self) -> int:
        return self.state.transactions.count

    def drain(self) -> list:
        """Take what the outbox holds: (datagram, compact target) each; for tests and in-memory networks."""
        return self.outbox.take()

    def counters(self) -> dict:
        """Every counter by name, and the queries handled by method."""
        counted = {name: self.state.counters[i] for i, name in enumerate(COUNTER_NAMES) if name is not None}
        counted["methods"] = {name: self.state.methods[i] for i, name in enumerate(METHOD_NAMES)}
        counted["tid_unknown"] = self.state.transactions.unknown
        counted["tid_mismatched"] = self.state.transactions.mismatched
        return counted

    def check_invariants(self) -> None:
        """Raise AssertionError where any part contradicts itself; for tests and the fuzzer."""
        cdef uint64_t handled = 0
        cdef int i
        for i in range(RECEIVED + 1, HANDLED_END):
            handled += self.state.counters[i]
        if self.state.has_table:
            handled += self.state.parked.count
        if handled != self.state.counters[RECEIVED]:
            raise AssertionError(f"{self.state.counters[RECEIVED]} received, {handled} accounted for")
        self.state.shortlists.check_invariants()
        self.state.transactions.check_invariants()
        if self.state.has_table:
            self.state.table.check_invariants()
            self.state.peers.check_invariants()
            self.state.items.check_invariants()
            self.state.parked.check_invariants()


cdef void take_in(State state, Inbox inbox, int64_t now_us) noexcept nogil:  # R0
    cdef uint32_t i
    cdef Incoming* incoming
    cdef bint has_records = not state.has_frontier
    for i in range(min(inbox.count, <uint32_t>LOOKAHEAD) if has_records else 0):
        expect_datagram(state, &inbox.datagrams[i])
    for i in range(inbox.count):
        incoming = &inbox.datagrams[i]
        if has_records and i + LOOKAHEAD < inbox.count:
            expect_datagram(state, &inbox.datagrams[i + LOOKAHEAD])
        receive_one(state, incoming.data, incoming.size, &incoming.source, incoming.is_truncated, now_us)


cdef void advance(State state, int64_t now_us) noexcept nogil:  # R0
    sweep(state, now_us)
    pump(state, now_us)


cdef int64_t next_deadline(State state, int64_t now_us) noexcept nogil:  # R0
    cdef int64_t due = -1, other
    other = state.transactions.next_deadline()
    if other >= 0:
        due = max(other, now_us + SWEEP_QUANTUM_US)
    if state.shortlists.active:
        other = max(state.wake_due_us, now_us)
        due = other if due < 0 or other < due else due
    if state.has_frontier:
        other = state.frontier.next_due(state.crawl_families, now_us)
        if other >= 0 and (due < 0 or other < due):
            due = other
    elif state.parked.waiting_count:
        other = state.parked.next_due(now_us)
        due = other if due < 0 or other < due else due
    return due


cdef inline void expect_datagram(State state, const Incoming* incoming) noexcept nogil:
    """Have memory fetch the records of a source: an answer needs fewer of them."""
    if incoming.size > MIN_DATAGRAM and looks_like_query(incoming.data, incoming.size):
        state.throttle.expect(&incoming.source)
    else:
        state.throttle.expect_answer(&incoming.source)


cdef void sweep(State state, int64_t now_us) noexcept nogil:  # R0
    cdef uint32_t slot
    while True:
        slot = state.transactions.next_stalled(now_us)
        if slot == NO_SLOT:
            break
        handle_stall(state, slot, now_us)
    while True:
        slot = state.transactions.next_timed_out(now_us)
        if slot == NO_SLOT or is_event_due(state, slot):
            break
        handle_silence(state, slot, False, now_us)
    if now_us >= state.wake_due_us:
        state.wake_due_us = now_us + WAKE_QUANTUM_US
        wake_lookups(state, now_us)


cdef inline bint is_event_due(State state, uint32_t slot) noexcept nogil:
    """Whether a timeout has a caller to tell and no room to do so: it waits until the events have been taken."""
    return state.transactions.slots[slot].owner == OWNER_DIRECT and state.event_count == state.event_capacity


cdef const uint8_t* id_pointer(value) except NULL:
    """Into 20 bytes that the caller keeps alive, or those of a subclass; raises ValueError for another size."""
    if len(value) != ID_SIZE:
        raise ValueError(f"id is {len(value)} bytes; 20 needed")
    return <const uint8_t*>PyBytes_AsString(value)


cdef bytes id_bytes(value):
    """Exactly 20 plain bytes, also of a subclass; raises ValueError."""
    if len(value) != ID_SIZE:
        raise ValueError(f"id is {len(value)} bytes; 20 needed")
    return bytes(value)
