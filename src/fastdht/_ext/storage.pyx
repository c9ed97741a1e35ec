"""Answers to `get` and `put` (BEP 44). Rate class: packet.

A put passes every cheap check in one order, that of libtorrent: types and strict bencode (203), size of the value (205),
size of the salt (207), k, seq and sig together or not at all (203), token (203), range of seq (203). What is immutable, or
stored already, is then done. Of the rest the signature must be verified, which costs more than all else: it is parked,
and `finish_put` goes on with it: signature (206), cas (301), seq (302). Its bytes are never re-encoded.
A get is answered within what the throttle allows; a large item may take more than that. First the other family's nodes
are left out, then all but four, then all, and at last the value.
"""
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.addresses cimport Endpoint, FAMILY_V4, compact_size
from fastdht._ext.bencode cimport (
    MESSAGE_DEPTH, MESSAGE_TOKENS, Scanner, Span, VALUE_DEPTH, VALUE_TOKENS, is_canonical, is_digit, open_scanner,
    scan_string, skip_value)
from fastdht._ext.handlers cimport *
from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.items cimport PUT_CAS_MISMATCH, PUT_SEQ_TOO_LOW, Put
from fastdht._ext.items_slab cimport (
    Body, ITEM_ANY, ITEM_MUTABLE, Item, KEY_SIZE, MAX_SALT, MAX_VALUE, NO_ITEM, SIGNATURE_SIZE, source_of)
from fastdht._ext.krpc cimport HAS_CAS, HAS_SEQ, METHOD_GET, METHOD_PUT, Message, Reply
from fastdht._ext.lenient cimport clear, enter, has_more
from fastdht._ext.parked cimport MAX_SIGNED, NO_PLACE, ParkedPut, describe
from fastdht._ext.sha1 cimport sha1
from fastdht._ext.state cimport DROP_NO_ALLOWANCE, DROP_PUT_CROWDED
from fastdht._ext.tokens cimport TOKEN_SIZE
from fastdht._ext.writer cimport Writer, open_writer, put_number_key, put_raw, put_string

cdef enum:
    FEWER_NODES = 4             # beside a large item
    REPLY_FRAME = 79            # bytes of a reply with id, token and version, besides `ip` and what tid it echoes
    NODES_FRAME = 12            # a key and a length
    MUTABLE_FRAME = 136         # k, sig and the longest seq, with their keys

# Not a constant on purpose, as in handlers.pyx.
cdef size_t reply_size = sizeof(Reply)


# -- get ---------------------------------------------------------------------------------------------------------------

cdef bint handle_get(State state, const Message* message, const Endpoint* source, uint32_t allowance, int64_t now_us,
                     Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    """Token and nodes always; of a query with `seq`, which knows an immutable item no more, only a newer value."""
    cdef uint32_t item
    if message.target == NULL:
        return False
    add_nodes(state, message, message.target, allowance, reply, scratch)
    state.tokens.issue(source, message.target, scratch.token)
    reply.token.data = scratch.token
    reply.token.size = TOKEN_SIZE
    item = state.items.find_alive(message.target, ITEM_MUTABLE if message.present & HAS_SEQ else ITEM_ANY, now_us)
    if item != NO_ITEM:
        add_item(&state.items.items[item], &state.items.bodies[item], message, reply)
        fit_reply(state, reply, scratch, now_us)
    return True


cdef void add_item(const Item* item, Body* body, const Message* message, Reply* reply) noexcept nogil:  # R0
    if item.kind == ITEM_MUTABLE:
        reply.present |= HAS_SEQ
        reply.seq = item.seq
        if message.present & HAS_SEQ and item.seq <= message.seq:
            return
        reply.key.data = body.key
        reply.key.size = KEY_SIZE
        reply.signature.data = body.signature
        reply.signature.size = SIGNATURE_SIZE
    reply.value.data = body.value
    reply.value.size = item.value_size


cdef uint32_t most_bytes(const Reply* reply) noexcept nogil:  # R0
    """What the reply takes, or a few bytes more."""
    cdef uint32_t size = REPLY_FRAME + compact_size(reply.external.family) + reply.tid.size + reply.value.size
    if reply.nodes.data != NULL:
        size += NODES_FRAME + reply.nodes.size
    if reply.nodes6.data != NULL:
        size += NODES_FRAME + reply.nodes6.size
    return size + (MUTABLE_FRAME if reply.present & HAS_SEQ else 0)


cdef void fit_reply(State state, Reply* reply, Scratch* scratch, int64_t now_us) noexcept nogil:  # R0
    cdef Span nodes = reply.nodes, nodes6 = reply.nodes6
    cdef Span* own = &reply.nodes if state.family == FAMILY_V4 else &reply.nodes6
    if most_bytes(reply) <= scratch.allowance:
        return
    scratch.allowance = max(scratch.allowance, state.throttle.item_allowance(now_us))
    if most_bytes(reply) <= scratch.allowance:
        return
    clear(&reply.nodes6 if state.family == FAMILY_V4 else &reply.nodes)
    if most_bytes(reply) <= scratch.allowance:
        return
    own.size = min(own.size, <uint32_t>(FEWER_NODES * (26 if state.family == FAMILY_V4 else 38)))
    if most_bytes(reply) <= scratch.allowance:
        return
    clear(own)
    if most_bytes(reply) <= scratch.allowance:
        return
    clear(&reply.value)
    clear(&reply.key)
    clear(&reply.signature)
    reply.nodes = nodes
    reply.nodes6 = nodes6


# -- put ---------------------------------------------------------------------------------------------------------------

cdef bint handle_put(State state, const Message* message, const Endpoint* source, uint32_t allowance, int64_t now_us,
                     Reply* reply, Scratch* scratch) noexcept nogil:  # R0
    cdef uint8_t target[ID_SIZE]
    cdef bint is_mutable = message.key.data != NULL
    cdef Put put
    if not is_sound(message, scratch):
        return False
    name_target(message, target)
    if not state.tokens.accepts(source, target, &message.token):
        return refuse(scratch, ERROR_PROTOCOL, "token")
    state.throttle.prove(source, now_us)
    if not is_mutable:
        state.items.put_immutable(target, &message.value, source_of(source), now_us)
        return True
    if message.seq < 0:
        return refuse(scratch, ERROR_PROTOCOL, "seq is negative")
    put.target = target
    put.key = message.key.data
    put.signature = message.signature.data
    put.value = message.value
    put.seq = message.seq
    put.cas = message.cas
    put.has_cas = message.present & HAS_CAS != 0
    if not state.items.has_same(&put, now_us):
        park(state, message, &put, source, scratch, now_us)
        return False
    if state.items.put_mutable(&put, source_of(source), now_us) == PUT_CAS_MISMATCH:
        return refuse(scratch, ERROR_CAS_MISMATCH, "cas is not the stored seq")
    return True


cdef bint refuse(Scratch* scratch, int error, const char* text) noexcept nogil:  # R0
    scratch.error = error
    scratch.text = text
    return False


cdef bint is_sound(const Message* message, Scratch* scratch) noexcept nogil:  # R0
    """The checks that need neither token nor signature."""
    cdef uint32_t signed_parts
    if not is_canonical(message.arguments.data, message.arguments.size, MESSAGE_DEPTH + VALUE_DEPTH,
                        MESSAGE_TOKENS + VALUE_TOKENS):
        return refuse(scratch, ERROR_PROTOCOL, "a is not strict bencode")
    if message.value.data == NULL or not has_right_types(&message.arguments):
        return refuse(scratch, ERROR_PROTOCOL, "argument")
    if message.value.size > MAX_VALUE:
        return refuse(scratch, ERROR_VALUE_TOO_LARGE, "v is above 1000 bytes")
    if message.salt.size > MAX_SALT:
        return refuse(scratch, ERROR_SALT_TOO_LARGE, "salt is above 64 bytes")
    signed_parts = ((message.key.data != NULL) + (message.signature.data != NULL) + (message.present & HAS_SEQ != 0))
    if signed_parts != 0 and signed_parts != 3:
        return refuse(scratch, ERROR_PROTOCOL, "k, seq and sig belong together")
    return True


cdef bint has_right_types(const Span* arguments) noexcept nogil:  # R0
    """Whether each argument that a put may have is of its type: elsewhere a wrong one counts as absent (BEP 5)."""
    cdef Span key
    cdef const uint8_t* start
    cdef Scanner scanner = open_scanner(
        arguments.data, arguments.size, MESSAGE_DEPTH + VALUE_DEPTH, MESSAGE_TOKENS + VALUE_TOKENS)
    if not enter(&scanner, c"d"):
        return False
    while has_more(&scanner):
        if not scan_string(&scanner, &key):
            return False
        start = scanner.at
        if not skip_value(&scanner) or not is_of_its_type(&key, start):
            return False
    return True


cdef bint is_of_its_type(const Span* key, const uint8_t* value) noexcept nogil:  # R0
    """`value` is canonical, so that a string of 32 bytes starts with `32:`."""
    cdef const uint8_t* name = key.data
    if key.size == 1 and name[0] == c"k":
        return memcmp(value, b"32:", 3) == 0
    if key.size == 3 and memcmp(name, b"sig", 3) == 0:
        return memcmp(value, b"64:", 3) == 0
    if key.size == 3 and (memcmp(name, b"seq", 3) == 0 or memcmp(name, b"cas", 3) == 0):
        return value[0] == c"i"
    if (key.size == 4 and memcmp(name, b"salt", 4) == 0) or (key.size == 5 and memcmp(name, b"token", 5) == 0):
        return is_digit(value[0])
    return True


cdef void name_target(const Message* message, uint8_t* out) noexcept nogil:  # R0
    """SHA-1 of the value, or of key and salt. A `target` in the query says nothing: BEP 44 has none there."""
    cdef uint8_t named[KEY_SIZE + MAX_SALT]
    if message.key.data == NULL:
        sha1(message.value.data, message.value.size, out)
        return
    memcpy(named, message.key.data, KEY_SIZE)
    if message.salt.size:           # else its data may be NULL, which memcpy must not see
        memcpy(named + KEY_SIZE, message.salt.data, message.salt.size)
    sha1(named, KEY_SIZE + message.salt.size, out)


# -- a put between its checks and its answer ---------------------------------------------------------------------------

cdef void park(State state, const Message* message, const Put* put, const Endpoint* source, Scratch* scratch,
               int64_t now_us) noexcept nogil:  # R0
    """Keep a copy of all that the answer will need; the query is counted when it is answered."""
    cdef ParkedPut* parked = state.parked.reserve(source)
    cdef Writer writer
    scratch.error = NO_ERROR
    if parked == NULL:
        state.counters[DROP_PUT_CROWDED] += 1
        return
    parked.source = source[0]
    parked.query_size = scratch.query_size
    parked.tid_size = <uint8_t>message.tid.size
    memcpy(parked.tid, message.tid.data, message.tid.size)
    memcpy(parked.target, put.target, ID_SIZE)
    memcpy(parked.key, put.key, KEY_SIZE)
    memcpy(parked.signature, put.signature, SIGNATURE_SIZE)
    parked.seq = put.seq
    parked.cas = put.cas
    parked.has_cas = put.has_cas
    writer = open_writer(parked.signed_part, MAX_SIGNED)
    if message.salt.size:
        put_raw(&writer, b"4:salt", 6)
        put_string(&writer, message.salt.data, message.salt.size)
    put_number_key(&writer, b"3:seqi", 6, put.seq)
    put_raw(&writer, b"1:v", 3)
    parked.value_at = <uint16_t>(writer.at - parked.signed_part)
    put_raw(&writer, put.value.data, put.value.size)
    parked.signed_size = <uint16_t>(writer.at - parked.signed_part)
    state.parked.park(parked)
    if state.has_log:
        state.log.note(message, source)
    if not message.read_only:
        offer_to_table(state, message, source, now_us)


cdef void finish_put(State state, uint64_t handle, int signature, int64_t now_us) noexcept nogil:  # R0
    """Go on with a put whose Signature is known, and answer it; a handle that is not out any more does nothing."""
    cdef ParkedPut* parked = state.parked.find(handle)
    cdef Scratch scratch
    if parked == NULL:
        return
    scratch.error = NO_ERROR
    if signature == SIGNATURE_BAD:
        refuse(&scratch, ERROR_BAD_SIGNATURE, "sig is not of k")
    elif signature == SIGNATURE_UNKNOWN:
        refuse(&scratch, ERROR_SERVER, "cannot verify sig")
    else:
        store_parked(state, parked, &scratch, now_us)
    answer_parked(state, parked, &scratch, now_us)
    state.parked.release(parked)


cdef void store_parked(State state, ParkedPut* parked, Scratch* scratch, int64_t now_us) noexcept nogil:  # R0
    cdef Put put
    cdef int verdict
    describe(parked, &put)
    verdict = state.items.put_mutable(&put, source_of(&parked.source), now_us)
    if verdict == PUT_CAS_MISMATCH:
        refuse(scratch, ERROR_CAS_MISMATCH, "cas is not the stored seq")
    elif verdict == PUT_SEQ_TOO_LOW:
        refuse(scratch, ERROR_SEQ_TOO_LOW, "seq is not above the stored one")


cdef void answer_parked(State state, ParkedPut* parked, const Scratch* scratch, int64_t now_us) noexcept nogil:  # R0
    cdef Message message            # only its tid is looked at
    cdef Reply reply
    cdef uint32_t allowance = state.throttle.reply_allowance(&parked.source, parked.query_size, now_us)
    if allowance < ENVELOPE:
        state.counters[DROP_NO_ALLOWANCE] += 1
        return
    message.tid.data = parked.tid
    message.tid.size = parked.tid_size
    if scratch.error != NO_ERROR:
        send_error(state, &message, &parked.source, parked.query_size, scratch.error, scratch.text)
        return
    memset(&reply, 0, reply_size)
    reply.id = state.own_id
    reply.external = &parked.source
    reply.tid = message.tid
    state.methods[<int>METHOD_PUT] += 1
    state.counters[send_reply(state, &reply, &parked.source, allowance, now_us)] += 1


cdef list take_parked(State state, uint32_t limit, int64_t now_us):
    """(handle, public key, signature, what it signs) of up to `limit` parked puts."""
    cdef uint64_t handle
    cdef ParkedPut* parked
    taken = []
    for _ in range(limit):
        handle = state.parked.take(now_us)
        if handle == NO_PLACE:
            break
        parked = state.parked.find(handle)
        taken.append((handle, parked.key[:KEY_SIZE], parked.signature[:SIGNATURE_SIZE],
                      parked.signed_part[:parked.signed_size]))
    return taken


serve(METHOD_GET, handle_get)
serve(METHOD_PUT, handle_put)
