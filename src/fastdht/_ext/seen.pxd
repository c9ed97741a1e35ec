"""The contacts of a crawl: an exact set of endpoints and one record for each. Rate class: packet.

IPv4 takes a 16-byte slot (load 0.35 to 0.7) and a 32-byte record per contact, IPv6 a slot and 44 bytes.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport FAMILY_V4, Endpoint, read_be32, read_be64
from fastdht._ext.hashing cimport HashKey


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fastdht_prefetch(p) __builtin_prefetch((p), 1, 2)
    #else
    #define fastdht_prefetch(p) ((void)(p))
    #endif
    """
    void prefetch "fastdht_prefetch"(const void* p) nogil


cdef enum:
    NO_RECORD = 0xFFFFFFFF


cdef struct Slot:               # 16 bytes
    uint64_t key                # 0: empty. IPv4: address and port, exact; IPv6: a keyed hash, and the record decides
    uint32_t record
    uint32_t referrers          # replies that named this endpoint


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
    Slot* slots
    Slot* old_slots             # the table that is being left; NULL when none
    uint8_t* records
    uint8_t* asked              # packets sent to each record, saturating
    uint64_t slot_count
    uint64_t old_slot_count
    uint64_t moved              # old slots already copied
    uint32_t stride             # bytes of a record and its address
    uint32_t count
    uint32_t capacity           # 0: this family is not crawled
    uint16_t family


cdef bint open_store(ContactStore* store, uint16_t family, uint32_t capacity, uint64_t slot_count,
                     uint64_t seed) noexcept nogil
cdef void free_store(ContactStore* store) noexcept nogil
cdef bint needs_growth(const ContactStore* store) noexcept nogil
cdef bint is_crowded(const ContactStore* store) noexcept nogil
cdef bint start_growth(ContactStore* store) noexcept nogil          # False: no memory
cdef void move_slots(ContactStore* store, uint64_t budget) noexcept nogil
cdef uint64_t prepare_slot(const ContactStore* store, const Endpoint* endpoint) noexcept nogil
cdef Slot* find_slot(ContactStore* store, const Endpoint* endpoint, uint64_t hashed) noexcept nogil
cdef uint32_t add_record(ContactStore* store, Slot* slot, const Endpoint* endpoint, uint64_t hashed,
                         const uint8_t* node_id) noexcept nogil
cdef uint32_t count_referrers(ContactStore* store, uint32_t index) noexcept nogil
cdef void push_record(ContactStore* store, RecordList* records, uint32_t index) noexcept nogil
cdef uint32_t pop_record(ContactStore* store, RecordList* records) noexcept nogil
cdef uint32_t most_asked_address(const ContactStore* store) noexcept nogil


cdef inline Record* record_at(const ContactStore* store, uint32_t index) noexcept nogil:
    return <Record*>(store.records + <uint64_t>index * store.stride)


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
