"""The contacts of a crawl: an exact set of endpoints and one record for each. Rate class: packet.

IPv4 takes a place of 10.4 bytes (load 0.41 to 0.81) and a 32-byte record per contact, IPv6 a place and 44 bytes.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport FAMILY_V4, Endpoint, hash_endpoint, read_be32, read_be64
from fastdht._ext.hashing cimport HashKey
from fastdht._ext.prefetch cimport fastdht_fetch
from fastdht._ext.seen_places cimport LINE_PLACES, MAX_REFERRERS, Line, Places, Spot, first_hit, home_line


cdef enum:
    NO_RECORD = 0xFFFFFFFF
    KEY_BITS = 48               # of an IPv4 endpoint
    EXACT_LINE_BITS = 15        # with so many lines, tag and distance tell all IPv4 endpoints apart


cdef struct Record:             # 28 bytes; the address follows it in network order, 4 or 16 bytes
    uint8_t id[20]              # as named by others until the node has told its own
    uint32_t next               # neighbour in the one list that holds it
    uint16_t port
    uint8_t state               # the owner's
    uint8_t step                # the owner's


cdef struct RecordList:         # first in, first out, linked through Record.next
    uint32_t first
    uint32_t last


cdef struct ContactStore:
    HashKey key
    Places places               # searched first
    Places old                  # being left; without lines when there is none
    Places larger               # being made ready, likewise
    uint8_t* records
    uint8_t* asked              # packets sent to each record, saturating
    uint64_t moved              # old lines already copied
    uint64_t records_ready      # bytes of them that the system has been asked to provide already
    uint32_t stride             # bytes of a record and its address
    uint32_t count
    uint32_t capacity           # 0: this family is not crawled
    uint16_t family
    uint8_t is_behind           # fewer records are ready than should be


cdef bint open_store(ContactStore* store, uint16_t family, uint32_t capacity, uint64_t places,
                     uint64_t seed) noexcept nogil
cdef void free_store(ContactStore* store) noexcept nogil
cdef void ready_store(ContactStore* store) noexcept nogil
cdef bint is_crowded(const ContactStore* store) noexcept nogil
cdef bint is_growing(const ContactStore* store) noexcept nogil
cdef bint tend_store(ContactStore* store, uint64_t budget) noexcept nogil      # False: no memory to grow
cdef bint find_spot(ContactStore* store, const Endpoint* endpoint, uint64_t hashed, Spot* out) noexcept nogil
cdef uint32_t add_record(ContactStore* store, Spot* spot, const Endpoint* endpoint, uint64_t hashed,
                         const uint8_t* node_id) noexcept nogil
cdef uint32_t find_record(ContactStore* store, const Endpoint* endpoint) noexcept nogil
cdef uint32_t count_referrers(ContactStore* store, uint32_t index) noexcept nogil
cdef uint32_t most_asked_address(const ContactStore* store, uint32_t at_once) noexcept nogil


cdef inline Record* record_at(const ContactStore* store, uint32_t index) noexcept nogil:
    return <Record*>(store.records + <uint64_t>index * store.stride)


cdef inline uint64_t permute(const HashKey* key, uint64_t x) noexcept nogil:
    """A keyed permutation of 48 bits, returned in the upper ones."""
    cdef uint64_t mask = (<uint64_t>1 << KEY_BITS) - 1
    x = (x ^ key.k0) * (key.k1 | 1) & mask
    x = (x ^ x >> 24) * <uint64_t>0x9E3779B97F4A7C15 & mask
    x = (x ^ x >> 24) * (key.k0 | 1) & mask
    return (x ^ x >> 24) << (64 - KEY_BITS)


cdef inline uint64_t hash_of(const ContactStore* store, const Endpoint* endpoint) noexcept nogil:
    if store.family == FAMILY_V4:
        return permute(&store.key, endpoint.low << 16 | endpoint.port)
    return hash_endpoint(&store.key, endpoint)


cdef inline void expect_spot(const ContactStore* store, uint64_t hashed) noexcept nogil:
    """Have memory fetch the line of an endpoint, so that the misses of a reply's contacts overlap."""
    fastdht_fetch(&store.places.lines[home_line(&store.places, hashed)])


cdef inline bint is_exact(const ContactStore* store, const Places* places) noexcept nogil:
    return store.family == FAMILY_V4 and places.line_bits >= EXACT_LINE_BITS


cdef inline bint count_naming(ContactStore* store, uint64_t hashed) noexcept nogil:
    """Count one more naming of an endpoint that stands in its home line, as nearly all do; False: use `find_spot`."""
    cdef Line* line = &store.places.lines[home_line(&store.places, hashed)]
    cdef uint32_t i
    if not is_exact(store, &store.places):
        return False
    i = first_hit(line, hashed, 0)
    if i == LINE_PLACES:
        return False
    line.referrers[i] += line.referrers[i] < MAX_REFERRERS
    return True


cdef inline void push_record(ContactStore* store, RecordList* records, uint32_t index) noexcept nogil:
    record_at(store, index).next = NO_RECORD
    if records.first == NO_RECORD:
        records.first = index
    else:
        record_at(store, records.last).next = index
    records.last = index


cdef inline uint32_t pop_record(ContactStore* store, RecordList* records) noexcept nogil:
    cdef uint32_t index = records.first
    if index != NO_RECORD:
        records.first = record_at(store, index).next
    return index


cdef inline const uint8_t* address_of(const Record* record) noexcept nogil:
    return <const uint8_t*>(record + 1)


cdef inline void read_endpoint(const ContactStore* store, const Record* record, Endpoint* out) noexcept nogil:
    cdef const uint8_t* address = address_of(record)
    if store.family == FAMILY_V4:
        out.high = 0
        out.low = read_be32(address)
    else:
        out.high = read_be64(address)
        out.low = read_be64(address + 8)
    out.port = record.port
    out.family = store.family
    out.spare = 0
