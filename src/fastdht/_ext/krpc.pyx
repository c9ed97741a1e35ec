"""KRPC messages: decoding, encoding, and both for Python. Rate class: packet (the Python functions: command).

Encoders stop writing when the packet is full and say so by returning 0; nothing is ever written past MAX_DATAGRAM.
Source: BEP 5, 20, 32, 33, 42, 43, 44, 51.
"""
from libc.string cimport memset, strlen

from fastdht._ext.addresses cimport dump_compact, load_compact, write_be32
from fastdht._ext.bencode cimport write_string
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE
from fastdht._ext.krpc_body cimport take_value
from fastdht._ext.krpc_decode cimport read_message
from fastdht._ext.writer cimport (
    Writer, open_writer, put_external, put_number_key, put_raw, put_raw_key, put_string, put_string_key)


cdef int decode(const uint8_t* data, uint32_t size, Message* message) noexcept nogil:  # R0
    """Fill `message` from a datagram; returns a DecodeResult. On NO_METHOD and NO_ARGUMENTS the tid is good."""
    return read_message(data, size, message)


cdef bint next_value(Span* rest, uint16_t family, Endpoint* out) noexcept nogil:  # R0
    """Take one peer off `rest`, a copy of a Message's `values`; False when none is left. `family` is the sender's."""
    return take_value(rest, family, out)


cdef uint32_t encode_query(uint8_t* out, uint32_t tid, const Query* query) noexcept nogil:  # R0
    """Write a query; returns its size, or 0 when it does not fit. The keys stand in the order of their bytes."""
    cdef uint8_t packed_tid[TID_SIZE]
    cdef Writer writer = open_writer(out, MAX_DATAGRAM)
    if query.method >= METHOD_UNKNOWN:
        return 0
    put_raw(&writer, b"d1:ad", 5)
    put_arguments(&writer, query)
    put_raw(&writer, b"e1:q", 4)
    put_method(&writer, query.method)
    if query.read_only:
        put_raw(&writer, b"2:roi1e", 7)
    write_be32(packed_tid, tid)
    put_raw(&writer, b"1:t4:", 5)
    put_raw(&writer, packed_tid, TID_SIZE)
    return close_packet(&writer, out, b"1:y1:qe")


cdef void put_arguments(Writer* writer, const Query* query) noexcept nogil:  # R0
    cdef bint names_torrent = query.method == METHOD_GET_PEERS or query.method == METHOD_ANNOUNCE_PEER
    if query.present & HAS_CAS:
        put_number_key(writer, b"3:casi", 6, query.cas)
    put_raw(writer, b"2:id20:", 7)
    put_raw(writer, query.id, ID_SIZE)
    if query.implied_port:
        put_raw(writer, b"12:implied_porti1e", 18)
    if query.target != NULL and names_torrent:
        put_raw(writer, b"9:info_hash20:", 14)
        put_raw(writer, query.target, ID_SIZE)
    put_string_key(writer, b"1:k", 3, &query.key)
    if query.noseed:
        put_raw(writer, b"6:noseedi1e", 11)
    if query.method == METHOD_ANNOUNCE_PEER:
        put_number_key(writer, b"4:porti", 7, query.port)
    put_string_key(writer, b"4:salt", 6, &query.salt)
    if query.scrape:
        put_raw(writer, b"6:scrapei1e", 11)
    if query.seed:
        put_raw(writer, b"4:seedi1e", 9)
    if query.present & HAS_SEQ:
        put_number_key(writer, b"3:seqi", 6, query.seq)
    put_string_key(writer, b"3:sig", 5, &query.signature)
    if query.target != NULL and not names_torrent:
        put_raw(writer, b"6:target20:", 11)
        put_raw(writer, query.target, ID_SIZE)
    put_string_key(writer, b"5:token", 7, &query.token)
    put_raw_key(writer, b"1:v", 3, &query.value)
    put_want(writer, query.want)


cdef inline void put_want(Writer* writer, uint8_t want) noexcept nogil:
    if want == WANT_V4 | WANT_V6:
        put_raw(writer, b"4:wantl2:n42:n6e", 16)
    elif want == WANT_V4:
        put_raw(writer, b"4:wantl2:n4e", 12)
    elif want == WANT_V6:
        put_raw(writer, b"4:wantl2:n6e", 12)


cdef inline void put_method(Writer* writer, uint8_t method) noexcept nogil:
    if method == METHOD_FIND_NODE:
        put_raw(writer, b"9:find_node", 11)
    elif method == METHOD_GET_PEERS:
        put_raw(writer, b"9:get_peers", 11)
    elif method == METHOD_PING:
        put_raw(writer, b"4:ping", 6)
    elif method == METHOD_ANNOUNCE_PEER:
        put_raw(writer, b"13:announce_peer", 16)
    elif method == METHOD_GET:
        put_raw(writer, b"3:get", 5)
    elif method == METHOD_PUT:
        put_raw(writer, b"3:put", 5)
    else:
        put_raw(writer, b"17:sample_infohashes", 20)


cdef inline uint32_t close_packet(Writer* writer, uint8_t* out, const char* kind) noexcept nogil:
    """End with our version ("FD" and two bytes, BEP 20) and the 7 bytes of `y` that close the message."""
    put_raw(writer, b"1:v4:FD\x00\x01", 9)
    put_raw(writer, kind, 7)
    return 0 if writer.is_full else <uint32_t>(writer.at - out)


cdef uint32_t encode_reply(uint8_t* out, const Reply* reply) noexcept nogil:  # R0
    """Write a response; returns its size, or 0 when it does not fit. The keys stand in the order of their bytes."""
    cdef Writer writer = open_writer(out, MAX_DATAGRAM)
    put_raw(&writer, b"d", 1)
    put_external(&writer, reply.external)
    put_raw(&writer, b"1:rd", 4)
    put_string_key(&writer, b"4:BFpe", 6, &reply.peer_filter)
    put_string_key(&writer, b"4:BFsd", 6, &reply.seed_filter)
    put_raw(&writer, b"2:id20:", 7)
    put_raw(&writer, reply.id, ID_SIZE)
    if reply.present & HAS_INTERVAL:
        put_number_key(&writer, b"8:intervali", 11, reply.interval)
    put_string_key(&writer, b"1:k", 3, &reply.key)
    put_string_key(&writer, b"5:nodes", 7, &reply.nodes)
    put_string_key(&writer, b"6:nodes6", 8, &reply.nodes6)
    if reply.present & HAS_NUM:
        put_number_key(&writer, b"3:numi", 6, reply.num)
    put_string_key(&writer, b"7:samples", 9, &reply.samples)
    if reply.present & HAS_SEQ:
        put_number_key(&writer, b"3:seqi", 6, reply.seq)
    put_string_key(&writer, b"3:sig", 5, &reply.signature)
    put_string_key(&writer, b"5:token", 7, &reply.token)
    put_raw_key(&writer, b"1:v", 3, &reply.value)
    if reply.values.data != NULL:
        put_raw(&writer, b"6:valuesl", 9)
        put_raw(&writer, reply.values.data, reply.values.size)
        put_raw(&writer, b"e", 1)
    put_raw(&writer, b"e1:t", 4)
    put_string(&writer, reply.tid.data, reply.tid.size)
    return close_packet(&writer, out, b"1:y1:re")


cdef uint32_t encode_error(
    uint8_t* out, const Span* tid, const Endpoint* external, int code, const char* text) noexcept nogil:  # R0
    """Write an error of code and NUL-terminated text; returns its size, or 0 when it does not fit."""
    cdef Writer writer = open_writer(out, MAX_DATAGRAM)
    put_number_key(&writer, b"d1:eli", 6, code)
    put_string(&writer, <const uint8_t*>text, <uint32_t>strlen(text))
    put_raw(&writer, b"e", 1)
    put_external(&writer, external)
    put_raw(&writer, b"1:t", 3)
    put_string(&writer, tid.data, tid.size)
    return close_packet(&writer, out, b"1:y1:ee")


METHOD_NAMES = ("ping", "find_node", "get_peers", "announce_peer", "get", "put", "sample_infohashes")
KIND_NAMES = ("", "q", "r", "e")
REFUSALS = ("", "bad syntax", "too deep", "too many tokens", "no kind", "bad tid", "no method", "no arguments")


cdef bytes bytes_of(const Span* span):
    return None if span.data == NULL else span.data[:span.size]


cdef Span span_of(bytes data):
    """A Span over a bytes object that the caller keeps alive; absent for None."""
    cdef Span span
    span.data = NULL
    span.size = 0
    if data is not None:
        span.data = data
        span.size = <uint32_t>len(data)
    return span


cdef const uint8_t* id_of(bytes node_id, str name) except? NULL:
    if len(node_id) != ID_SIZE:
        raise ValueError(f"{name} is {len(node_id)} bytes; {ID_SIZE} needed")
    return node_id


cdef list peers_of(Span values, uint16_t family):
    cdef Endpoint endpoint
    peers = []
    while take_value(&values, family, &endpoint):
        peers.append(dump_compact(&endpoint))
    return peers


def refusal(data: bytes) -> str:
    """Why a datagram is refused: "" when it is good, else one of REFUSALS."""
    cdef Message message
    return REFUSALS[decode(data, <uint32_t>len(data), &message)]


def parse(data: bytes, family: int = 4) -> dict | None:
    """The slots of one datagram that are present, by the names of a Message; None where `refusal` has a reason.

    `kind` is "q", "r" or "e"; `method` one of METHOD_NAMES or "" when unknown; `want` bits (1: n4, 2: n6); `values`
    a list of compact peers, read as a node of `family` (4 or 6) sent them; `value` raw bencode; flags are there
    when set. Source: BEP 5, 32, 33, 42, 43, 44, 51.
    """
    cdef Message m
    if decode(data, <uint32_t>len(data), &m) != DECODE_OK:
        return None
    slots = {
        "tid": bytes_of(&m.tid), "method_name": bytes_of(&m.method_name), "arguments": bytes_of(&m.arguments),
        "version": bytes_of(&m.version), "external": bytes_of(&m.external), "token": bytes_of(&m.token),
        "nodes": bytes_of(&m.nodes), "nodes6": bytes_of(&m.nodes6), "value": bytes_of(&m.value),
        "key": bytes_of(&m.key), "signature": bytes_of(&m.signature), "salt": bytes_of(&m.salt),
        "samples": bytes_of(&m.samples), "seed_filter": bytes_of(&m.seed_filter),
        "peer_filter": bytes_of(&m.peer_filter), "error_text": bytes_of(&m.error_text),
        "id": None if m.id == NULL else m.id[:ID_SIZE], "target": None if m.target == NULL else m.target[:ID_SIZE],
        "values": None if m.values.data == NULL else peers_of(m.values, family),
        "port": m.port if m.present & HAS_PORT else None, "seq": m.seq if m.present & HAS_SEQ else None,
        "cas": m.cas if m.present & HAS_CAS else None, "num": m.num if m.present & HAS_NUM else None,
        "interval": m.interval if m.present & HAS_INTERVAL else None,
        "error_code": m.error_code if m.present & HAS_ERROR_CODE else None,
        "want": m.want or None, "read_only": m.read_only or None, "implied_port": m.implied_port or None,
        "seed": m.seed or None, "noseed": m.noseed or None, "scrape": m.scrape or None,
        "has_return": True if m.present & HAS_RETURN else None,
        "method": (METHOD_NAMES + ("",))[m.method] if m.kind == KIND_QUERY else None,
        "kind": KIND_NAMES[m.kind],
    }
    return {name: slot for name, slot in slots.items() if slot is not None}


def build_query(
    method: str, *, id: bytes, tid: int, target: bytes | None = None, want: int = 0, read_only: bool = False,
    token: bytes | None = None, port: int = 0, implied_port: bool = False, seed: bool = False, noseed: bool = False,
    scrape: bool = False, value: bytes | None = None, key: bytes | None = None, signature: bytes | None = None,
    salt: bytes | None = None, seq: int | None = None, cas: int | None = None,
) -> bytes:
    """One query as a datagram. `id` and `target` are 20 bytes (`target` is written as info_hash where BEP 5 says so),
    `tid` 32 bits, `want` bits (1: n4, 2: n6), `value` raw bencode. Raises ValueError for a method or size that is
    wrong, or a packet over MAX_DATAGRAM."""
    cdef uint8_t out[MAX_DATAGRAM]
    cdef Query query
    if method not in METHOD_NAMES:
        raise ValueError(f"method {method!r} is unknown; one of {', '.join(METHOD_NAMES)}")
    memset(&query, 0, sizeof(Query))
    query.method = METHOD_NAMES.index(method)
    query.id = id_of(id, "id")
    if target is not None:
        query.target = id_of(target, "target")
    query.want, query.port = want, port
    query.read_only, query.implied_port, query.seed = read_only, implied_port, seed
    query.noseed, query.scrape = noseed, scrape
    query.token, query.value, query.key = span_of(token), span_of(value), span_of(key)
    query.signature, query.salt = span_of(signature), span_of(salt)
    query.present = (HAS_SEQ if seq is not None else 0) | (HAS_CAS if cas is not None else 0)
    query.seq, query.cas = seq or 0, cas or 0
    return packet(out, encode_query(out, tid, &query))


def build_reply(
    *, id: bytes, tid: bytes, external: bytes | None = None, nodes: bytes | None = None, nodes6: bytes | None = None,
    values: list[bytes] | None = None, token: bytes | None = None, value: bytes | None = None,
    key: bytes | None = None, signature: bytes | None = None, seq: int | None = None, samples: bytes | None = None,
    num: int | None = None, interval: int | None = None, seed_filter: bytes | None = None,
    peer_filter: bytes | None = None,
) -> bytes:
    """One response as a datagram. `external` and each of `values` are compact endpoints (6 or 18 bytes), `nodes` and
    `nodes6` whole runs of 26 or 38, `value` raw bencode. Raises ValueError as build_query does."""
    cdef uint8_t out[MAX_DATAGRAM]
    cdef Reply reply
    cdef Endpoint asker
    cdef bytes encoded = None if values is None else b"".join([b"%d:%b" % (len(v), v) for v in values])
    memset(&reply, 0, sizeof(Reply))
    reply.id = id_of(id, "id")
    if external is not None:
        load_compact(external, &asker)
        reply.external = &asker
    reply.tid, reply.token, reply.values = span_of(tid), span_of(token), span_of(encoded)
    reply.nodes, reply.nodes6, reply.samples = span_of(nodes), span_of(nodes6), span_of(samples)
    reply.value, reply.key, reply.signature = span_of(value), span_of(key), span_of(signature)
    reply.seed_filter, reply.peer_filter = span_of(seed_filter), span_of(peer_filter)
    reply.present = ((HAS_SEQ if seq is not None else 0) | (HAS_NUM if num is not None else 0)
                     | (HAS_INTERVAL if interval is not None else 0))
    reply.seq, reply.num, reply.interval = seq or 0, num or 0, interval or 0
    return packet(out, encode_reply(out, &reply))


def build_error(tid: bytes, code: int, text: str, external: bytes | None = None) -> bytes:
    """One error as a datagram; the text is sent as UTF-8, up to a NUL. Raises ValueError as build_query does."""
    cdef uint8_t out[MAX_DATAGRAM]
    cdef Span echoed = span_of(tid)
    cdef Endpoint asker
    cdef bytes encoded = text.encode()
    if external is not None:
        load_compact(external, &asker)
    return packet(out, encode_error(out, &echoed, NULL if external is None else &asker, code, encoded))


cdef bytes packet(const uint8_t* out, uint32_t size):
    if size == 0:
        raise ValueError(f"message is larger than {MAX_DATAGRAM} bytes, the most that one datagram carries")
    return out[:size]
