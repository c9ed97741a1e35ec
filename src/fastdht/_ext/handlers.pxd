"""What a query does: one function per method, in a table. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.filters cimport FILTER_SIZE
from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.krpc cimport Message, Reply
from fastdht._ext.peers_sample cimport MAX_SAMPLES
from fastdht._ext.state cimport MAX_NODES_IN_REPLY, State
from fastdht._ext.tokens cimport TOKEN_SIZE


cdef enum:
    MAX_VALUES = 50             # 50 IPv4 peers and 8 nodes are 698 bytes
    LONGEST_VALUE = 21          # a bencoded compact peer of IPv6
    ENVELOPE = 136              # most bytes of a reply besides nodes and values: ip, id, t, token, v, y and their keys


cdef enum:                      # errors of BEP 5 and BEP 44
    NO_ERROR = 0
    ERROR_SERVER = 202
    ERROR_PROTOCOL = 203
    ERROR_METHOD = 204
    ERROR_VALUE_TOO_LARGE = 205
    ERROR_BAD_SIGNATURE = 206
    ERROR_SALT_TOO_LARGE = 207
    ERROR_CAS_MISMATCH = 301
    ERROR_SEQ_TOO_LOW = 302


cdef struct Scratch:            # what a Reply points into until it is encoded, and what else a handler says
    uint8_t nodes[MAX_NODES_IN_REPLY * 26]
    uint8_t nodes6[MAX_NODES_IN_REPLY * 38]
    uint8_t token[TOKEN_SIZE]
    uint8_t values[MAX_VALUES * LONGEST_VALUE]
    uint8_t seed_filter[FILTER_SIZE]
    uint8_t peer_filter[FILTER_SIZE]
    uint8_t samples[MAX_SAMPLES * ID_SIZE]
    uint32_t query_size
    uint32_t allowance          # the most bytes of the reply; a handler may raise it
    int error                   # of a handler that returned False; NO_ERROR: nothing is sent now, and all is counted
    const char* text


# Fills the reply, or returns False. The arguments: whose, the query, its source, the allowance, the time.
ctypedef bint (*Handler)(State, const Message*, const Endpoint*, uint32_t, int64_t, Reply*, Scratch*) noexcept nogil


cdef void handle_query(State state, const Message* message, const Endpoint* source, uint32_t size, int64_t now_us) noexcept nogil
cdef void send_error(State state, const Message* message, const Endpoint* source, uint32_t query_size, int code, const char* text) noexcept nogil
cdef int send_reply(State state, Reply* reply, const Endpoint* source, uint32_t allowance, int64_t now_us) noexcept nogil
cdef void add_nodes(State state, const Message* message, const uint8_t* target, uint32_t allowance, Reply* reply, Scratch* scratch) noexcept nogil
cdef void offer_to_table(State state, const Message* message, const Endpoint* source, int64_t now_us) noexcept nogil
cdef void serve(int method, Handler handler)
