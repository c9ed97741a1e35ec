"""What we ask, and who is told of the outcome. Rate class: packet.

Every query goes through here: the limits on what we send are checked, a transaction is opened and given its owner.
"""
from libc.string cimport memcpy, memset

from fastdht._ext.candidates cimport CANDIDATE_FRESH, Candidate, NO_CANDIDATE, Shortlist
from fastdht._ext.frontier cimport Question
from fastdht._ext.ids cimport Contact, ID_SIZE
from fastdht._ext.krpc cimport METHOD_PING, Query
from fastdht._ext.shortlist cimport FLAG_BLOCKED, FLAG_LATE
from fastdht._ext.state cimport OUTBOUND_LIMITED, State
from fastdht._ext.transactions cimport NO_SLOT, OWNER_CRAWL, OWNER_LOOKUP, OWNER_UPKEEP, Transaction


cdef enum:
    TYPICAL_QUESTIONS = 3       # asked by one step


cdef void wake_lookups(State state, int64_t now_us) noexcept nogil:  # R0
    """Mark lookups dirty that are past their deadline or could not send all they wanted."""
    cdef uint32_t slot, left = state.shortlists.active
    cdef Shortlist* shortlist
    for slot in range(state.shortlists.capacity):
        if left == 0:
            return
        shortlist = &state.shortlists.lists[slot]
        if not shortlist.is_active:
            continue
        left -= 1
        if now_us >= shortlist.deadline_us:
            shortlist.flags |= FLAG_LATE
        if shortlist.flags & (FLAG_LATE | FLAG_BLOCKED):
            state.shortlists.mark_dirty(slot)


cdef void own_transaction(State state, uint32_t slot, int owner, uint32_t owner_slot, uint32_t generation, uint32_t index) noexcept nogil:  # R0
    cdef Transaction* transaction = &state.transactions.slots[slot]
    transaction.owner = <uint8_t>owner
    transaction.owner_slot = owner_slot
    transaction.owner_generation = generation
    transaction.owner_index = index
    transaction.has_expected_id = False


cdef void expect_id(State state, uint32_t slot, const uint8_t* node_id) noexcept nogil:  # R0
    cdef Transaction* transaction = &state.transactions.slots[slot]
    memcpy(transaction.expected_id, node_id, ID_SIZE)
    transaction.has_expected_id = True


cdef bint ask_candidate(State state, uint32_t lookup, uint32_t index, int64_t now_us) noexcept nogil:  # R0
    cdef Shortlist* shortlist = &state.shortlists.lists[lookup]
    cdef Candidate* candidate = &shortlist.candidates[index]
    cdef Query query
    cdef uint32_t slot
    if not state.throttle.admit_query_to(&candidate.endpoint, now_us):
        state.counters[OUTBOUND_LIMITED] += 1
        return False
    memset(&query, 0, sizeof(Query))
    query.method = shortlist.method
    query.target = shortlist.target
    query.want = shortlist.want
    query.noseed = shortlist.noseed
    query.scrape = shortlist.scrape
    slot = state.send_query(&candidate.endpoint, &query, now_us)
    if slot == NO_SLOT:
        return False
    own_transaction(state, slot, OWNER_LOOKUP, lookup, shortlist.generation, index)
    if candidate.has_id:
        expect_id(state, slot, candidate.id)
    state.shortlists.mark_asked(lookup, index)
    return True


cdef bint ask_question(State state, const Question* question, int64_t now_us) noexcept nogil:  # R0
    cdef Query query
    cdef uint32_t slot
    memset(&query, 0, sizeof(Query))
    query.method = question.method
    query.target = question.target
    query.want = state.frontier.want
    slot = state.send_query(&question.endpoint, &query, now_us)
    if slot == NO_SLOT:
        return False
    own_transaction(state, slot, OWNER_CRAWL, question.record, 0, question.number)
    if question.has_expected_id:
        expect_id(state, slot, question.expected_id)
    return True


cdef bint ping_contact(State state, const Contact* contact, int64_t now_us) noexcept nogil:  # R0
    cdef Query query
    cdef uint32_t slot
    memset(&query, 0, sizeof(Query))
    query.method = METHOD_PING
    slot = state.send_query(&contact.endpoint, &query, now_us)
    if slot == NO_SLOT:
        return False
    own_transaction(state, slot, OWNER_UPKEEP, 0, 0, 0)
    expect_id(state, slot, contact.id)
    return True


cdef void pump(State state, int64_t now_us) noexcept nogil:  # R0
    """Ask a crawl's next questions while its pace, the outbox and the transactions have room."""
    cdef Question question
    if not state.has_frontier:
        return
    while (state.outbox.count < state.outbox.capacity
            and state.frontier.next_question(state.crawl_families, now_us, &question)):
        if not ask_question(state, &question, now_us):
            state.frontier.give_back(&question)
            return


cdef void expect_questions(State state, uint32_t slot, int fresh) noexcept nogil:  # R0
    """Have memory fetch what asking the next candidates will need, while their lookup's policy is thinking."""
    cdef Shortlist* shortlist = &state.shortlists.lists[slot]
    cdef uint32_t i
    cdef int left = min(fresh, <int>TYPICAL_QUESTIONS)
    for i in range(shortlist.count):
        if left <= 0:
            return
        if shortlist.state[shortlist.order[i]] == CANDIDATE_FRESH:
            state.throttle.expect_query_to(&shortlist.candidates[shortlist.order[i]].endpoint)
            left -= 1


cdef int ask_closest(State state, uint32_t slot, int wanted, int64_t now_us) noexcept nogil:  # R0
    """Ask the `wanted` closest fresh candidates; what could not be asked leaves the lookup blocked until the sweep."""
    cdef Shortlist* shortlist = &state.shortlists.lists[slot]
    cdef uint32_t index
    cdef int asked = 0
    while asked < wanted:
        index = state.shortlists.pick_fresh(slot)
        if index == NO_CANDIDATE:
            break
        if not ask_candidate(state, slot, index, now_us):
            shortlist.flags |= FLAG_BLOCKED
            break
        asked += 1
    return asked
