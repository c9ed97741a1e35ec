"""Everything one participant of the DHT knows, on one socket and of one address family. Rate class: packet.

Handlers and replies work on this; Core wires it to batches, timers and Python. Each drop has a counter.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport AddressFilter, Endpoint
from fastdht._ext.frontier cimport Frontier
from fastdht._ext.hashing cimport Rng
from fastdht._ext.items cimport ItemStore
from fastdht._ext.krpc cimport Message, Query
from fastdht._ext.observed cimport QueryLog
from fastdht._ext.packets cimport Outbox, Outgoing
from fastdht._ext.parked cimport ParkedPuts
from fastdht._ext.peers cimport PeerStore
from fastdht._ext.peers_sample cimport InfoHashSample
from fastdht._ext.shortlist cimport ShortlistPool
from fastdht._ext.table cimport RoutingTable
from fastdht._ext.throttle cimport Throttle
from fastdht._ext.tokens cimport TokenIssuer
from fastdht._ext.transactions cimport Transaction, TransactionTable


cdef enum:
    MIN_DATAGRAM = 20           # shorter than any KRPC message with an id or an error
    MAX_NODES_IN_REPLY = 8      # some nodes ignore a longer list whole
    VOTE_RING = 64
    EVENT_DATAGRAM = 8192
    SECRET_SIZE = 96            # 16 bytes each for tids, shortlists, throttle and both stores, 32 for tokens


cdef enum:                      # Counter: indexes of State.counters
    RECEIVED                    # datagrams; = handled + all drops below it + puts parked
    QUERIES_HANDLED
    RESPONSES_HANDLED
    ERRORS_HANDLED
    DROP_TRUNCATED              # larger than the receive buffer
    DROP_TOO_SHORT
    DROP_NOT_A_DICTIONARY       # does not start with d and end with e
    DROP_BAD_SOURCE             # port 0, or an address outside the public and the allowed ranges
    DROP_BLOCKED                # from an address on the block list
    DROP_THROTTLED
    DROP_BAD_SYNTAX
    DROP_TOO_DEEP
    DROP_TOO_MANY_TOKENS
    DROP_NO_KIND
    DROP_BAD_TID
    DROP_OWN_ID                 # a message that carries our own id: a reflector, or ourselves
    DROP_NOT_ASKED              # a response or error that matches no query of ours
    DROP_READ_ONLY              # a query to a node that serves none
    DROP_NO_ALLOWANCE           # a query whose answer the limits on replies forbid
    DROP_ERROR_TOO_LARGE        # an error that would be larger than the query that caused it
    DROP_PUT_CROWDED            # a put that found no place to wait for the verification of its signature
    HANDLED_END                 # RECEIVED is the sum of all between it and this, and of the puts parked
    SENT_QUERIES
    SENT_REPLIES
    SENT_ERRORS
    OUTBOX_FULL                 # a datagram that had no room; a query is tried again, a reply is lost
    NO_TRANSACTION              # a query not asked for want of a transaction
    QUERY_BLOCKED               # a query not sent, as its target is on the block list
    OUTBOUND_LIMITED            # a query put off by the limits on what we send
    STALLS
    TIMEOUTS
    UNREACHABLE                 # a transaction ended by the refusal of its datagram
    ID_MISMATCHES               # an answer under another id than the one asked
    ANSWERS_WITHOUT_ID
    EVENTS_LOST                 # Python fell behind: a direct answer that had no room
    COUNTER_COUNT


cdef struct Vote:               # an answer's claim about our address
    Endpoint voter
    Endpoint claimed


cdef struct Event:              # what became of a direct query, or an answer for the reader of a lookup
    uint32_t caller
    uint32_t rtt_us
    uint32_t size               # of `data`: the answer as it came; 0: silence
    uint32_t is_refused         # the network said that nobody is there
    Endpoint source
    uint8_t data[EVENT_DATAGRAM]


cdef class State:
    cdef uint8_t own_id[20]
    cdef uint16_t family
    cdef bint is_read_only
    cdef uint32_t nodes_per_reply
    cdef uint32_t values_per_reply
    cdef AddressFilter addresses
    cdef RoutingTable table             # None in a crawl: it keeps no table
    cdef TransactionTable transactions
    cdef Throttle throttle
    cdef TokenIssuer tokens
    cdef PeerStore peers
    cdef ItemStore items                # of BEP 44; None in a crawl, like the two above and the next
    cdef ParkedPuts parked
    cdef InfoHashSample sample
    cdef ShortlistPool shortlists
    cdef Frontier frontier              # None but in a crawl
    cdef Outbox outbox
    cdef State sibling                  # our other family, for `want`; None without one
    cdef Rng rng
    cdef int64_t wake_due_us            # when lookups are next searched for late and blocked ones
    cdef int64_t answered_us            # when the last answer came; silence before it blames nobody
    cdef uint64_t counters[COUNTER_COUNT]
    cdef uint64_t methods[8]            # queries handled, by krpc.Method
    cdef Vote* votes                    # the newest VOTE_RING claims
    cdef uint32_t vote_count
    cdef Event* events                  # a ring
    cdef uint32_t event_capacity
    cdef uint32_t event_first
    cdef uint32_t event_count
    cdef QueryLog log                   # queries handled, for who watches them; None when nobody does
    cdef bint has_log
    cdef bint has_table
    cdef bint has_frontier
    cdef uint8_t crawl_families         # of the frontier's, those that this socket reaches: bit 1 or 2
    cdef bint has_sibling
    cdef uint32_t send_query(self, const Endpoint* endpoint, Query* query, int64_t now_us) noexcept nogil   # NO_SLOT: not sent
    cdef Event* add_event(self, const Transaction* transaction, int64_t now_us) noexcept nogil
    cdef void add_vote(self, const Endpoint* voter, const Message* message) noexcept nogil
    cdef int build(self, config, bytes own_id, bytes secret, uint64_t seed) except -1
