"""What a virtual node sends: a draft, and its bytes. Rate class: packet."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastdht._ext.bencode cimport Span
from fastdht._ext.filters cimport FILTER_SIZE
from fastdht._ext.swarm_catalog cimport Holding


cdef enum:
    MAX_NODES_BYTES = 7800      # 300 contacts, the largest lie
    MAX_VALUES = 50             # as libtorrent sends
    REPLY_ROOM = 9216           # the largest reply: 300 contacts, 50 values and the frame
    BIG_REPLY_BYTES = 8000      # below the 8,192 that a receiver should take
    TOKEN_BYTES = 8


cdef struct Draft:              # of one response; what is absent has size 0
    uint32_t asker_ip
    uint16_t asker_port
    uint8_t id[20]
    uint8_t version[4]
    uint8_t token[TOKEN_BYTES]
    bint has_nodes
    bint has_token
    bint has_samples
    bint has_filters
    bint is_unsorted
    uint32_t nodes_size
    uint32_t value_count
    uint32_t nesting            # depth of a list that no reader wants
    uint32_t pad_to             # bytes the whole reply is stretched to
    Span tid
    uint8_t nodes[MAX_NODES_BYTES]
    uint8_t values[MAX_VALUES * 6]
    Holding holding             # of sample_infohashes
    uint8_t seeds[FILTER_SIZE]          # of a scrape
    uint8_t downloaders[FILTER_SIZE]


cdef uint32_t write_reply(const Draft* draft, uint8_t* out) noexcept nogil
cdef uint32_t write_refusal(const Span* tid, int code, const char* text, uint8_t* out) noexcept nogil
