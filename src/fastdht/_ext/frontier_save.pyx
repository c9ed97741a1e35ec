"""A frontier as bytes, so that a crawl that was killed goes on where it was. Rate class: batch.

An entry is the record as it lies in memory, its address, the packets it got and the replies that named it. Entries are
taken some thousands at a time while the crawl runs on: an entry may be older than the next one. That costs a question
asked twice, never a node: what was found since is marked afterwards (`mark_found`), from the rows themselves.
Loaded, every record that waited or was out waits again; one that was asked for samples waits for its first question
anew, which the ledger then keeps from being for samples. Host order: a saved frontier is for the machine that saved it.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, Endpoint, read_be32, read_be64
from fastdht._ext.frontier cimport Frontier
from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.lanes cimport Lane
from fastdht._ext.questions cimport (
    DEPTH_STANDARD, RECORD_DOUBTED, RECORD_FOUND, RECORD_UNNAMED, STAGE_DONE, STAGE_FALLBACK, STAGE_FIRST, STAGE_MASK,
    STAGE_OWN, STAGE_SAMPLE, STAGE_SILENT, is_in_zone, set_stage, stage_of)
from fastdht._ext.naming cimport Tally
from fastdht._ext.rows cimport FoundRow
from fastdht._ext.seen cimport (
    NO_RECORD, ContactStore, Record, add_record, count_referrers, expect_spot, find_record, find_spot, hash_of,
    is_crowded, push_record, read_endpoint, record_at, tend_store)
from fastdht._ext.seen_places cimport Spot

cdef enum:
    TEND_EVERY = 4096           # entries loaded between two looks at the room there is
    TEND_BUDGET = 1 << 20
    LOOK_AHEAD = 8              # entries: as long as memory takes


cdef struct Rest:               # what is not in the records
    Tally tally
    uint32_t guides
    uint32_t spare


def entry_size(frontier: Frontier, family: int) -> int:
    """Bytes of an entry of this family (4 or 6)."""
    return frontier.lanes[family == 6].store.stride + 2


def save_records(Frontier frontier not None, family: int, start: int, count: int) -> bytes:
    """Up to `count` entries from number `start`; fewer at the end, none beyond it. ~50 ns each."""
    cdef Lane* lane = &frontier.lanes[family == 6]
    cdef uint32_t first = min(<uint32_t>start, lane.store.count)
    cdef uint32_t last = first + min(<uint32_t>count, lane.store.count - first)
    cdef uint32_t stride = lane.store.stride, i
    cdef bytes data
    cdef char* out
    frontier.settle_named(0)
    data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(last - first) * (stride + 2))
    out = PyBytes_AS_STRING(data)
    with nogil:
        for i in range(first, last):
            if i + LOOK_AHEAD < last:
                expect_record_spot(&lane.store, i + LOOK_AHEAD)
            memcpy(out, record_at(&lane.store, i), stride)
            out[stride] = <char>lane.store.asked[i]
            out[stride + 1] = <char>count_referrers(&lane.store, i)
            out += stride + 2
    return data


cdef void expect_record_spot(const ContactStore* store, uint32_t index) noexcept nogil:
    cdef Endpoint endpoint
    read_endpoint(store, record_at(store, index), &endpoint)
    expect_spot(store, hash_of(store, &endpoint))


def load_records(Frontier frontier not None, family: int, data: bytes) -> None:
    """Add saved entries to a frontier that has not asked anything yet. Raises ValueError for what is no such data, and
    MemoryError."""
    cdef Lane* lane = &frontier.lanes[family == 6]
    cdef uint32_t size = lane.store.stride + 2, i
    cdef const uint8_t* entry = <const uint8_t*>PyBytes_AS_STRING(data)
    if lane.store.capacity == 0 or len(data) % size:
        raise ValueError(f"{len(data)} bytes of entries; a multiple of {size} needed, of a family that is crawled")
    for i in range(len(data) // size):
        if i % TEND_EVERY == 0:
            make_room(lane)
        if not load_entry(frontier, lane, entry):
            raise ValueError(f"entry {i} cannot be: its stage is unknown, or there is no room for it")
        entry += size
    lane.cursor = lane.store.count


cdef int make_room(Lane* lane) except -1:
    tend_store(&lane.store, 0)
    while is_crowded(&lane.store) or lane.store.old.lines != NULL or lane.store.larger.lines != NULL:
        if not tend_store(&lane.store, TEND_BUDGET):
            raise MemoryError("no memory for more contacts")
    return 0


cdef bint load_entry(Frontier frontier, Lane* lane, const uint8_t* entry) noexcept nogil:
    cdef const Record* saved = <const Record*>entry
    cdef const uint8_t* address = entry + sizeof(Record)
    cdef Record* record
    cdef Endpoint endpoint
    cdef Spot spot
    cdef uint64_t hashed
    cdef uint32_t index
    if saved.state & STAGE_MASK > STAGE_FALLBACK:
        return False
    endpoint.family = lane.store.family
    endpoint.port = saved.port
    endpoint.spare = 0
    endpoint.high = 0 if lane.store.family == FAMILY_V4 else read_be64(address)
    endpoint.low = read_be32(address) if lane.store.family == FAMILY_V4 else read_be64(address + 8)
    hashed = hash_of(&lane.store, &endpoint)
    if find_spot(&lane.store, &endpoint, hashed, &spot):
        return True                     # a bootstrap host that was offered first
    index = add_record(&lane.store, &spot, &endpoint, hashed, saved.id)
    if index == NO_RECORD:
        return False
    record = record_at(&lane.store, index)
    record.state = saved.state
    record.step = saved.step
    if stage_of(record) == STAGE_SAMPLE:
        set_stage(record, STAGE_FIRST)
    spot.line.referrers[spot.index] = max(<uint8_t>1, entry[lane.store.stride + 1])
    lane.store.asked[index] = entry[lane.store.stride]
    frontier.inside += not record.state & RECORD_UNNAMED and is_in_zone(&frontier.plan, record.id)
    if stage_of(record) == STAGE_SILENT:
        push_record(&lane.store, &lane.silent, index)
    elif stage_of(record) != STAGE_DONE:
        push_record(&lane.store, &lane.follow, index)
    return True


def mark_found(Frontier frontier not None, block: bytes) -> int:
    """Mark the nodes of these rows (FoundRow structs) as found: they get no second row. How many were not yet."""
    cdef const FoundRow* row = <const FoundRow*>PyBytes_AS_STRING(block)
    cdef Py_ssize_t i
    cdef int marked = 0
    if len(block) % sizeof(FoundRow):
        raise ValueError(f"a block of rows is {len(block)} bytes; a multiple of {sizeof(FoundRow)} needed")
    for i in range(len(block) // <Py_ssize_t>sizeof(FoundRow)):
        marked += mark_row(frontier, row + i)
    return marked


cdef bint mark_row(Frontier frontier, const FoundRow* row) noexcept nogil:
    cdef Endpoint endpoint
    cdef bint is_v4 = read_be64(row.ip) == 0 and read_be32(row.ip + 8) == 0xFFFF
    cdef Lane* lane = &frontier.lanes[not is_v4]
    cdef Record* record
    cdef uint32_t index
    if lane.store.capacity == 0:
        return False
    endpoint.family = FAMILY_V4 if is_v4 else FAMILY_V6
    endpoint.port = row.port
    endpoint.spare = 0
    endpoint.high = 0 if is_v4 else read_be64(row.ip)
    endpoint.low = read_be32(row.ip + 12) if is_v4 else read_be64(row.ip + 8)
    index = find_record(&lane.store, &endpoint)
    if index == NO_RECORD or record_at(&lane.store, index).state & RECORD_FOUND:
        return False
    record = record_at(&lane.store, index)
    memcpy(record.id, row.id, ID_SIZE)
    record.state = (record.state | RECORD_FOUND) & ~(RECORD_UNNAMED | RECORD_DOUBTED)
    if stage_of(record) == STAGE_FIRST and frontier.plan.depth == DEPTH_STANDARD:
        set_stage(record, STAGE_OWN)        # it has answered the first question
    return True


def save_rest(Frontier frontier not None) -> bytes:
    """Counters and what else is not in the records."""
    cdef Rest rest
    frontier.settle_named(0)
    rest.tally = frontier.tally
    rest.guides = frontier.guides
    rest.spare = 0
    return (<const char*>&rest)[:sizeof(Rest)]


def load_rest(Frontier frontier not None, data: bytes) -> None:
    """Go on counting from there. Raises ValueError when the size is another."""
    cdef const Rest* rest = <const Rest*>PyBytes_AS_STRING(data)
    if len(data) != sizeof(Rest):
        raise ValueError(f"{len(data)} bytes of counters; {sizeof(Rest)} needed")
    frontier.tally = rest.tally
    frontier.guides = rest.guides
