"""Stored values of BEP 44: bounded, expiring, fair per source. Rate class: packet. The layout is in items_slab.pxd."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastdht._ext.bencode cimport Span
from fastdht._ext.hashing cimport Rng
from fastdht._ext.items_slab cimport Body, Item, ItemSlab, Survey


cdef enum:
    SAMPLE = 16                     # items looked at to find one that makes room


cdef enum Verdict:                  # on a mutable put whose signature is good
    PUT_STORED
    PUT_REFRESHED                   # the same seq and value as stored: its time starts anew
    PUT_CAS_MISMATCH
    PUT_SEQ_TOO_LOW                 # or equal, with another value


cdef struct Put:                    # a mutable item; points into somebody else's buffer
    const uint8_t* target
    const uint8_t* key
    const uint8_t* signature
    Span value
    int64_t seq
    int64_t cas
    bint has_cas


cdef class ItemStore(ItemSlab):
    cdef uint32_t max_items
    cdef uint32_t items_per_ip
    cdef uint32_t items_per_subnet
    cdef readonly int64_t ttl_us
    cdef int64_t clock_us               # the latest time that was told, for `dump`
    cdef readonly uint64_t evicted      # items that made room for others
    cdef uint32_t expire_position
    cdef uint8_t own_id[20]
    cdef Rng rng
    cdef uint32_t find_alive(self, const uint8_t* target, uint32_t kinds, int64_t now_us) noexcept nogil
    cdef void put_immutable(self, const uint8_t* target, const Span* value, uint64_t source, int64_t now_us) noexcept nogil
    cdef int put_mutable(self, const Put* put, uint64_t source, int64_t now_us) noexcept nogil      # Verdict
    cdef bint has_same(self, const Put* put, int64_t now_us) noexcept nogil
    cdef uint32_t expire(self, int64_t now_us, uint32_t budget) noexcept nogil      # returns how many items went
    cdef void change_id(self, const uint8_t* own_id) noexcept nogil
    cdef uint32_t place(self, const uint8_t* target, uint32_t kind, uint64_t source, int64_t now_us) noexcept nogil
    cdef void make_room(self, uint64_t source, int64_t now_us) noexcept nogil
    cdef uint32_t crowded_item(self, int64_t now_us) noexcept nogil
    cdef uint32_t reuse(self, const uint8_t* target, uint32_t kind, uint64_t source, int64_t now_us) noexcept nogil
    cdef void write_value(self, uint32_t item, const Span* value) noexcept nogil
    cdef bint holds_value(self, uint32_t item, const Span* value) noexcept nogil
    cdef int restore(self, bytes target, uint32_t kind, uint64_t source, int64_t seen_us, int64_t seq, bytes key, bytes signature, bytes value, int64_t now_us) except -1
