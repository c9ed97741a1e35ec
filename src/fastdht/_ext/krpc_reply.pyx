"""Replies of the layout that nearly all have, read without a scanner. Rate class: packet.

Theory: an honest node sorts its keys and writes them in full, so that a reply is a sequence of known fragments. Whatever
differs from it is left to the general decoder, from its start: this one never judges, it only recognises.
Invariant: what it takes, the general decoder would take, and fill the same slots with the same bytes. It stays far
within the limits on depth and tokens, takes nothing twice, and reads nothing at or past the end.
Source: BEP 5, 32, 42; the layout is that of libtorrent, Transmission, mainline clients and ourselves.
"""
from libc.string cimport memcmp

from fastdht._ext.addresses cimport COMPACT_V4
from fastdht._ext.bencode cimport Span, is_digit
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE
from fastdht._ext.krpc_message cimport HAS_RETURN, KIND_RESPONSE
from fastdht._ext.lenient cimport is_peer


cdef enum:
    HEAD_SIZE = 32              # up to the end of `id`, without `ip`
    EXTERNAL_SIZE = 12          # of `ip` with its length
    TAIL_SIZE = 7
    MAX_PEERS = 256             # half of the tokens that a message may have


cdef bint ends_as_reply(const uint8_t* data, uint32_t size) noexcept nogil:  # R0
    """Whether it is worth while to try; a query is not."""
    return size >= HEAD_SIZE + TAIL_SIZE and memcmp(data + size - TAIL_SIZE, b"1:y1:re", TAIL_SIZE) == 0


cdef bint read_usual_reply(const uint8_t* data, uint32_t size, Message* message) noexcept nogil:  # R0
    """Fill the slots of a zeroed message; False for another layout, with some of them filled. ends_as_reply must hold."""
    cdef const uint8_t* at = data
    cdef const uint8_t* end = data + size - TAIL_SIZE
    if memcmp(at, b"d2:ip6:", 7) == 0 and size >= HEAD_SIZE + EXTERNAL_SIZE + TAIL_SIZE:
        message.external.data = at + 7
        message.external.size = COMPACT_V4
        at += 7 + COMPACT_V4
    else:
        at += 1
    if data[0] != c"d" or memcmp(at, b"1:rd2:id20:", 11) != 0:
        return False
    message.id = at + 11
    at += 11 + ID_SIZE
    if not (take_records(&at, end, b"5:nodes", 7, COMPACT_NODE_V4, &message.nodes)
            and take_records(&at, end, b"6:nodes6", 8, COMPACT_NODE_V6, &message.nodes6)
            and pass_port(&at, end)
            and take_records(&at, end, b"5:token", 7, 1, &message.token)
            and take_peers(&at, end, &message.values)
            and at < end and at[0] == c"e"):
        return False
    at += 1
    if not take_short(&at, end, c"t", &message.tid) or message.tid.size == 0:
        return False
    if at < end and not take_short(&at, end, c"v", &message.version):
        return False
    message.kind = KIND_RESPONSE
    message.present = HAS_RETURN
    return at == end


cdef inline bint take_records(const uint8_t** at, const uint8_t* end, const char* key, uint32_t key_size, uint32_t record,
                              Span* out) noexcept nogil:
    """Step over a key and its string, if the key stands here; False when the string is not whole."""
    cdef const uint8_t* p = at[0]
    cdef uint32_t length = 0, digits = 0
    if end - p < <int>key_size + 2 or memcmp(p, key, key_size) != 0:
        return True
    p += key_size
    while digits < 4 and p < end and is_digit(p[0]):
        length = length * 10 + (p[0] - 48)
        digits += 1
        p += 1
    if digits == 0 or p >= end or p[0] != c":" or end - p - 1 < <int>length:
        return False
    out.data = p + 1
    out.size = length - length % record
    at[0] = p + 1 + length
    return True


cdef inline bint pass_port(const uint8_t** at, const uint8_t* end) noexcept nogil:
    """Step over the `p` of libtorrent, the port it saw us at, if it stands here."""
    cdef const uint8_t* p = at[0]
    cdef const uint8_t* first
    if end - p < 6 or memcmp(p, b"1:pi", 4) != 0:
        return True
    first = p = p + 4
    while p < end and is_digit(p[0]):
        p += 1
    if p == first or p - first > 5 or p >= end or p[0] != c"e":
        return False
    at[0] = p + 1
    return True


cdef inline bint take_peers(const uint8_t** at, const uint8_t* end, Span* out) noexcept nogil:
    """Likewise the list of `values`, of peers of 6 bytes each; as krpc_body.read_values leaves it."""
    cdef const uint8_t* p = at[0]
    cdef const uint8_t* first
    if end - p < 10 or memcmp(p, b"6:valuesl", 9) != 0:
        return True
    first = p = p + 9
    while is_peer(p, <size_t>(end - p)):
        p += 2 + COMPACT_V4
    if p >= end or p[0] != c"e" or p - first > MAX_PEERS * (2 + COMPACT_V4):
        return False
    out.data = first
    out.size = <uint32_t>(p - first) + (1 if p - first > 2 + COMPACT_V4 else 0)
    at[0] = p + 1
    return True


cdef inline bint take_short(const uint8_t** at, const uint8_t* end, uint8_t key, Span* out) noexcept nogil:
    """A key of one byte and a string of less than ten; False for anything else."""
    cdef const uint8_t* p = at[0]
    cdef int length
    if end - p < 5 or p[0] != c"1" or p[1] != c":" or p[2] != key or not is_digit(p[3]) or p[4] != c":":
        return False
    length = p[3] - 48
    if end - p - 5 < length:
        return False
    out.data = p + 5
    out.size = <uint32_t>length
    at[0] = p + 5 + length
    return True


def is_usual(data: bytes) -> bool:
    """Whether a datagram is read here; for tests: what krpc.parse says of it is the same either way."""
    cdef Message message
    cdef const uint8_t* start = data
    return ends_as_reply(start, <uint32_t>len(data)) and read_usual_reply(start, <uint32_t>len(data), &message)
