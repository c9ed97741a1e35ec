"""Writes what a virtual node sends, in libtorrent's order of keys. Rate class: packet.

Apart from the codec on purpose: it must also write what no codec should (keys out of order, deep nesting, padding),
and other clients' versions. `out` has REPLY_ROOM bytes. Source: BEP 5 (KRPC), BEP 20 (client versions), BEP 33 (filters),
BEP 42 (`ip`), BEP 51.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset, strlen


cdef inline uint8_t* put(uint8_t* at, const char* text, uint32_t size) noexcept nogil:
    memcpy(at, text, size)
    return at + size


cdef inline uint8_t* put_number(uint8_t* at, uint64_t number) noexcept nogil:
    cdef uint8_t digits[20]
    cdef uint32_t count = 0
    while True:
        digits[count] = <uint8_t>(48 + number % 10)
        number //= 10
        count += 1
        if number == 0:
            break
    while count:
        count -= 1
        at[0] = digits[count]
        at += 1
    return at


cdef inline uint8_t* put_string(uint8_t* at, const uint8_t* data, uint32_t size) noexcept nogil:
    at = put_number(at, size)
    at[0] = 58                                          # ':'
    memcpy(at + 1, data, size)
    return at + 1 + size


cdef inline uint8_t* put_integer(uint8_t* at, int64_t number) noexcept nogil:
    at = put(at, b"i-", 2 if number < 0 else 1)
    at = put_number(at, <uint64_t>(-number if number < 0 else number))
    return put(at, b"e", 1)


cdef uint8_t* put_values(uint8_t* at, const Draft* draft) noexcept nogil:  # R0
    cdef uint32_t i
    at = put(at, b"6:valuesl", 9)
    for i in range(draft.value_count):
        at = put(at, b"6:", 2)
        memcpy(at, draft.values + 6 * i, 6)
        at += 6
    return put(at, b"e", 1)


cdef uint8_t* put_body(uint8_t* at, const Draft* draft) noexcept nogil:  # R0
    at = put(at, b"1:rd", 4)
    if draft.has_filters:
        at = put_string(put(at, b"4:BFpe", 6), draft.downloaders, FILTER_SIZE)
        at = put_string(put(at, b"4:BFsd", 6), draft.seeds, FILTER_SIZE)
    at = put(at, b"2:id20:", 7)
    memcpy(at, draft.id, 20)
    at += 20
    if draft.has_samples:
        at = put_integer(put(at, b"8:interval", 10), draft.holding.interval_s)
    if draft.has_nodes:
        at = put(at, b"5:nodes", 7)
        at = put_string(at, draft.nodes, draft.nodes_size)
    if draft.has_samples:
        at = put_integer(put(at, b"3:num", 5), draft.holding.num)
        at = put(at, b"7:samples", 9)
        at = put_string(at, draft.holding.samples, draft.holding.size)
    if draft.has_token:
        at = put(at, b"5:token", 7)
        at = put_string(at, draft.token, TOKEN_BYTES)
    if draft.value_count:
        at = put_values(at, draft)
    return put(at, b"e", 1)


cdef uint8_t* put_burden(uint8_t* at, const Draft* draft, uint32_t size_so_far) noexcept nogil:  # R0
    """A key `x` that nobody asked for: nested lists, or padding to the size asked for (give or take its own frame)."""
    if draft.nesting:
        at = put(at, b"1:x", 3)
        memset(at, 108, draft.nesting)                  # 'l'
        memset(at + draft.nesting, 101, draft.nesting)  # 'e'
        at += 2 * draft.nesting
    if draft.pad_to > size_so_far + 32:
        at = put(at, b"1:x", 3)
        at = put_number(at, draft.pad_to - size_so_far - 16)
        at[0] = 58
        memset(at + 1, 0, draft.pad_to - size_so_far - 16)
        at += 1 + draft.pad_to - size_so_far - 16
    return at


cdef uint32_t write_reply(const Draft* draft, uint8_t* out) noexcept nogil:  # R0
    cdef uint8_t* at = put(out, b"d", 1)
    if draft.is_unsorted:
        at = put(at, b"1:y1:r", 6)
    at = put(at, b"2:ip6:", 6)
    at[0] = <uint8_t>(draft.asker_ip >> 24)
    at[1] = <uint8_t>(draft.asker_ip >> 16)
    at[2] = <uint8_t>(draft.asker_ip >> 8)
    at[3] = <uint8_t>draft.asker_ip
    at[4] = <uint8_t>(draft.asker_port >> 8)
    at[5] = <uint8_t>draft.asker_port
    at = put_body(at + 6, draft)
    at = put(at, b"1:t", 3)
    at = put_string(at, draft.tid.data, draft.tid.size)
    if draft.version[0]:
        at = put(at, b"1:v4:", 5)
        memcpy(at, draft.version, 4)
        at += 4
    at = put_burden(at, draft, <uint32_t>(at - out))
    if not draft.is_unsorted:
        at = put(at, b"1:y1:r", 6)
    at = put(at, b"e", 1)
    return <uint32_t>(at - out)


cdef uint32_t write_refusal(const Span* tid, int code, const char* text, uint8_t* out) noexcept nogil:  # R0
    cdef uint8_t* at = put(out, b"d1:eli", 6)
    at = put_number(at, code)
    at = put(at, b"e", 1)
    at = put_string(at, <const uint8_t*>text, <uint32_t>strlen(text))
    at = put(at, b"e1:t", 4)
    at = put_string(at, tid.data, tid.size)
    at = put(at, b"1:y1:ee", 7)
    return <uint32_t>(at - out)
