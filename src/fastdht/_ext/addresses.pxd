"""Endpoints and which of them we talk to. Rate class: packet.

An Endpoint holds words in host order, so that equality is three compares and a subnet one shift.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastdht._ext.blocklist cimport AddressRanges
from fastdht._ext.hashing cimport HashKey, mix_words


cdef enum:
    FAMILY_V4 = 4
    FAMILY_V6 = 6
    COMPACT_V4 = 6          # bytes of a compact peer (BEP 5, BEP 32)
    COMPACT_V6 = 18
    MAX_ALLOWED_NETS = 16


cdef struct Endpoint:
    uint64_t high           # IPv6: bytes 0-7; IPv4: 0
    uint64_t low            # IPv6: bytes 8-15; IPv4: the address
    uint16_t port
    uint16_t family         # FAMILY_V4 or FAMILY_V6
    uint32_t spare          # always 0, so that an Endpoint may be compared and hashed whole


cdef struct Net:            # a CIDR range
    uint64_t high
    uint64_t low
    uint64_t mask_high
    uint64_t mask_low
    uint16_t family


cdef class AddressFilter:
    cdef Net allowed[MAX_ALLOWED_NETS]
    cdef int allowed_count
    cdef AddressRanges blocked
    cdef bint has_blocked
    cdef bint is_public(self, const Endpoint* endpoint) noexcept nogil
    cdef bint is_blocked(self, const Endpoint* endpoint) noexcept nogil
    cdef bint is_contactable(self, const Endpoint* endpoint) noexcept nogil


cdef bint is_special_address(const Endpoint* endpoint) noexcept nogil


cdef inline uint64_t read_be64(const uint8_t* p) noexcept nogil:
    return ((<uint64_t>p[0] << 56) | (<uint64_t>p[1] << 48) | (<uint64_t>p[2] << 40) | (<uint64_t>p[3] << 32)
            | (<uint64_t>p[4] << 24) | (<uint64_t>p[5] << 16) | (<uint64_t>p[6] << 8) | <uint64_t>p[7])


cdef inline uint32_t read_be32(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | <uint32_t>p[3]


cdef inline void write_be32(uint8_t* p, uint32_t x) noexcept nogil:
    p[0] = <uint8_t>(x >> 24)
    p[1] = <uint8_t>(x >> 16)
    p[2] = <uint8_t>(x >> 8)
    p[3] = <uint8_t>x


cdef inline void write_be64(uint8_t* p, uint64_t x) noexcept nogil:
    write_be32(p, <uint32_t>(x >> 32))
    write_be32(p + 4, <uint32_t>x)


cdef inline bint same_address(const Endpoint* a, const Endpoint* b) noexcept nogil:
    return a.low == b.low and a.high == b.high and a.family == b.family


cdef inline bint same_endpoint(const Endpoint* a, const Endpoint* b) noexcept nogil:
    return a.low == b.low and a.port == b.port and a.high == b.high and a.family == b.family


cdef inline uint64_t subnet_of(const Endpoint* e) noexcept nogil:
    """The /24 of an IPv4 address or the /64 of an IPv6 one, as one comparable word (families never collide)."""
    if e.family == FAMILY_V4:
        return (<uint64_t>0xFFFFFFFF << 32) | (e.low >> 8)
    return e.high


cdef inline uint64_t hash_host(const HashKey* key, const Endpoint* e) noexcept nogil:
    """Of an IPv4 address, or of an IPv6 /64: that is what one host has (RFC 7421)."""
    return mix_words(key, e.high, e.low if e.family == FAMILY_V4 else 0)


cdef inline bint same_host(const Endpoint* a, const Endpoint* b) noexcept nogil:
    return a.high == b.high and a.family == b.family and (a.low == b.low or a.family == FAMILY_V6)


cdef inline uint64_t hash_endpoint(const HashKey* key, const Endpoint* e) noexcept nogil:
    return mix_words(key, e.high ^ (<uint64_t>e.port << 48), e.low ^ (<uint64_t>e.port << 32))


cdef inline uint32_t compact_size(uint16_t family) noexcept nogil:
    return COMPACT_V4 if family == FAMILY_V4 else COMPACT_V6


cdef inline void read_compact(const uint8_t* p, uint16_t family, Endpoint* out) noexcept nogil:
    """Read a compact endpoint: address, then port, in network order (6 or 18 bytes)."""
    if family == FAMILY_V4:
        out.high = 0
        out.low = read_be32(p)
        p += 4
    else:
        out.high = read_be64(p)
        out.low = read_be64(p + 8)
        p += 16
    out.port = <uint16_t>((<uint32_t>p[0] << 8) | p[1])
    out.family = family
    out.spare = 0


cdef inline uint32_t write_compact(const Endpoint* e, uint8_t* out) noexcept nogil:
    """Write a compact endpoint; returns its size, 6 or 18."""
    cdef uint32_t size
    if e.family == FAMILY_V4:
        write_be32(out, <uint32_t>e.low)
        size = 4
    else:
        write_be64(out, e.high)
        write_be64(out + 8, e.low)
        size = 16
    out[size] = <uint8_t>(e.port >> 8)
    out[size + 1] = <uint8_t>e.port
    return size + 2


cdef int load_compact(bytes packed, Endpoint* out) except -1
cdef bytes dump_compact(const Endpoint* endpoint)
