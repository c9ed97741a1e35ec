"""What is read of a datagram, in which order, and why it may be refused. Rate class: packet.

Invariant: every datagram is either handled or counted under one drop reason. The cheapest check comes first: size,
first and last byte, source, throttle, scan, kind. Only queries meet the throttle: an answer must match one of ours.
"""
from fastdht._ext.handlers cimport ERROR_PROTOCOL, handle_query, send_error
from fastdht._ext.krpc cimport (
    DECODE_BAD_TID, DECODE_NO_ARGUMENTS, DECODE_NO_KIND, DECODE_NO_METHOD, DECODE_OK, DECODE_TOO_DEEP,
    DECODE_TOO_MANY_TOKENS, KIND_QUERY, KIND_RESPONSE, Message, decode)
from fastdht._ext.replies cimport handle_error, handle_response
from fastdht._ext.state cimport *


cdef void receive_one(State state, const uint8_t* data, uint32_t size, const Endpoint* source, bint is_truncated,
                      int64_t now_us) noexcept nogil:  # R0
    cdef Message message
    cdef int reason
    cdef bint is_admitted = False
    state.counters[RECEIVED] += 1
    reason = refuse_unread(state, data, size, source, is_truncated)
    if reason:
        state.counters[reason] += 1
        return
    if looks_like_query(data, size):            # the throttle goes before the scan where it can
        if not state.throttle.admit(source, now_us):
            state.counters[DROP_THROTTLED] += 1
            return
        is_admitted = True
    reason = decode(data, size, &message)
    if reason != DECODE_OK:
        refuse_decoded(state, &message, source, size, reason)
    elif message.kind == KIND_QUERY:
        if not is_admitted and not state.throttle.admit(source, now_us):
            state.counters[DROP_THROTTLED] += 1
            return
        handle_query(state, &message, source, size, now_us)
    elif message.kind == KIND_RESPONSE:
        handle_response(state, &message, source, data, size, now_us)
    else:
        handle_error(state, &message, source, data, size, now_us)


cdef int refuse_unread(State state, const uint8_t* data, uint32_t size, const Endpoint* source, bint is_truncated) noexcept nogil:  # R0
    """The drop reason of a datagram that need not be read, or 0."""
    if is_truncated:
        return DROP_TRUNCATED
    if size < MIN_DATAGRAM:
        return DROP_TOO_SHORT
    if data[0] != c'd' or data[size - 1] != c'e':
        return DROP_NOT_A_DICTIONARY
    if not state.addresses.is_contactable(source):
        return DROP_BLOCKED if state.addresses.is_blocked(source) else DROP_BAD_SOURCE
    return 0


cdef void refuse_decoded(State state, const Message* message, const Endpoint* source, uint32_t size, int reason) noexcept nogil:  # R0
    """Count what could not be decoded; of a query that lacks its method or arguments, say so (203)."""
    if reason == DECODE_NO_METHOD or reason == DECODE_NO_ARGUMENTS:
        if state.is_read_only:
            state.counters[DROP_READ_ONLY] += 1
        else:
            send_error(state, message, source, size, ERROR_PROTOCOL, "no method" if reason == DECODE_NO_METHOD else "no a")
    elif reason == DECODE_TOO_DEEP:
        state.counters[DROP_TOO_DEEP] += 1
    elif reason == DECODE_TOO_MANY_TOKENS:
        state.counters[DROP_TOO_MANY_TOKENS] += 1
    elif reason == DECODE_NO_KIND:
        state.counters[DROP_NO_KIND] += 1
    elif reason == DECODE_BAD_TID:
        state.counters[DROP_BAD_TID] += 1
    else:
        state.counters[DROP_BAD_SYNTAX] += 1
