"""Outcomes of our own queries, handed to whoever asked. Rate class: packet.

An outcome is matched by transaction id and endpoint, its transaction is copied and freed, and only then is the owner
told: nothing points into the slab across a hand-over. An answer whose id is missing, our own, or another than the one
asked counts as a failure for a lookup; the table sees every verified answer, so that it can evict who changed its id.
"""
from libc.string cimport memcpy

from fastdht._ext.ids cimport Contact, ID_SIZE, same_id
from fastdht._ext.krpc cimport HAS_SEQ
from fastdht._ext.state cimport (
    ANSWERS_WITHOUT_ID, DROP_NOT_ASKED, DROP_OWN_ID, ERRORS_HANDLED, EVENT_DATAGRAM, Event, ID_MISMATCHES,
    RESPONSES_HANDLED, STALLS, TIMEOUTS, UNREACHABLE)
from fastdht._ext.transactions cimport (
    NO_SLOT, OWNER_CRAWL, OWNER_DIRECT, OWNER_LOOKUP, Transaction)


cdef void handle_response(State state, const Message* message, const Endpoint* source, const uint8_t* data,
                          uint32_t size, int64_t now_us) noexcept nogil:  # R0
    cdef uint32_t slot = state.transactions.match(&message.tid, source)
    cdef Transaction transaction
    if slot == NO_SLOT:
        state.counters[DROP_NOT_ASKED] += 1
        return
    if message.id != NULL and same_id(message.id, state.own_id):
        state.counters[DROP_OWN_ID] += 1        # a reflector; its transaction runs into silence
        return
    transaction = state.transactions.slots[slot]
    if transaction.owner == OWNER_LOOKUP:
        state.shortlists.expect_answer(transaction.owner_slot, transaction.owner_index)
    state.transactions.close(slot)
    state.counters[RESPONSES_HANDLED] += 1
    state.answered_us = now_us
    if transaction.owner == OWNER_CRAWL:
        state.frontier.on_response(&transaction, message, now_us)
        return
    if message.id == NULL:
        state.counters[ANSWERS_WITHOUT_ID] += 1
        fail_owner(state, &transaction)
    else:
        note_contact(state, message, &transaction, now_us)
        if transaction.owner == OWNER_LOOKUP:
            answer_lookup(state, &transaction, message, data, size, now_us)
    if transaction.owner == OWNER_DIRECT:
        hand_over(state, &transaction, transaction.owner_slot, data, size, now_us)


cdef void note_contact(State state, const Message* message, const Transaction* transaction, int64_t now_us) noexcept nogil:  # R0
    cdef Contact contact
    memcpy(contact.id, message.id, ID_SIZE)
    contact.endpoint = transaction.endpoint
    state.throttle.prove(&transaction.endpoint, now_us)
    state.add_vote(&transaction.endpoint, message)
    if state.has_table:
        state.table.saw_reply(&contact, <uint32_t>(now_us - transaction.sent_us), now_us)


cdef void answer_lookup(State state, const Transaction* transaction, const Message* message, const uint8_t* data,
                        uint32_t size, int64_t now_us) noexcept nogil:  # R0
    cdef uint32_t reader
    if not state.shortlists.is_current(transaction.owner_slot, transaction.owner_generation):
        return
    if transaction.has_expected_id and not same_id(transaction.expected_id, message.id):
        state.counters[ID_MISMATCHES] += 1
        state.shortlists.on_failure(transaction.owner_slot, transaction.owner_index)
        return
    state.shortlists.on_answer(transaction.owner_slot, transaction.owner_index, message,
                               <uint32_t>(now_us - transaction.sent_us), now_us)
    reader = state.shortlists.lists[transaction.owner_slot].reader
    if reader and holds_payload(message):
        hand_over(state, transaction, reader, data, size, now_us)


cdef inline bint holds_payload(const Message* message) noexcept nogil:
    """Whether an answer holds what the shortlist does not keep (BEP 33, 44, 51), or peers of one node."""
    return (message.value.data != NULL or message.samples.data != NULL or message.seed_filter.data != NULL
            or message.peer_filter.data != NULL or message.values.data != NULL or message.present & HAS_SEQ)


cdef void fail_owner(State state, const Transaction* transaction) noexcept nogil:  # R0
    if transaction.owner == OWNER_LOOKUP and state.shortlists.is_current(
            transaction.owner_slot, transaction.owner_generation):
        state.shortlists.on_failure(transaction.owner_slot, transaction.owner_index)


cdef void hand_over(State state, const Transaction* transaction, uint32_t caller, const uint8_t* data, uint32_t size,
                    int64_t now_us) noexcept nogil:  # R0
    """Give the answer as it came to the Python caller who awaits it; reading it is his business."""
    cdef Event* event = state.add_event(transaction, now_us)
    if event != NULL:
        event.caller = caller
        event.size = size if size < EVENT_DATAGRAM else EVENT_DATAGRAM
        memcpy(event.data, data, event.size)


cdef void handle_error(State state, const Message* message, const Endpoint* source, const uint8_t* data,
                       uint32_t size, int64_t now_us) noexcept nogil:  # R0
    """The node lives, but did not do what was asked."""
    cdef uint32_t slot = state.transactions.match(&message.tid, source)
    cdef Transaction transaction
    if slot == NO_SLOT:
        state.counters[DROP_NOT_ASKED] += 1
        return
    transaction = state.transactions.slots[slot]
    state.transactions.close(slot)
    state.counters[ERRORS_HANDLED] += 1
    if transaction.owner == OWNER_CRAWL:
        state.frontier.on_error(&transaction, message, now_us)
    elif transaction.owner == OWNER_DIRECT:
        hand_over(state, &transaction, transaction.owner_slot, data, size, now_us)
    else:
        fail_owner(state, &transaction)


cdef void handle_stall(State state, uint32_t slot, int64_t now_us) noexcept nogil:  # R0
    """Late, not lost: a lookup goes on without it, a crawl frees its place; an answer still counts."""
    cdef Transaction* transaction = &state.transactions.slots[slot]
    state.counters[STALLS] += 1
    if transaction.owner == OWNER_CRAWL:
        state.frontier.on_stall(transaction, now_us)
    else:
        fail_owner(state, transaction)


cdef void handle_silence(State state, uint32_t slot, bint is_refused, int64_t now_us) noexcept nogil:  # R0
    """The query has timed out, or the network has refused it."""
    cdef Transaction transaction = state.transactions.slots[slot]
    cdef Event* event
    state.transactions.close(slot)
    state.counters[UNREACHABLE if is_refused else TIMEOUTS] += 1
    if transaction.owner == OWNER_CRAWL:
        state.frontier.on_timeout(&transaction, now_us)
        return
    if blames_contact(state, &transaction, is_refused):
        state.table.saw_failure(&transaction.endpoint, now_us)
    if transaction.owner == OWNER_DIRECT:
        event = state.add_event(&transaction, now_us)
        if event != NULL:
            event.is_refused = is_refused
    else:
        fail_owner(state, &transaction)


cdef inline bint blames_contact(State state, const Transaction* transaction, bint is_refused) noexcept nogil:
    """Whether silence counts against the contact: not when it was a refusal, which is easily forged, and not when
    nobody at all has answered since: then it is our own network that is gone."""
    return state.has_table and not is_refused and state.answered_us > transaction.sent_us
