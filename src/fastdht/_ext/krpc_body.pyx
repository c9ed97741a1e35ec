"""The keys of `a` and `r`, read into the slots of a Message. Rate class: packet.

Queries and responses share one table of keys: a slot that makes no sense in one of them is filled and never looked at.
Of repeated keys the first counts, whatever its type.
Source: BEP 5, 32, 33, 44, 51, and what nodes of today send instead.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcmp

from fastdht._ext.addresses cimport COMPACT_V4, COMPACT_V6, FAMILY_V4, FAMILY_V6, read_compact
from fastdht._ext.bencode cimport VALUE_DEPTH, VALUE_TOKENS, is_digit, open_scanner, scan_string, skip_value
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE
from fastdht._ext.krpc_message cimport HAS_CAS, HAS_INTERVAL, HAS_NUM, HAS_PORT, HAS_SEQ, WANT_V4, WANT_V6
from fastdht._ext.lenient cimport (
    clear, enter, has_more, is_peer, peek, read_flag, read_number, read_string, skip_stored_value)


cdef enum Slot:                 # keys of `a` and `r`; the number is a bit of the mask of keys seen
    SLOT_UNKNOWN
    SLOT_ID
    SLOT_TARGET
    SLOT_INFO_HASH
    SLOT_TOKEN
    SLOT_NODES
    SLOT_NODES6
    SLOT_VALUES
    SLOT_WANT
    SLOT_VALUE
    SLOT_KEY
    SLOT_SIGNATURE
    SLOT_SALT
    SLOT_SAMPLES
    SLOT_SEED_FILTER
    SLOT_PEER_FILTER
    SLOT_PORT
    SLOT_SEQ
    SLOT_CAS
    SLOT_NUM
    SLOT_INTERVAL
    SLOT_IMPLIED_PORT
    SLOT_SEED
    SLOT_NOSEED
    SLOT_SCRAPE


cdef enum:
    KEY_SIZE = 32               # of an Ed25519 public key (BEP 44)
    SIGNATURE_SIZE = 64
    FILTER_SIZE = 256           # BEP 33


cdef bint read_slots(Scanner* scanner, Message* message) noexcept nogil:  # R0
    cdef Span key
    cdef uint32_t slot
    cdef uint32_t seen = 0
    if not enter(scanner, c"d"):
        return False
    while has_more(scanner):
        if not scan_string(scanner, &key):
            return False
        slot = slot_named(&key)
        if seen & (<uint32_t>1 << slot):
            slot = SLOT_UNKNOWN
        if not read_slot(scanner, message, slot):
            return False
        seen |= <uint32_t>1 << slot
    return True


cdef inline uint32_t slot_named(const Span* key) noexcept nogil:
    cdef const uint8_t* name = key.data
    if key.size == 2:
        return SLOT_ID if memcmp(name, b"id", 2) == 0 else SLOT_UNKNOWN
    elif key.size == 5:
        if memcmp(name, b"nodes", 5) == 0:
            return SLOT_NODES
        return SLOT_TOKEN if memcmp(name, b"token", 5) == 0 else SLOT_UNKNOWN
    elif key.size == 6:
        return slot_of_six(name)
    elif key.size == 9:
        return SLOT_INFO_HASH if memcmp(name, b"info_hash", 9) == 0 else SLOT_UNKNOWN
    elif key.size == 4:
        return slot_of_four(name)
    elif key.size == 3:
        return slot_of_three(name)
    elif key.size == 1:
        if name[0] == c"v":
            return SLOT_VALUE
        return SLOT_KEY if name[0] == c"k" else SLOT_UNKNOWN
    elif key.size == 7:
        return SLOT_SAMPLES if memcmp(name, b"samples", 7) == 0 else SLOT_UNKNOWN
    elif key.size == 8:
        return SLOT_INTERVAL if memcmp(name, b"interval", 8) == 0 else SLOT_UNKNOWN
    elif key.size == 12:
        return SLOT_IMPLIED_PORT if memcmp(name, b"implied_port", 12) == 0 else SLOT_UNKNOWN
    return SLOT_UNKNOWN


cdef inline uint32_t slot_of_six(const uint8_t* name) noexcept nogil:
    if memcmp(name, b"target", 6) == 0:
        return SLOT_TARGET
    if memcmp(name, b"values", 6) == 0:
        return SLOT_VALUES
    if memcmp(name, b"nodes6", 6) == 0:
        return SLOT_NODES6
    if memcmp(name, b"noseed", 6) == 0:
        return SLOT_NOSEED
    return SLOT_SCRAPE if memcmp(name, b"scrape", 6) == 0 else SLOT_UNKNOWN


cdef inline uint32_t slot_of_four(const uint8_t* name) noexcept nogil:
    if memcmp(name, b"want", 4) == 0:
        return SLOT_WANT
    if memcmp(name, b"port", 4) == 0:
        return SLOT_PORT
    if memcmp(name, b"salt", 4) == 0:
        return SLOT_SALT
    if memcmp(name, b"seed", 4) == 0:
        return SLOT_SEED
    if memcmp(name, b"BFsd", 4) == 0 or memcmp(name, b"BFse", 4) == 0:
        return SLOT_SEED_FILTER
    return SLOT_PEER_FILTER if memcmp(name, b"BFpe", 4) == 0 else SLOT_UNKNOWN


cdef inline uint32_t slot_of_three(const uint8_t* name) noexcept nogil:
    if memcmp(name, b"seq", 3) == 0:
        return SLOT_SEQ
    if memcmp(name, b"sig", 3) == 0:
        return SLOT_SIGNATURE
    if memcmp(name, b"cas", 3) == 0:
        return SLOT_CAS
    return SLOT_NUM if memcmp(name, b"num", 3) == 0 else SLOT_UNKNOWN


cdef bint read_slot(Scanner* scanner, Message* message, uint32_t slot) noexcept nogil:  # R0
    if slot == SLOT_ID:
        return read_id(scanner, &message.id)
    elif slot == SLOT_TARGET:
        return read_id(scanner, &message.target)
    elif slot == SLOT_INFO_HASH:
        return read_info_hash(scanner, message)
    elif slot == SLOT_NODES:
        return read_records(scanner, &message.nodes, COMPACT_NODE_V4)
    elif slot == SLOT_NODES6:
        return read_records(scanner, &message.nodes6, COMPACT_NODE_V6)
    elif slot == SLOT_SAMPLES:
        return read_hashes(scanner, &message.samples)
    elif slot == SLOT_TOKEN:
        return read_string(scanner, &message.token)
    elif slot == SLOT_SALT:
        return read_string(scanner, &message.salt)
    elif slot == SLOT_VALUES:
        return read_values(scanner, message)
    elif slot == SLOT_WANT:
        return read_want(scanner, message)
    elif slot == SLOT_VALUE:
        return read_stored_value(scanner, message)
    elif slot == SLOT_KEY:
        return read_exactly(scanner, &message.key, KEY_SIZE)
    elif slot == SLOT_SIGNATURE:
        return read_exactly(scanner, &message.signature, SIGNATURE_SIZE)
    elif slot == SLOT_SEED_FILTER:
        return read_exactly(scanner, &message.seed_filter, FILTER_SIZE)
    elif slot == SLOT_PEER_FILTER:
        return read_exactly(scanner, &message.peer_filter, FILTER_SIZE)
    elif slot == SLOT_PORT:
        return read_number(scanner, &message.port, &message.present, HAS_PORT)
    elif slot == SLOT_SEQ:
        return read_number(scanner, &message.seq, &message.present, HAS_SEQ)
    elif slot == SLOT_CAS:
        return read_number(scanner, &message.cas, &message.present, HAS_CAS)
    elif slot == SLOT_NUM:
        return read_number(scanner, &message.num, &message.present, HAS_NUM)
    elif slot == SLOT_INTERVAL:
        return read_number(scanner, &message.interval, &message.present, HAS_INTERVAL)
    elif slot == SLOT_IMPLIED_PORT:
        return read_flag(scanner, &message.implied_port)
    elif slot == SLOT_SEED:
        return read_flag(scanner, &message.seed)
    elif slot == SLOT_NOSEED:
        return read_flag(scanner, &message.noseed)
    elif slot == SLOT_SCRAPE:
        return read_flag(scanner, &message.scrape)
    return skip_value(scanner)


cdef bint read_exactly(Scanner* scanner, Span* out, uint32_t size) noexcept nogil:  # R0
    if not read_string(scanner, out):
        return False
    if out.size != size:
        clear(out)
    return True


cdef inline bint read_records(Scanner* scanner, Span* out, uint32_t record) noexcept nogil:
    """A run of records; what is too short for one more is ignored."""
    if not read_string(scanner, out):
        return False
    out.size -= out.size % record
    return True


cdef inline bint read_hashes(Scanner* scanner, Span* out) noexcept nogil:
    """A run of infohashes; of a ragged one nobody can tell where an infohash begins, so it counts as empty."""
    if not read_string(scanner, out):
        return False
    if out.size % ID_SIZE:
        out.size = 0
    return True


cdef inline bint read_id(Scanner* scanner, const uint8_t** out) noexcept nogil:
    cdef Span text
    clear(&text)
    if not read_string(scanner, &text):
        return False
    if text.size == ID_SIZE:
        out[0] = text.data
    return True


cdef inline bint read_info_hash(Scanner* scanner, Message* message) noexcept nogil:
    """Fills the target unless `target` did; a later `target` overwrites it."""
    cdef const uint8_t* info_hash = NULL
    if not read_id(scanner, &info_hash):
        return False
    if message.target == NULL:
        message.target = info_hash
    return True


cdef bint read_values(Scanner* scanner, Message* message) noexcept nogil:  # R0
    """A list of strings, or one bare string. The list's `e` is kept where several stand in it: a string that stands
    alone may be a run of peers, and take_value knows it by the missing `e`."""
    cdef Span element
    cdef const uint8_t* start = scanner.at
    cdef uint32_t count = 0
    if peek(scanner) != c"l":
        if not read_string(scanner, &message.values):
            return False
        if message.values.data != NULL:
            message.values.data = start
            message.values.size = <uint32_t>(scanner.at - start)
        return True
    if not enter(scanner, c"l"):
        return False
    while has_more(scanner):
        if is_peer(scanner.at, <uint64_t>(scanner.end - scanner.at)) and scanner.tokens_left:
            scanner.tokens_left -= 1
            scanner.at += 2 + COMPACT_V4
        elif not read_string(scanner, &element):
            return False
        count += 1
    message.values.data = start + 1
    message.values.size = <uint32_t>(scanner.at - start) - (1 if count > 1 else 2)
    return True


cdef bint read_want(Scanner* scanner, Message* message) noexcept nogil:  # R0
    """A list of `n4` and `n6`, or one of them bare."""
    if peek(scanner) != c"l":
        return read_want_part(scanner, message)
    if not enter(scanner, c"l"):
        return False
    while has_more(scanner):
        if not read_want_part(scanner, message):
            return False
    return True


cdef bint read_want_part(Scanner* scanner, Message* message) noexcept nogil:  # R0
    cdef Span text
    clear(&text)
    if not read_string(scanner, &text):
        return False
    if text.size == 2 and text.data[0] == c"n":
        if text.data[1] == c"4":
            message.want |= WANT_V4
        elif text.data[1] == c"6":
            message.want |= WANT_V6
    return True


cdef bint read_stored_value(Scanner* scanner, Message* message) noexcept nogil:  # R0
    message.value.data = scanner.at
    if not skip_stored_value(scanner):
        return False
    message.value.size = <uint32_t>(scanner.at - message.value.data)
    return True


cdef bint take_value(Span* rest, uint16_t family, Endpoint* out) noexcept nogil:  # R0
    """Take one peer off a Message's `values`; False when none is left.

    Each string of 6 or 18 bytes is a peer of its own family. One that stands alone may be a run: of 18 bytes each
    over IPv6 where that divides it, else of 6. Anything else is passed over.
    """
    cdef Span text
    cdef Scanner scanner
    while rest.size and rest.data[0] != c"e":
        clear(&text)
        scanner = open_scanner(rest.data, rest.size, VALUE_DEPTH, VALUE_TOKENS)
        if is_digit(rest.data[0]):
            if not scan_string(&scanner, &text) or scanner.at == scanner.end:
                return take_from_run(rest, family, out)
        elif not skip_value(&scanner):
            break
        rest.size -= <uint32_t>(scanner.at - rest.data)
        rest.data = scanner.at
        if text.size == COMPACT_V4 or text.size == COMPACT_V6:
            read_compact(text.data, FAMILY_V4 if text.size == COMPACT_V4 else FAMILY_V6, out)
            return True
    rest.size = 0
    return False


cdef bint take_from_run(Span* rest, uint16_t family, Endpoint* out) noexcept nogil:  # R0
    """The last peer of a string that stands alone. It shrinks from its end, so that `rest` still starts with the
    length it declared, which says how long a record is."""
    cdef uint32_t declared = 0
    cdef uint32_t prefix = 0
    cdef uint32_t record
    while prefix < rest.size and is_digit(rest.data[prefix]):
        declared = declared * 10 + rest.data[prefix] - 48
        prefix += 1
    prefix += 1
    record = COMPACT_V6 if family == FAMILY_V6 and declared % COMPACT_V6 == 0 else COMPACT_V4
    if declared % record or rest.size < prefix + record:
        rest.size = 0
        return False
    rest.size -= record
    read_compact(rest.data + rest.size, FAMILY_V4 if record == COMPACT_V4 else FAMILY_V6, out)
    return True
