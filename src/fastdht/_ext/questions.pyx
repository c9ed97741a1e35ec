"""Targets and the order of questions for each depth. Rate class: packet.

A target "at a contact's own id" shares its first 96 bits; the rest is random: an id made from the target (equal to
it, one more, any fixed change) is then never the id the contact was named with.
Source: docs/crawl.md for the depths and their figures; BEP 5 for what a find_node answers.
"""
from libc.string cimport memcpy

from fastdht._ext.addresses cimport FAMILY_V4
from fastdht._ext.hashing cimport fill_random, next_random
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE, prefix_length

cdef enum:
    MIN_BUCKETS = 16            # of the cap on buckets asked, while few contacts are known
    OWN_BYTES = 12              # of an id that a target at it keeps: no two nodes share so many
    BUCKET_MARGIN = 2           # and above the logarithm of the known contacts


cdef bint aims_at_own_id(const Plan* plan, uint8_t stage, Rng* rng) noexcept nogil:  # R0
    if stage == STAGE_OWN or stage == STAGE_VERIFY:
        return True
    if plan.depth == DEPTH_FAST:
        return next_random(rng) >> 63
    return plan.depth == DEPTH_EXHAUSTIVE or plan.depth == DEPTH_OWN


cdef void draw_target(const Plan* plan, const Record* record, Rng* rng, uint8_t* out) noexcept nogil:  # R0
    """Write the target of the record's next question; only a contact inside the zone is asked about its own id."""
    cdef uint8_t stage = stage_of(record)
    if not record.state & RECORD_UNNAMED and is_in_zone(plan, record.id):
        if stage == STAGE_BUCKET:
            memcpy(out, record.id, ID_SIZE)
            out[(record.step - 1) >> 3] ^= 0x80 >> ((record.step - 1) & 7)
            return
        if aims_at_own_id(plan, stage, rng):
            memcpy(out, record.id, OWN_BYTES)
            fill_random(rng, out + OWN_BYTES, ID_SIZE - OWN_BYTES)
            return
    draw_in_zone(plan, rng, out)


cdef void draw_in_zone(const Plan* plan, Rng* rng, uint8_t* out) noexcept nogil:  # R0
    cdef uint32_t whole = plan.zone_bits >> 3
    cdef uint8_t rest = 0xFF >> (plan.zone_bits & 7)
    fill_random(rng, out, ID_SIZE)
    memcpy(out, plan.zone, whole)
    out[whole] = (out[whole] & rest) | (plan.zone[whole] & ~rest)


cdef uint8_t next_stage(const Plan* plan, Record* record, const Message* message, uint16_t family,
                        uint32_t known) noexcept nogil:  # R0
    """What an answered record waits for now; moves its step. `known` is how many contacts the crawl knows."""
    cdef uint8_t stage = stage_of(record)
    cdef bint is_doubted = (record.state & RECORD_DOUBTED) != 0
    record.step = record.step if stage == STAGE_BUCKET else 0
    if not is_in_zone(plan, record.id):
        return STAGE_DONE
    if plan.depth == DEPTH_STANDARD and (stage == STAGE_FIRST or stage == STAGE_RETRY or stage == STAGE_SAMPLE
                                         or stage == STAGE_FALLBACK):
        return STAGE_OWN
    if plan.depth == DEPTH_EXHAUSTIVE:
        if stage == STAGE_BUCKET:
            record.step -= 1
        elif is_doubted:
            return STAGE_OWN            # the first question aimed at another id than its own
        else:
            record.step = count_buckets(record, message, family, known)
        if record.step > plan.zone_bits:
            return STAGE_BUCKET
    return STAGE_VERIFY if is_doubted else STAGE_DONE


cdef uint8_t count_buckets(const Record* record, const Message* message, uint16_t family,
                           uint32_t known) noexcept nogil:  # R0
    """How many buckets an answer to the own id leaves open: it shows all that is closer than its farthest contact."""
    cdef uint32_t size = COMPACT_NODE_V4 if family == FAMILY_V4 else COMPACT_NODE_V6
    cdef const uint8_t* node = message.nodes.data if family == FAMILY_V4 else message.nodes6.data
    cdef uint32_t count = (message.nodes.size if family == FAMILY_V4 else message.nodes6.size) // size
    cdef int least = ID_SIZE * 8, most = BUCKET_MARGIN
    cdef uint32_t i
    if count == 0:
        return 0
    for i in range(min(count, <uint32_t>MAX_NAMED)):
        least = min(least, prefix_length(record.id, node + i * size))
    while known:                        # no honest bucket is much deeper than the logarithm of the network
        known >>= 1
        most += 1
    return <uint8_t>min(least + 1, max(most, <int>MIN_BUCKETS))


cdef int check_plan(bytes own_id, bytes zone, object zone_bits, object depth) except -1:
    """Raise ValueError for what cannot be planned."""
    if len(own_id) != ID_SIZE or len(zone) != ID_SIZE:
        raise ValueError(f"own_id is {len(own_id)} bytes, zone {len(zone)}; {ID_SIZE} needed")
    if not 0 <= zone_bits <= 64:
        raise ValueError(f"zone_bits is {zone_bits}; 0 to 64")
    if not 0 <= depth < DEPTH_COUNT:
        raise ValueError(f"depth is {depth}; 0 to {DEPTH_COUNT - 1}")
    return 0


cdef int check_sizes(object families, object max_contacts, object slots, object address_cells) except -1:
    if not 1 <= families <= 3:
        raise ValueError(f"families is {families}; 1 (IPv4), 2 (IPv6) or 3")
    if not 1 <= max_contacts <= 0xFFFFFFFE or slots < 64:
        raise ValueError(f"max_contacts is {max_contacts}, slots {slots}; 1 to 2^32 - 2, and at least 64")
    if address_cells < 1 or address_cells & (address_cells - 1):
        raise ValueError(f"address_cells is {address_cells}; a power of two needed")
    return 0
