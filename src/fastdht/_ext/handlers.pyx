"""Answers to queries (BEP 5, 32, 33, 42, 43, 51). Rate class: packet.

A handler fills a Reply, or names an error and returns False. Every reply carries `ip` (BEP 42) and is built straight
in the outbox. Its size never exceeds what the throttle allows towards the source: first peers and samples are left
out, then the other family's nodes, and a query whose bare answer is still too large goes unanswered. Bloom filters
come before nodes, as only this node has them; they are sent instead of peers.
Of a method we do not know, one with a target is answered like find_node, so that newer nodes can walk through us.
"""
from libc.stdint cimport uint16_t
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6
from fastdht._ext.bencode cimport Span
from fastdht._ext.ids cimport Contact, same_id
from fastdht._ext.krpc cimport (
    HAS_INTERVAL, HAS_NUM, HAS_PORT, METHOD_ANNOUNCE_PEER, METHOD_COUNT, METHOD_FIND_NODE, METHOD_GET, METHOD_GET_PEERS,
    METHOD_PING, METHOD_PUT, METHOD_SAMPLE_INFOHASHES, METHOD_UNKNOWN, WANT_V4, WANT_V6, encode_error, encode_reply)
from fastdht._ext.packets cimport Outgoing
from fastdht._ext.state cimport (
    DROP_ERROR_TOO_LARGE, DROP_NO_ALLOWANCE, DROP_OWN_ID, DROP_READ_ONLY, MAX_NODES_IN_REPLY, OUTBOX_FULL,
    QUERIES_HANDLED, SENT_ERRORS, SENT_REPLIES)
from fastdht._ext.tokens cimport TOKEN_SIZE

cdef enum:
    VALUE_V4 = 8                # a bencoded compact peer
    VALUE_V6 = LONGEST_VALUE
    FILTERS = 532               # both bloom filters and their keys
    SAMPLES = 48                # interval, num and samples without the latter's bytes
    POLITE = 1024               # what every node must accept (BEP 32); peers of both families may exceed it

# Not a constant on purpose: of a size it knows, gcc makes `rep stos`, which takes longer to start than libc to finish.
cdef size_t reply_size = sizeof(Reply)

cdef Handler handlers[METHOD_COUNT]


cdef void handle_query(State state, const Message* message, const Endpoint* source, uint32_t size,
                       int64_t now_us) noexcept nogil:  # R0
    """Serve one well-formed query whose source the throttle has admitted; `size` is that of the query."""
    cdef Scratch scratch
    cdef Reply reply
    cdef uint32_t allowance
    if state.is_read_only:
        state.counters[DROP_READ_ONLY] += 1
        return
    if message.id == NULL:
        send_error(state, message, source, size, ERROR_PROTOCOL, "id")
        return
    if same_id(message.id, state.own_id):
        state.counters[DROP_OWN_ID] += 1
        return
    if message.method == METHOD_UNKNOWN and message.target == NULL:
        send_error(state, message, source, size, ERROR_METHOD, "unknown method")
        return
    allowance = state.throttle.reply_allowance(source, size, now_us)
    if allowance < ENVELOPE:
        state.counters[DROP_NO_ALLOWANCE] += 1
        return
    if state.has_log:
        state.log.note(message, source)
    memset(&reply, 0, reply_size)
    reply.id = state.own_id
    reply.external = source
    reply.tid = message.tid
    scratch.query_size = size
    scratch.allowance = allowance
    scratch.error = ERROR_PROTOCOL
    scratch.text = "argument"
    if not handlers[message.method](state, message, source, allowance, now_us, &reply, &scratch):
        if scratch.error != NO_ERROR:
            send_error(state, message, source, size, scratch.error, scratch.text)
        return
    state.methods[message.method] += 1
    state.counters[send_reply(state, &reply, source, scratch.allowance, now_us)] += 1
    if not message.read_only:
        offer_to_table(state, message, source, now_us)


cdef void offer_to_table(State state, const Message* message, const Endpoint* source, int64_t now_us) noexcept nogil:  # R0
    cdef Contact contact
    memcpy(contact.id, message.id, ID_SIZE)
    contact.endpoint = source[0]
    state.table.saw_query(&contact, now_us)


cdef int send_reply(State state, Reply* reply, const Endpoint* source, uint32_t allowance,
                    int64_t now_us) noexcept nogil:  # R0
    """The counter of what became of the query: a reply that is lost for want of room leaves it handled."""
    cdef Outgoing* outgoing = state.outbox.reserve()
    cdef uint32_t size
    if outgoing == NULL:
        state.counters[OUTBOX_FULL] += 1
        return QUERIES_HANDLED
    size = encode_reply(outgoing.data, reply)
    if size == 0 or size > allowance:
        return DROP_NO_ALLOWANCE
    outgoing.target = source[0]
    state.outbox.commit(size)
    state.throttle.spend(source, size, now_us)
    state.counters[SENT_REPLIES] += 1
    return QUERIES_HANDLED


cdef void send_error(State state, const Message* message, const Endpoint* source, uint32_t query_size, int code,
                     const char* text) noexcept nogil:  # R0
    """Answer with an error, unless it would be larger than the query: errors must not amplify."""
    cdef Outgoing* outgoing = state.outbox.reserve()
    cdef uint32_t size
    if outgoing == NULL:
        state.counters[OUTBOX_FULL] += 1
        state.counters[QUERIES_HANDLED] += 1    # as with a reply that is lost
        return
    size = encode_error(outgoing.data, &message.tid, NULL, code, text)
    if size == 0 or size > query_size:
        state.counters[DROP_ERROR_TOO_LARGE] += 1
        return
    outgoing.target = source[0]
    state.outbox.commit(size)
    state.counters[SENT_ERRORS] += 1
    state.counters[QUERIES_HANDLED] += 1


cdef void add_nodes(State state, const Message* message, const uint8_t* target, uint32_t allowance, Reply* reply,
                    Scratch* scratch) noexcept nogil:  # R0
    """The closest nodes of the families that `want` names, by default that of this socket (BEP 32)."""
    cdef int want = message.want
    if want == 0:
        want = WANT_V4 if state.family == FAMILY_V4 else WANT_V6
    if want & WANT_V4:
        add_family(state, FAMILY_V4, target, reply, scratch)
    if want & WANT_V6:
        add_family(state, FAMILY_V6, target, reply, scratch)
    if ENVELOPE + reply.nodes.size + reply.nodes6.size > allowance:
        if state.family == FAMILY_V4:
            reply.nodes6.data = NULL
            reply.nodes6.size = 0
        else:
            reply.nodes.data = NULL
            reply.nodes.size = 0


cdef void add_family(State state, uint16_t family, const uint8_t* target, Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    if family == FAMILY_V4:
        reply.nodes.data = scratch.nodes
        if state.family == family:
            reply.nodes.size = 26 * state.table.write_closest(target, state.nodes_per_reply, scratch.nodes)
        elif state.has_sibling:
            reply.nodes.size = 26 * state.sibling.table.write_closest(target, state.nodes_per_reply, scratch.nodes)
        return
    reply.nodes6.data = scratch.nodes6
    if state.family == family:
        reply.nodes6.size = 38 * state.table.write_closest(target, state.nodes_per_reply, scratch.nodes6)
    elif state.has_sibling:
        reply.nodes6.size = 38 * state.sibling.table.write_closest(target, state.nodes_per_reply, scratch.nodes6)


cdef bint handle_ping(State state, const Message* message, const Endpoint* source, uint32_t allowance, int64_t now_us,
                      Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    return True


cdef bint handle_find_node(State state, const Message* message, const Endpoint* source, uint32_t allowance,
                           int64_t now_us, Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    if message.target == NULL:
        return False
    add_nodes(state, message, message.target, allowance, reply, scratch)
    return True


cdef bint handle_get_peers(State state, const Message* message, const Endpoint* source, uint32_t allowance,
                           int64_t now_us, Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    if message.target == NULL:
        return False
    add_nodes(state, message, message.target, allowance, reply, scratch)
    if not state.peers.is_closed_to(message.target, source, now_us):    # no token: announce elsewhere (BEP 33)
        state.tokens.issue(source, message.target, scratch.token)
        reply.token.data = scratch.token
        reply.token.size = TOKEN_SIZE
    if not message.scrape or not add_filters(state, message, allowance, now_us, reply, scratch):
        add_values(state, message, allowance, now_us, reply, scratch)
    return True


cdef void add_values(State state, const Message* message, uint32_t allowance, int64_t now_us, Reply* reply,
                     Scratch* scratch) noexcept nogil:  # R0
    cdef uint32_t limit
    cdef uint32_t value_size = VALUE_V4 if state.family == FAMILY_V4 else VALUE_V6
    cdef uint32_t used = ENVELOPE + reply.nodes.size + reply.nodes6.size
    if used >= allowance:
        return
    limit = min(state.values_per_reply, (allowance - used) // value_size)
    if limit and state.peers.write_values(message.target, message.noseed, limit, &state.rng, now_us, scratch.values,
                                          &reply.values.size):
        reply.values.data = scratch.values


cdef bint add_filters(State state, const Message* message, uint32_t allowance, int64_t now_us, Reply* reply,
                      Scratch* scratch) noexcept nogil:  # R0
    """Both bloom filters, and as many nodes as fit beside them; False when there are no peers or no room."""
    cdef uint32_t room = min(allowance, <uint32_t>POLITE)
    if room < ENVELOPE + FILTERS or not state.peers.scrape(
            message.target, now_us, scratch.seed_filter, scratch.peer_filter):
        return False
    reply.seed_filter.data = scratch.seed_filter
    reply.peer_filter.data = scratch.peer_filter
    reply.seed_filter.size = reply.peer_filter.size = FILTER_SIZE
    trim_nodes(state, room - ENVELOPE - FILTERS, reply)
    return True


cdef void trim_nodes(State state, uint32_t room, Reply* reply) noexcept nogil:  # R0
    """Leave out nodes until they take `room` bytes: first the other family's, then the farthest."""
    cdef Span* own = &reply.nodes if state.family == FAMILY_V4 else &reply.nodes6
    cdef Span* other = &reply.nodes6 if state.family == FAMILY_V4 else &reply.nodes
    cdef uint32_t own_size = 26 if state.family == FAMILY_V4 else 38
    cdef uint32_t other_size = 64 - own_size
    own.size = min(own.size, room // own_size * own_size)
    other.size = min(other.size, (room - own.size) // other_size * other_size)


cdef bint handle_announce_peer(State state, const Message* message, const Endpoint* source, uint32_t allowance,
                               int64_t now_us, Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    """Store the source as a peer; its port is the message's, or that of the datagram with implied_port."""
    cdef Endpoint peer = source[0]
    if message.target == NULL or not state.tokens.accepts(source, message.target, &message.token):
        return False
    state.throttle.prove(source, now_us)
    if not message.implied_port:
        if not message.present & HAS_PORT or not 1 <= message.port <= 65535:
            return False
        peer.port = <uint16_t>message.port
    state.peers.add(message.target, &peer, message.seed, now_us)
    return True


cdef bint handle_sample_infohashes(State state, const Message* message, const Endpoint* source, uint32_t allowance,
                                   int64_t now_us, Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    """Nodes, and info-hashes as far as they fit; `samples` stands even when empty, as a sign of support (BEP 51)."""
    cdef uint32_t used
    if message.target == NULL:
        return False
    add_nodes(state, message, message.target, allowance, reply, scratch)
    used = ENVELOPE + SAMPLES + reply.nodes.size + reply.nodes6.size
    reply.samples.data = scratch.samples
    if used < allowance:
        reply.samples.size = ID_SIZE * state.sample.write(
            min(<uint32_t>MAX_SAMPLES, (allowance - used) // ID_SIZE), now_us, scratch.samples)
    reply.num = state.peers.info_hash_count
    reply.interval = state.sample.seconds_left(now_us)
    reply.present |= HAS_NUM | HAS_INTERVAL
    return True


cdef void serve(int method, Handler handler):
    """Let a module above this one answer a method."""
    handlers[method] = handler


handlers[<int>METHOD_PING] = handle_ping
handlers[<int>METHOD_FIND_NODE] = handle_find_node
handlers[<int>METHOD_GET_PEERS] = handle_get_peers
handlers[<int>METHOD_ANNOUNCE_PEER] = handle_announce_peer
handlers[<int>METHOD_GET] = handle_find_node        # storage.pyx serves it and METHOD_PUT
handlers[<int>METHOD_PUT] = handle_find_node
handlers[<int>METHOD_SAMPLE_INFOHASHES] = handle_sample_infohashes
handlers[<int>METHOD_UNKNOWN] = handle_find_node
