"""Items by target and by the subnet that stored them: the storage under ItemStore. Rate class: packet.

What is searched stands apart from what is only copied: an Item is 72 bytes, its Body 1,096. Who is let in is decided
in items.pyx. A source is an IPv4 address or an IPv6 /64, a subnet a /24 or a /56, each one word.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint, FAMILY_V4
from fastdht._ext.hashing cimport HashKey


cdef enum:
    MAX_VALUE = 1000                # bytes of a bencoded value (BEP 44)
    MAX_SALT = 64
    KEY_SIZE = 32
    SIGNATURE_SIZE = 64
    NO_ITEM = 0                     # so that zeroed memory is an empty index
    NO_ORIGIN = 0


cdef enum ItemKind:                 # bits: an immutable and a mutable item may, on purpose, share a target
    ITEM_IMMUTABLE = 1
    ITEM_MUTABLE = 2
    ITEM_ANY = 3


cdef struct Body:
    uint8_t key[KEY_SIZE]
    uint8_t signature[SIGNATURE_SIZE]
    uint8_t value[MAX_VALUE]


cdef struct Item:
    uint8_t target[20]
    uint16_t value_size
    uint8_t kind                    # ItemKind
    uint64_t source                 # who stored it first; later puts of others do not take it over
    int64_t seq
    int64_t seen_us                 # last put
    uint32_t next                   # in its hash chain, or in the free list
    uint32_t next_of_origin
    uint32_t origin
    uint32_t position               # in `order`


cdef struct Origin:                 # a subnet that has items here
    uint64_t subnet
    uint32_t count                  # of its items
    uint32_t first                  # of them
    uint32_t next                   # in its hash chain, or in the free list


cdef struct Survey:                 # what a source and its subnet have here already; NO_ITEM when there is none
    uint32_t of_source
    uint32_t oldest_of_source
    uint32_t of_subnet
    uint32_t oldest_of_subnet


cdef class ItemSlab:
    cdef Item* items                # items[0] stays empty
    cdef Body* bodies
    cdef Origin* origins            # likewise
    cdef uint32_t* heads            # hash chains of items
    cdef uint32_t* origin_heads
    cdef uint32_t* order            # the items in use, without gaps
    cdef uint32_t head_mask
    cdef uint32_t free_item
    cdef uint32_t untouched_item    # items from here on were never used
    cdef uint32_t free_origin
    cdef uint32_t untouched_origin
    cdef readonly uint32_t item_count
    cdef HashKey key
    cdef int allocate(self, uint32_t max_items) except -1
    cdef uint32_t find_item(self, const uint8_t* target, uint32_t kinds) noexcept nogil
    cdef uint32_t open_item(self, const uint8_t* target, uint32_t kind, uint64_t source) noexcept nogil     # there must be one free
    cdef void close_item(self, uint32_t item) noexcept nogil
    cdef void survey(self, uint64_t source, Survey* out) noexcept nogil
    cdef uint32_t* head_of(self, const uint8_t* target) noexcept nogil
    cdef uint32_t* origin_head_of(self, uint64_t subnet) noexcept nogil
    cdef uint32_t find_origin(self, uint64_t subnet) noexcept nogil
    cdef uint32_t open_origin(self, uint64_t subnet) noexcept nogil
    cdef void close_origin(self, uint32_t origin) noexcept nogil


cdef inline uint64_t source_of(const Endpoint* endpoint) noexcept nogil:
    """The IPv4 address or the IPv6 /64, as one word; `>> 8` makes its subnet of it."""
    return endpoint.low if endpoint.family == FAMILY_V4 else endpoint.high


cdef int require(bint condition, str what) except -1
