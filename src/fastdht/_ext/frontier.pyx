"""What the answers of a crawl prove: rows of nodes, and what each contact waits for next. Rate class: packet.

A row is written when a node has proved its id: it answered under the id others named it with, or twice, to two
targets, under the same other id. So a node that invents an id per query never gets one (see also questions.pyx).
Invariants: one row per record; nothing found is ever lost, for no question is asked whose answer could find the row
block full. A KRPC error and an answer without an id are no proof. Sources: BEP 5; docs/crawl.md.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastdht._ext.addresses cimport FAMILY_V6
from fastdht._ext.edges cimport EdgeRow, fill_edges
from fastdht._ext.ids cimport COMPACT_NODE_V4, COMPACT_NODE_V6, ID_SIZE, same_id
from fastdht._ext.krpc cimport HAS_INTERVAL, HAS_NUM
from fastdht._ext.lanes cimport Lane
from fastdht._ext.ledger cimport MAX_INTERVAL_S, Ledger
from fastdht._ext.naming cimport FILTER_CHANGED_ID, FILTER_COUNT, FILTER_NO_ID, FILTER_REFLECTED, Tally, count_named
from fastdht._ext.questions cimport (
    DEPTH_FAST, RECORD_DOUBTED, RECORD_FOUND, RECORD_REPEATED, RECORD_UNNAMED, STAGE_BUCKET, STAGE_DONE,
    STAGE_FALLBACK, STAGE_FIRST, STAGE_OWN, STAGE_SAMPLE, STAGE_SILENT, is_in_zone, next_stage, set_stage, stage_of)
from fastdht._ext.rows cimport ROW_OK, ROW_RENAMED, fill_row
from fastdht._ext.samples cimport MAX_SAMPLES_READ, SampleRow, fill_samples, told_num
from fastdht._ext.seen cimport (
    NO_RECORD, ContactStore, count_referrers, find_record, most_asked_address, push_record, read_endpoint, record_at)
from fastdht._ext.transactions cimport SLOT_STALLED

cdef enum:
    SEED_REPEATS = 3            # losing the only seed would lose the crawl
    FIRST_RTT_OCTAVE = 8
    MAX_HISTOGRAM = 255
    SUMMED_AT_ONCE = 1 << 20    # addresses whose packets are summed together: 13 MB
    CONTROL_SHARE = 64          # of the questions of a fast crawl one in so many goes to a node already found

FILTER_NAMES = ("port_zero", "bogon", "own_id", "outside_zone", "too_many", "full", "no_id", "reflected", "changed_id")


cdef class Frontier(CrawlQueue):
    """The frontier of one pass of one crawl. Compiled code drives it; Python seeds it, paces it and takes its rows.

    `row_capacity` must exceed the transactions that can be outstanding, or it bounds them. `previous` is the pass
    before, whose nodes get no second row. With a `ledger` each contact's first question is sample_infohashes, where the
    ledger allows, and `sample_capacity` rows of samples are held; half of them stops the asking; so it is with
    `edge_capacity` rows of edges (0: none are kept). The rest is as for CrawlQueue. Raises ValueError and MemoryError.
    """

    def __init__(self, own_id: bytes, AddressFilter address_filter not None, *, row_capacity: int = 1 << 16,
                 Frontier previous = None, Ledger ledger = None, sample_capacity: int = 1 << 20,
                 edge_capacity: int = 0, **options):
        super().__init__(own_id, address_filter, **options)
        free(self.rows)
        free(self.samples)
        free(self.edges)
        self.samples = NULL
        self.edges = NULL
        if edge_capacity:
            self.edges = <EdgeRow*>calloc(edge_capacity, sizeof(EdgeRow))
            if self.edges == NULL:
                raise MemoryError(f"no memory for {edge_capacity} edges")
        self.edge_capacity = edge_capacity
        self.ledger = ledger
        self.is_harvest = ledger is not None
        if self.is_harvest:
            self.sample_capacity = sample_capacity
            self.samples = <SampleRow*>calloc(sample_capacity, sizeof(SampleRow))
            if self.samples == NULL:
                raise MemoryError(f"no memory for {sample_capacity} samples")
        self.rows = <FoundRow*>calloc(row_capacity, sizeof(FoundRow))
        if self.rows == NULL:
            raise MemoryError(f"no memory for {row_capacity} rows")
        self.row_capacity = row_capacity
        self.previous = previous
        self.previous_lanes = previous.lanes if previous is not None else NULL

    def __dealloc__(self):
        free(self.rows)
        free(self.samples)
        free(self.edges)

    cdef void on_stall(self, const Transaction* tx, int64_t now_us) noexcept nogil:  # R0
        """The query is late: its place in the window is free, its answer still counts."""
        self.in_flight[tx.endpoint.family == FAMILY_V6] -= 1
        self.tally.stalled += 1

    cdef void on_timeout(self, const Transaction* tx, int64_t now_us) noexcept nogil:  # R0
        """No answer will come: the time is over, or the host refused."""
        self.release(tx)
        self.tally.timeouts += 1
        cdef Lane* lane = &self.lanes[tx.endpoint.family == FAMILY_V6]
        self.tally.known_silent += (record_at(&lane.store, tx.owner_slot).state & RECORD_FOUND) != 0
        self.fail(lane, tx.owner_slot)

    cdef void on_error(self, const Transaction* tx, const Message* message, int64_t now_us) noexcept nogil:  # R0
        """A KRPC error says that somebody lives there, but not who: like silence, it may be worth a retry."""
        cdef Lane* lane = &self.lanes[tx.endpoint.family == FAMILY_V6]
        self.release(tx)
        self.tally.errors += 1
        if stage_of(record_at(&lane.store, tx.owner_slot)) == STAGE_SAMPLE:
            self.refuse_sample(lane, tx.owner_slot)
        else:
            self.fail(lane, tx.owner_slot)

    cdef void refuse_sample(self, Lane* lane, uint32_t index) noexcept nogil:  # R0
        """The node lives, but does not know sample_infohashes: ask what it does know, twice while the budget lasts."""
        cdef bint may_ask_twice = self.has_budget()
        self.tally.refused += 1
        self.tally.fallbacks += may_ask_twice
        set_stage(record_at(&lane.store, index), STAGE_FALLBACK if may_ask_twice else STAGE_OWN)
        push_record(&lane.store, &lane.follow, index)

    cdef void fail(self, Lane* lane, uint32_t index) noexcept nogil:  # R0
        cdef Record* record = record_at(&lane.store, index)
        cdef uint8_t stage = stage_of(record)
        cdef bint may_repeat = not record.state & RECORD_REPEATED
        if record.state & RECORD_UNNAMED and record.step < SEED_REPEATS:
            record.step += 1
            set_stage(record, STAGE_FIRST if stage == STAGE_SAMPLE else stage)
            push_record(&lane.store, &lane.follow, index)
        elif ((stage == STAGE_FIRST or stage == STAGE_SAMPLE) and not record.state & RECORD_UNNAMED and self.plan.retry_share > 0
                and is_in_zone(&self.plan, record.id)):
            set_stage(record, STAGE_SILENT)
            push_record(&lane.store, &lane.silent, index)
        elif may_repeat and (stage == STAGE_BUCKET or stage == STAGE_FALLBACK or record.state & RECORD_DOUBTED):
            record.state |= RECORD_REPEATED
            self.tally.repeats += 1
            push_record(&lane.store, &lane.follow, index)
        else:
            set_stage(record, STAGE_DONE)

    cdef void on_response(self, const Transaction* tx, const Message* message, int64_t now_us) noexcept nogil:  # R0
        """An answer from the asked endpoint, with our transaction id; late ones too."""
        cdef Lane* lane = &self.lanes[tx.endpoint.family == FAMILY_V6]
        cdef Record* record = record_at(&lane.store, tx.owner_slot)
        cdef bint is_first
        self.release(tx)
        if message.id == NULL:
            self.tally.filtered[FILTER_NO_ID] += 1
            self.fail(lane, tx.owner_slot)
            return
        if self.is_own(message.id):
            self.tally.filtered[FILTER_REFLECTED] += 1
            set_stage(record, STAGE_DONE)
            return
        self.tally.answered += 1
        self.tally.answered_v6 += tx.endpoint.family == FAMILY_V6
        self.tally.known_answered += (record.state & RECORD_FOUND) != 0
        self.tally.late += tx.state == SLOT_STALLED
        self.rtt_bins[rtt_bin(now_us - tx.sent_us)] += 1
        self.merge(message)
        if stage_of(record) == STAGE_SAMPLE:
            self.keep_samples(tx, message, now_us)
        record.state &= ~RECORD_REPEATED
        if self.judge_id(lane, record, message, now_us - tx.sent_us):
            is_first = stage_of(record) == STAGE_FIRST
            set_stage(record, next_stage(&self.plan, record, message, lane.store.family, lane.store.count))
            if self.edges != NULL and is_in_zone(&self.plan, record.id):
                self.keep_edges(record, message)
            if is_first and self.plan.depth == DEPTH_FAST and is_control_due(&self.tally, record):
                self.tally.repeats += 1
                set_stage(record, STAGE_OWN)
        else:
            set_stage(record, STAGE_DONE)
        if stage_of(record) != STAGE_DONE:
            push_record(&lane.store, &lane.follow, tx.owner_slot)
            self.expect_address(&tx.endpoint)

    cdef void keep_samples(self, const Transaction* tx, const Message* message, int64_t now_us) noexcept nogil:  # R0
        """Write the samples of an answer, and when the node may be asked again. Without any it knows no samples."""
        cdef uint32_t count, shown = min(message.samples.size // ID_SIZE, <uint32_t>MAX_SAMPLES_READ)
        if message.samples.data == NULL and not message.present & HAS_NUM:
            return
        self.ledger.settle(&tx.endpoint, message.interval if message.present & HAS_INTERVAL else MAX_INTERVAL_S, now_us)
        self.tally.samplers += 1
        self.tally.num_sum += told_num(message)
        count = min(shown, self.sample_capacity - self.sample_count)
        self.tally.samples_lost += shown - count
        count = fill_samples(&self.samples[self.sample_count], count, &tx.endpoint, message, self.ledger.wall_s(now_us))
        self.sample_count += count
        self.tally.samples += count

    cdef void keep_edges(self, const Record* record, const Message* message) noexcept nogil:  # R0
        """Write a row for each contact of an answer: of the families that are crawled, whoever they are."""
        cdef uint32_t counts[2]
        cdef uint32_t room, count
        cdef int i
        count_named(message, counts)
        for i in range(2):
            count = counts[i] if self.lanes[i].store.capacity != 0 else 0
            room = self.edge_capacity - self.edge_count
            self.tally.edges_dropped += count - min(count, room)
            count = min(count, room)
            fill_edges(&self.edges[self.edge_count], record.id, message.nodes6.data if i else message.nodes.data, count,
                       COMPACT_NODE_V6 if i else COMPACT_NODE_V4)
            self.edge_count += count
            self.tally.edges += count

    cdef bint judge_id(self, Lane* lane, Record* record, const Message* message, int64_t rtt_us) noexcept nogil:  # R0
        """Compare the id of an answer with what is known; accept the node when it is proved. False: it makes ids up."""
        if record.state & RECORD_FOUND:
            return True
        if not record.state & RECORD_UNNAMED and same_id(record.id, message.id):
            self.accept(lane, record, message, rtt_us)
            record.state &= ~RECORD_DOUBTED
            return True
        if record.state & RECORD_DOUBTED:
            self.tally.filtered[FILTER_CHANGED_ID] += 1
            return False
        memcpy(record.id, message.id, ID_SIZE)
        record.state = (record.state | RECORD_DOUBTED) & ~RECORD_UNNAMED
        self.tally.renamed += 1
        return True

    cdef void accept(self, Lane* lane, Record* record, const Message* message, int64_t rtt_us) noexcept nogil:  # R0
        """Count a proved node of the zone, and write its row unless the previous pass did."""
        cdef Endpoint endpoint
        if not is_in_zone(&self.plan, record.id) or self.row_count == self.row_capacity:
            return                          # the block is never full here: is_held_back keeps a place for every answer
        record.state |= RECORD_FOUND
        if was_found(self.previous_lanes, lane, record):
            self.tally.found_before += 1
            return
        read_endpoint(&lane.store, record, &endpoint)
        fill_row(&self.rows[self.row_count], &endpoint, message,
                 ROW_RENAMED if record.state & RECORD_DOUBTED else ROW_OK, rtt_us)
        self.row_count += 1
        self.tally.found += 1
        self.tally.found_v6 += endpoint.family == FAMILY_V6

    def take_found(self) -> bytes:
        """The rows found since the last call: FoundRow structs of 48 bytes, back to back. To be called often: a full
        block stops the asking, though it loses nothing."""
        cdef bytes block = (<const char*>self.rows)[:self.row_count * sizeof(FoundRow)]
        self.row_count = 0
        return block

    def take_samples(self) -> bytes:
        """The samples since the last call: SampleRow structs of 52 bytes. To be called often, as take_found."""
        cdef bytes block = (<const char*>self.samples)[:self.sample_count * sizeof(SampleRow)]
        self.sample_count = 0
        return block

    def take_edges(self) -> bytes:
        """The edges since the last call: EdgeRow structs of 16 bytes. To be called often, as take_found."""
        cdef bytes block = (<const char*>self.edges)[:self.edge_count * sizeof(EdgeRow)] if self.edge_count else b""
        self.edge_count = 0
        return block

    def edges_waiting(self) -> int:
        """How many rows `take_edges` would give."""
        return self.edge_count

    def samples_waiting(self) -> int:
        """How many rows `take_samples` would give."""
        return self.sample_count

    def rows_waiting(self) -> int:
        """How many rows `take_found` would give."""
        return self.row_count

    def is_exhausted(self) -> bool:
        """Whether nothing is left to ask and nothing is outstanding."""
        self.settle_named(0)
        return self.waiting == 0 and not self.has_work(&self.lanes[0]) and not self.has_work(&self.lanes[1])

    def counters(self) -> dict[str, int]:
        """Counts since the start, and of the moment: contacts, queued, in_flight, waiting. `filtered_…`: by reason."""
        cdef const Tally* t = &self.tally
        self.settle_named(0)
        cdef uint32_t i
        counts = {
            "asked": t.asked, "answered": t.answered, "late": t.late, "errors": t.errors, "stalled": t.stalled,
            "timeouts": t.timeouts, "retries": t.retries, "repeats": t.repeats, "duplicates": t.duplicates,
            "found": t.found, "found_before": t.found_before, "renamed": t.renamed,
            "known_answered": t.known_answered, "known_silent": t.known_silent,
            "postponed": t.postponed, "not_asked": t.not_asked,
            "sample_queries": t.sample_queries, "not_due": t.not_due, "refused": t.refused, "fallbacks": t.fallbacks,
            "samplers": t.samplers, "samples": t.samples, "samples_lost": t.samples_lost, "num_sum": t.num_sum,
            "edges": t.edges, "edges_dropped": t.edges_dropped, "answered_v6": t.answered_v6,
            "found_v6": t.found_v6, "contacts_v6": self.lanes[1].store.count,
            "contacts": self.lanes[0].store.count + self.lanes[1].store.count,
            "queued": (self.lanes[0].store.count - self.lanes[0].cursor + self.lanes[0].postponed
                       + self.lanes[1].store.count - self.lanes[1].cursor + self.lanes[1].postponed),
            "in_flight": self.in_flight[0] + self.in_flight[1], "waiting": self.waiting,
        }
        counts.update({f"filtered_{name}": t.filtered[i] for i, name in enumerate(FILTER_NAMES)})
        return counts

    def rtt_histogram(self) -> list[int]:
        """Answers per round-trip time: 64 bins, four equal ones per doubling, from 256 µs."""
        return [self.rtt_bins[i] for i in range(RTT_BINS)]

    def referrer_histogram(self, int most = 64, uint32_t every = 1) -> tuple[list[int], list[int], list[int]]:
        """Contacts of the zone by how many replies named them, 0 to `most` (and above): most + 1 counts each of the
        nodes found, of those never found, and of the latter those that were asked more than once.

        ~150 ns per contact, of which one in `every` is looked at. Raises ValueError.
        """
        cdef uint64_t counts[3][MAX_HISTOGRAM + 1]
        cdef ContactStore* store
        cdef Record* record
        cdef uint32_t i, named
        cdef int number
        if not 1 <= most <= MAX_HISTOGRAM or every == 0:
            raise ValueError(f"most is {most}, every {every}; 1 to {MAX_HISTOGRAM}, and at least 1")
        self.settle_named(0)
        memset(counts, 0, sizeof(counts))
        with nogil:
            for number in range(2):
                store = &self.lanes[number].store
                i = 0
                while store.capacity and i < store.count:
                    record = record_at(store, i)
                    named = min(count_referrers(store, i), <uint32_t>most)
                    if record.state & RECORD_FOUND:
                        counts[0][named] += 1
                    elif is_in_zone(&self.plan, record.id):
                        counts[1][named] += 1
                        counts[2][named] += store.asked[i] > 1
                    i += every
        return tuple([counts[kind][i] for i in range(most + 1)] for kind in range(3))

    def max_packets_per_address(self, at_once: int = SUMMED_AT_ONCE) -> int:
        """The most packets one address got in this pass, over all its ports; ~50 ns per contact, and again for each
        further `at_once` contacts, whose sums take 13 bytes each."""
        cdef uint32_t part = at_once, best
        with nogil:
            best = max(most_asked_address(&self.lanes[0].store, part), most_asked_address(&self.lanes[1].store, part))
        return best


cdef bint is_control_due(const Tally* tally, const Record* record) noexcept nogil:  # R0
    """Whether to ask a node just found again: how many of those answer tells what loss costs."""
    return (record.state & RECORD_FOUND and stage_of(record) == STAGE_DONE
            and tally.repeats * CONTROL_SHARE < tally.asked)


cdef bint was_found(Lane* lanes, const Lane* lane, const Record* record) noexcept nogil:  # R0
    """Whether another pass has written a row for this endpoint under this id."""
    cdef Lane* other
    cdef Endpoint endpoint
    cdef uint32_t index
    if lanes == NULL:
        return False
    other = &lanes[lane.store.family == FAMILY_V6]
    if other.store.capacity == 0:
        return False
    read_endpoint(&lane.store, record, &endpoint)
    index = find_record(&other.store, &endpoint)
    if index == NO_RECORD:
        return False
    return (record_at(&other.store, index).state & RECORD_FOUND
            and same_id(record_at(&other.store, index).id, record.id))


cdef uint32_t rtt_bin(int64_t rtt_us) noexcept nogil:  # R0
    """Four bins per octave, linear within it; what is faster than 256 µs is in the first."""
    cdef uint32_t octave = FIRST_RTT_OCTAVE
    while rtt_us >> (octave + 1) and octave < FIRST_RTT_OCTAVE + RTT_BINS // 4 - 1:
        octave += 1
    if rtt_us >> (octave + 1):
        return RTT_BINS - 1
    if rtt_us >> octave == 0:
        return 0
    return (octave - FIRST_RTT_OCTAVE) * 4 + <uint32_t>((rtt_us >> (octave - 2)) & 3)
