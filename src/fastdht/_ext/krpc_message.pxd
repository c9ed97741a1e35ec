"""What a KRPC message holds: constants, kinds, the structs that decoding fills and encoding reads. Rate class: packet.

A Message points into its datagram and lives no longer than that. A slot of the wrong type or length counts as absent
(BEP 5 practice), so handlers test only for presence. Source: BEP 5, 32, 33, 42, 43, 44, 51.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.bencode cimport Span


cdef enum:
    MAX_DATAGRAM = 1472         # what an encoder may fill: 1500 less IPv4 and UDP headers
    MAX_ECHOED_TID = 32         # a longer `t` is dropped: echoing it would make us an amplifier
    TID_SIZE = 4                # what we send: some nodes decode only four bytes
    VERSION_SIZE = 4


cdef enum Kind:
    KIND_NONE
    KIND_QUERY
    KIND_RESPONSE
    KIND_ERROR


cdef enum Method:
    METHOD_PING
    METHOD_FIND_NODE
    METHOD_GET_PEERS
    METHOD_ANNOUNCE_PEER
    METHOD_GET
    METHOD_PUT
    METHOD_SAMPLE_INFOHASHES
    METHOD_UNKNOWN
    METHOD_COUNT


cdef enum Want:
    WANT_V4 = 1
    WANT_V6 = 2


cdef enum Present:              # integers have no NULL, so their presence is a bit
    HAS_PORT = 1
    HAS_SEQ = 2
    HAS_CAS = 4
    HAS_NUM = 8
    HAS_INTERVAL = 16
    HAS_ERROR_CODE = 32
    HAS_ARGUMENTS = 64          # `a` of a query was a dictionary
    HAS_RETURN = 128            # `r` of a response was a dictionary


cdef enum DecodeResult:
    DECODE_OK
    DECODE_BAD_SYNTAX           # not bencode, or not a dictionary
    DECODE_TOO_DEEP
    DECODE_TOO_MANY_TOKENS
    DECODE_NO_KIND              # `y` missing or none of q, r, e
    DECODE_BAD_TID              # `t` missing, not a string, empty in a response, or longer than 32 bytes
    DECODE_NO_METHOD            # a query without `q`; tid is filled, so that a 203 can be sent
    DECODE_NO_ARGUMENTS         # a query whose `a` is missing or no dictionary; likewise


cdef struct Message:
    uint8_t kind                # Kind
    uint8_t method              # Method
    uint8_t want                # Want bits; 0 when absent or naming nothing known
    uint8_t read_only           # flags are 0 or 1
    uint8_t implied_port
    uint8_t seed
    uint8_t noseed
    uint8_t scrape
    uint32_t present            # Present bits
    const uint8_t* id           # 20 bytes or NULL
    const uint8_t* target       # 20 bytes or NULL: `target`, else `info_hash`
    Span tid
    Span method_name
    Span arguments              # raw `a`, for the strict check of a put
    Span version                # top-level `v`
    Span external               # top-level `ip`, 6 or 18 bytes
    Span token
    Span nodes                  # whole records only: the size is a multiple of 26
    Span nodes6                 # likewise, of 38
    Span values                 # bencoded strings for next_value; of several, the list's `e` follows the last
    Span value                  # raw bencoded `v` of BEP 44
    Span key                    # 32 bytes or absent
    Span signature              # 64 bytes or absent
    Span salt
    Span samples                # BEP 51; data is not NULL when the key was there, even if empty
    Span seed_filter            # 256 bytes or absent: BFsd, or the misspelt BFse
    Span peer_filter            # 256 bytes or absent: BFpe
    Span error_text
    int64_t port
    int64_t seq
    int64_t cas
    int64_t num
    int64_t interval
    int64_t error_code


cdef struct Query:              # what to ask; unused fields are zero
    uint8_t method
    uint8_t want
    uint8_t read_only
    uint8_t implied_port
    uint8_t seed
    uint8_t noseed
    uint8_t scrape
    uint16_t port
    uint32_t present            # HAS_SEQ, HAS_CAS
    const uint8_t* id
    const uint8_t* target       # written as info_hash for get_peers and announce_peer
    Span token
    Span value
    Span key
    Span signature
    Span salt
    int64_t seq
    int64_t cas


cdef struct Reply:              # what to answer; absent parts have data NULL
    const uint8_t* id
    const Endpoint* external    # the asker as seen, for `ip`
    Span tid
    Span token
    Span nodes
    Span nodes6
    Span values                 # elements already bencoded, back to back
    Span value
    Span key
    Span signature
    Span samples
    Span seed_filter
    Span peer_filter
    uint32_t present            # HAS_SEQ, HAS_NUM, HAS_INTERVAL
    int64_t seq
    int64_t num
    int64_t interval
