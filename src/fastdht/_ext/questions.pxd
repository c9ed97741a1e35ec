"""What a crawl asks a contact, step by step, and where each question aims. Rate class: packet."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastdht._ext.addresses cimport read_be64
from fastdht._ext.hashing cimport Rng
from fastdht._ext.krpc cimport Message
from fastdht._ext.seen cimport Record


cdef enum:
    MAX_NAMED = 300             # contacts read from one reply
    STAGE_MASK = 0x0F
    FLAG_MASK = 0xF0


cdef enum Depth:                # what each contact is asked
    DEPTH_FAST                  # one question: half the contact's own id, half a random target
    DEPTH_STANDARD              # a random target, then its own id; a budgeted retry of the silent
    DEPTH_EXHAUSTIVE            # its own id, then every bucket that matters; a retry of everything silent
    DEPTH_RANDOM                # one random target: known to be poor, for checking a network against theory
    DEPTH_OWN                   # its own id only: known to be poor, likewise
    DEPTH_COUNT


cdef enum Stage:                # low nibble of Record.state: what the record waits for
    STAGE_FIRST
    STAGE_RETRY                 # the first question once more
    STAGE_OWN                   # the contact's own id
    STAGE_VERIFY                # the same target, only to hear the id again
    STAGE_BUCKET                # Record.step - 1 is the bit to flip in its id
    STAGE_SILENT                # the first question timed out
    STAGE_DONE
    STAGE_SAMPLE                # the first question, as sample_infohashes
    STAGE_FALLBACK              # a random target, for a node that refused it


cdef enum RecordFlag:           # high nibble of Record.state
    RECORD_FOUND = 0x10         # its row has been written
    RECORD_DOUBTED = 0x20       # answered under another id than it was named with, and only once
    RECORD_REPEATED = 0x40      # its present question has already been repeated
    RECORD_UNNAMED = 0x80       # nobody has said its id yet


cdef struct Plan:
    uint8_t depth
    uint8_t zone_bits           # 0 … 64; 0: the whole key space
    uint8_t zone[20]
    uint32_t retry_referrers    # a silent contact is asked again when so many replies named it
    double retry_share          # and while the retries are fewer than this per found node


cdef void draw_target(const Plan* plan, const Record* record, Rng* rng, uint8_t* out) noexcept nogil
cdef uint8_t next_stage(const Plan* plan, Record* record, const Message* message, uint16_t family,
                        uint32_t known) noexcept nogil
cdef int check_sizes(object families, object max_contacts, object slots, object address_cells) except -1
cdef int check_plan(bytes own_id, bytes zone, object zone_bits, object depth) except -1


cdef inline uint8_t stage_of(const Record* record) noexcept nogil:
    return record.state & STAGE_MASK


cdef inline void set_stage(Record* record, uint8_t stage) noexcept nogil:
    record.state = (record.state & FLAG_MASK) | stage


cdef inline bint is_in_zone(const Plan* plan, const uint8_t* node_id) noexcept nogil:
    return plan.zone_bits == 0 or (read_be64(node_id) ^ read_be64(plan.zone)) >> (64 - plan.zone_bits) == 0
