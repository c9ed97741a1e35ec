"""What a Core asks on behalf of one Python caller, and what comes back for him. Rate class: command, lookup (events).

Events answer two kinds of caller: who asked one node, and who reads the answers of a lookup (its `reader`). Both are
numbers that the engine gives out, so that no answer can reach another than he who waits for it.
"""
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport Endpoint, dump_compact, load_compact, write_be32
from fastdht._ext.bencode cimport Span
from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.krpc cimport HAS_CAS, HAS_SEQ, MAX_DATAGRAM, METHOD_UNKNOWN, TID_SIZE
from fastdht._ext.observed cimport QueryLog
from fastdht._ext.packets cimport Outgoing
from fastdht._ext.queries cimport expect_id, own_transaction
from fastdht._ext.state cimport Event, NO_TRANSACTION, OUTBOX_FULL, QUERY_BLOCKED, SENT_QUERIES
from fastdht._ext.transactions cimport NO_SLOT, OWNER_DIRECT


cdef class DirectQueries:
    """The part of a Core that serves single callers."""

    def query(self, int method, bytes endpoint, uint32_t caller, int64_t now_us, *, target=None, token=None,
              int port=0, bint implied_port=False, bint seed=False, bint noseed=False, bint scrape=False, int want=0,
              expected_id=None, value=None, key=None, signature=None, salt=None, seq=None, cas=None) -> bool:
        """Ask one node; its outcome comes as an event under `caller`. False when it could not be sent.

        `value` is raw bencode; what does not fit a datagram is not sent. The rest is as in krpc.build_query.
        """
        cdef Query query
        cdef bytes held
        memset(&query, 0, sizeof(Query))
        query.method = <uint8_t>method
        query.port = <uint16_t>port
        query.implied_port = implied_port
        query.seed = seed
        query.noseed = noseed
        query.scrape = scrape
        query.want = <uint8_t>want
        if target is not None:
            held = id_bytes(target)             # a reference until the query has been encoded
            query.target = held
        query.token, query.value, query.key = span_of(token), span_of(value), span_of(key)
        query.signature, query.salt = span_of(signature), span_of(salt)
        query.present = (HAS_SEQ if seq is not None else 0) | (HAS_CAS if cas is not None else 0)
        query.seq, query.cas = seq or 0, cas or 0
        return self.send(endpoint, &query, caller, now_us, expected_id)

    cdef bint send(self, bytes endpoint, Query* query, caller, int64_t now_us, expected_id) except -1:
        cdef Endpoint remote
        cdef uint32_t slot
        cdef bytes held
        load_compact(endpoint, &remote)
        slot = self.state.send_query(&remote, query, now_us)
        if slot == NO_SLOT:
            return False
        own_transaction(self.state, slot, OWNER_DIRECT, caller, 0, 0)
        if expected_id is not None:
            held = id_bytes(expected_id)
            expect_id(self.state, slot, held)
        return True

    def query_raw(self, bytes endpoint, uint32_t caller, int64_t now_us, bytes head, bytes tail) -> bool:
        """Ask one node what is encoded already: `head`, the four bytes of the transaction id, `tail`.

        Its outcome comes as an event under `caller`. False when it could not be sent. Raises ValueError for more than
        one datagram.
        """
        cdef Endpoint remote
        cdef Outgoing* outgoing
        cdef uint32_t slot, size = <uint32_t>(len(head) + TID_SIZE + len(tail))
        load_compact(endpoint, &remote)
        if len(head) + TID_SIZE + len(tail) > MAX_DATAGRAM:
            raise ValueError(f"query is {size} bytes; {MAX_DATAGRAM} fit one datagram")
        if self.state.addresses.is_blocked(&remote):
            self.state.counters[QUERY_BLOCKED] += 1
            return False
        outgoing = self.state.outbox.reserve()
        if outgoing == NULL:
            self.state.counters[OUTBOX_FULL] += 1
            return False
        slot = self.state.transactions.open(&remote, now_us)
        if slot == NO_SLOT:
            self.state.counters[NO_TRANSACTION] += 1
            return False
        memcpy(outgoing.data, <const uint8_t*>head, len(head))
        write_be32(outgoing.data + len(head), self.state.transactions.tid_of(slot))
        memcpy(outgoing.data + len(head) + TID_SIZE, <const uint8_t*>tail, len(tail))
        outgoing.target = remote
        self.state.outbox.commit(size)
        self.state.transactions.slots[slot].method = METHOD_UNKNOWN
        self.state.counters[SENT_QUERIES] += 1
        own_transaction(self.state, slot, OWNER_DIRECT, caller, 0, 0)
        return True

    def take_events(self) -> list:
        """What came for callers: (caller, compact source, rtt in µs, the answer or None, whether refused)."""
        cdef State state = self.state
        cdef Event* event
        events = []
        while state.event_count:
            event = &state.events[state.event_first]
            events.append((event.caller, dump_compact(&event.source), event.rtt_us,
                           event.data[:event.size] if event.size else None, bool(event.is_refused)))
            state.event_first = (state.event_first + 1) % state.event_capacity
            state.event_count -= 1
        return events

    def has_events(self) -> bool:
        return self.state.event_count > 0

    def watch_queries(self, QueryLog log) -> None:
        """Note each query that we handle in `log` from now on; None ends it."""
        self.state.log = log
        self.state.has_log = log is not None


cdef Span span_of(bytes data):
    """A Span over a bytes object that the caller keeps alive; absent for None."""
    cdef Span span
    span.data = NULL
    span.size = 0
    if data is not None:
        span.data = data
        span.size = <uint32_t>len(data)
    return span


cdef bytes id_bytes(value):
    """Exactly 20 plain bytes, also of a subclass; raises ValueError."""
    if len(value) != ID_SIZE:
        raise ValueError(f"id is {len(value)} bytes; 20 needed")
    return bytes(value)
