"""Decoding of KRPC messages. Rate class: packet.

Theory: one pass over the top-level dictionary. `a` and `r` share their slots, and `y`, which sorts last, says which of
them counts: the first one met is read into the message, the second, which hardly any message has, into a spare one.
Once `y` is known the wrong one is thrown away.
Leniency: unsorted keys, leading zeros and bytes after the dictionary pass; of repeated keys the first counts, whatever
its type. Source: BEP 5, 32, 33, 42, 43, 44, 51, and what nodes of today send.
"""
from libc.string cimport memcmp, memset

from fastdht._ext.addresses cimport COMPACT_V4, COMPACT_V6
from fastdht._ext.bencode cimport (
    FAULT_DEPTH, FAULT_TOKENS, MESSAGE_DEPTH, MESSAGE_TOKENS, Scanner, is_digit, open_scanner, scan_string, skip_value)
from fastdht._ext.krpc_message cimport (
    DECODE_BAD_SYNTAX, DECODE_BAD_TID, DECODE_NO_ARGUMENTS, DECODE_NO_KIND, DECODE_NO_METHOD, DECODE_OK,
    DECODE_TOO_DEEP, DECODE_TOO_MANY_TOKENS, HAS_ARGUMENTS, HAS_ERROR_CODE, HAS_RETURN, KIND_ERROR, KIND_NONE,
    KIND_QUERY, KIND_RESPONSE, MAX_ECHOED_TID, METHOD_ANNOUNCE_PEER, METHOD_FIND_NODE, METHOD_GET, METHOD_GET_PEERS,
    METHOD_PING, METHOD_PUT, METHOD_SAMPLE_INFOHASHES, METHOD_UNKNOWN)
from fastdht._ext.krpc_body cimport read_slots
from fastdht._ext.krpc_reply cimport ends_as_reply, read_usual_reply
from fastdht._ext.lenient cimport (
    clear, enter, has_more, peek, read_flag, read_number, read_string, skip_stored_value)


# Not a constant on purpose: of a size it knows, gcc makes `rep stos`, which takes longer to start than libc to finish.
cdef size_t message_size = sizeof(Message)


cdef struct Bodies:             # whose slots are in the message, and whose in the spare one; KIND_NONE: nobody's
    Message* spare              # not initialised until it is needed
    uint8_t first
    uint8_t second


cdef int read_message(const uint8_t* data, uint32_t size, Message* message) noexcept nogil:  # R0
    """Fill `message` from a datagram; returns a DecodeResult. On NO_METHOD and NO_ARGUMENTS the tid is good."""
    memset(message, 0, message_size)
    if ends_as_reply(data, size):
        if read_usual_reply(data, size, message):
            return DECODE_OK
        memset(message, 0, message_size)
    return read_any_message(data, size, message)


cdef int read_any_message(const uint8_t* data, uint32_t size, Message* message) noexcept nogil:  # R0
    """The same of a zeroed message, whatever its layout."""
    cdef Scanner scanner = open_scanner(data, size, MESSAGE_DEPTH, MESSAGE_TOKENS)
    cdef Message spare
    cdef Bodies bodies
    bodies.spare = &spare
    bodies.first = bodies.second = KIND_NONE
    if not read_envelope(&scanner, message, &bodies):
        return result_of_fault(scanner.fault)
    if bodies.first != KIND_NONE and bodies.first != message.kind:
        take_spare_body(message, &bodies)
    return judge(message)


cdef int judge(Message* message) noexcept nogil:  # R0
    if message.kind == KIND_NONE:
        return DECODE_NO_KIND
    if message.tid.data == NULL or message.tid.size > MAX_ECHOED_TID:
        return DECODE_BAD_TID
    if message.kind != KIND_QUERY:
        return DECODE_OK if message.tid.size else DECODE_BAD_TID
    if message.method_name.data == NULL:
        return DECODE_NO_METHOD
    if not message.present & HAS_ARGUMENTS:
        return DECODE_NO_ARGUMENTS
    message.method = method_named(&message.method_name)
    return DECODE_OK


cdef int result_of_fault(uint32_t fault) noexcept nogil:  # R0
    if fault == FAULT_DEPTH:
        return DECODE_TOO_DEEP
    if fault == FAULT_TOKENS:
        return DECODE_TOO_MANY_TOKENS
    return DECODE_BAD_SYNTAX


cdef void take_spare_body(Message* message, Bodies* bodies) noexcept nogil:  # R0
    """Replace the slots of the wrong body by the spare one's, or by nothing."""
    cdef Message* spare = bodies.spare
    if bodies.second != message.kind:
        memset(spare, 0, message_size)
    spare.kind = message.kind
    spare.read_only = message.read_only
    spare.present |= message.present & HAS_ERROR_CODE
    spare.tid = message.tid
    spare.method_name = message.method_name
    spare.version = message.version
    spare.external = message.external
    spare.error_text = message.error_text
    spare.error_code = message.error_code
    message[0] = spare[0]


cdef bint read_envelope(Scanner* scanner, Message* message, Bodies* bodies) noexcept nogil:  # R0
    cdef Span key
    cdef uint32_t bit
    cdef uint32_t seen = 0
    if not enter(scanner, c"d"):
        return False
    while has_more(scanner):
        if not scan_string(scanner, &key):
            return False
        bit = top_bit(&key)
        if bit == 0 or seen & bit:
            if not skip_value(scanner):
                return False
        elif not read_top_slot(scanner, message, bodies, &key):
            return False
        seen |= bit
    return True


cdef inline uint32_t top_bit(const Span* key) noexcept nogil:
    """A bit of its own for every top-level key that we know, or might; 0 for the others."""
    if key.size == 1 and c"a" <= key.data[0] <= c"z":
        return <uint32_t>1 << (key.data[0] - c"a")
    if key.size == 2 and memcmp(key.data, b"ip", 2) == 0:
        return <uint32_t>1 << 26
    if key.size == 2 and memcmp(key.data, b"ro", 2) == 0:
        return <uint32_t>1 << 27
    return 0


cdef bint read_top_slot(Scanner* scanner, Message* message, Bodies* bodies, const Span* key) noexcept nogil:  # R0
    cdef uint8_t name = key.data[0]
    if key.size == 2:
        return read_external(scanner, message) if name == c"i" else read_flag(scanner, &message.read_only)
    if name == c"t":
        return read_string(scanner, &message.tid)
    if name == c"y":
        return read_kind(scanner, message)
    if name == c"a":
        return read_body(scanner, message, bodies, KIND_QUERY)
    if name == c"r":
        return read_body(scanner, message, bodies, KIND_RESPONSE)
    if name == c"q":
        return read_string(scanner, &message.method_name)
    if name == c"v":
        return read_version(scanner, message)
    if name == c"e":
        return read_error(scanner, message)
    return skip_value(scanner)


cdef bint read_kind(Scanner* scanner, Message* message) noexcept nogil:  # R0
    cdef Span text
    clear(&text)
    if not read_string(scanner, &text):
        return False
    if text.size == 1:
        if text.data[0] == c"q":
            message.kind = KIND_QUERY
        elif text.data[0] == c"r":
            message.kind = KIND_RESPONSE
        elif text.data[0] == c"e":
            message.kind = KIND_ERROR
    return True


cdef bint read_external(Scanner* scanner, Message* message) noexcept nogil:  # R0
    if not read_string(scanner, &message.external):
        return False
    if message.external.size != COMPACT_V4 and message.external.size != COMPACT_V6:
        clear(&message.external)
    return True


cdef bint read_version(Scanner* scanner, Message* message) noexcept nogil:  # R0
    """The top-level `v`; were it a value of BEP 44 gone astray, it would have that one's limits."""
    if is_digit(peek(scanner)):
        return scan_string(scanner, &message.version)
    return skip_stored_value(scanner)


cdef bint read_error(Scanner* scanner, Message* message) noexcept nogil:  # R0
    """`e` in any shape: [code, text] in either order, one of them, or bare."""
    if peek(scanner) != c"l":
        return read_error_part(scanner, message)
    if not enter(scanner, c"l"):
        return False
    while has_more(scanner):
        if not read_error_part(scanner, message):
            return False
    return True


cdef bint read_error_part(Scanner* scanner, Message* message) noexcept nogil:  # R0
    if message.error_text.data == NULL and is_digit(peek(scanner)):
        return scan_string(scanner, &message.error_text)
    if not message.present & HAS_ERROR_CODE:
        return read_number(scanner, &message.error_code, &message.present, HAS_ERROR_CODE)
    return skip_value(scanner)


cdef bint read_body(Scanner* scanner, Message* message, Bodies* bodies, uint8_t kind) noexcept nogil:  # R0
    """`a` or `r`: into the message when it comes first, into the spare one otherwise."""
    cdef const uint8_t* start = scanner.at
    if peek(scanner) != c"d":
        return skip_value(scanner)
    if bodies.first == KIND_NONE:
        bodies.first = kind
    else:
        bodies.second = kind
        message = bodies.spare
        memset(message, 0, message_size)
    if not read_slots(scanner, message):
        return False
    if kind == KIND_RESPONSE:
        message.present |= HAS_RETURN
        return True
    message.present |= HAS_ARGUMENTS
    message.arguments.data = start
    message.arguments.size = <uint32_t>(scanner.at - start)
    return True


cdef int method_named(const Span* name) noexcept nogil:  # R0
    cdef const uint8_t* text = name.data
    if name.size == 4 and memcmp(text, b"ping", 4) == 0:
        return METHOD_PING
    elif name.size == 9 and memcmp(text, b"find_node", 9) == 0:
        return METHOD_FIND_NODE
    elif name.size == 9 and memcmp(text, b"get_peers", 9) == 0:
        return METHOD_GET_PEERS
    elif name.size == 13 and memcmp(text, b"announce_peer", 13) == 0:
        return METHOD_ANNOUNCE_PEER
    elif name.size == 3 and memcmp(text, b"get", 3) == 0:
        return METHOD_GET
    elif name.size == 3 and memcmp(text, b"put", 3) == 0:
        return METHOD_PUT
    elif name.size == 17 and memcmp(text, b"sample_infohashes", 17) == 0:
        return METHOD_SAMPLE_INFOHASHES
    return METHOD_UNKNOWN
