"""Bencode to Python objects. Rate class: command.

Strict mode takes what BEP 3 writes and nothing else: keys sorted and unique, shortest numbers, one value that ends
with the data. Lax mode forgives order, repeated keys (the first counts), leading zeros and `-0`; never trailing bytes.
Values wait on a stack of the call until their list is complete, so that every list is allocated once, at its size.
Depth is bounded, so that hostile nesting cannot exhaust the C stack. Nothing here calls back into Python code.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy


cdef extern from "Python.h":
    ctypedef struct PyObject
    void Py_INCREF(PyObject*)
    void Py_DECREF(PyObject*)
    void Py_XDECREF(PyObject*)
    bint PyBytes_CheckExact(object)
    char* PyBytes_AS_STRING(PyObject*)
    Py_ssize_t PyBytes_GET_SIZE(PyObject*)
    PyObject* PyBytes_FromStringAndSize(const char*, Py_ssize_t)
    PyObject* PyLong_FromLongLong(long long)
    PyObject* PyLong_FromString(const char*, char**, int)
    PyObject* PyList_New(Py_ssize_t)
    void PyList_SET_ITEM(PyObject*, Py_ssize_t, PyObject*)
    PyObject* PyDict_New()
    int PyDict_SetItem(PyObject*, PyObject*, PyObject*)
    PyObject* PyDict_SetDefault(PyObject*, PyObject*, PyObject*)
    bint PyErr_ExceptionMatches(PyObject*)
    void PyErr_Clear()
    PyObject* PyErr_NoMemory()
    PyObject* PyExc_ValueError


cdef enum:
    MAX_DEPTH = 512             # of max_depth: about 100 bytes of C stack each
    WAITING = 128               # values that wait without an allocation
    FAST_DIGITS = 18            # of an integer that fits 64 bits whatever they are
    CACHED_KEYS = 512           # a power of two
    MAX_CACHED_KEY = 24         # bytes


cdef enum Flaw:
    FLAW_NONE
    FLAW_END
    FLAW_START
    FLAW_LENGTH
    FLAW_SHORT
    FLAW_INTEGER
    FLAW_ZERO
    FLAW_HUGE
    FLAW_KEY
    FLAW_ORDER
    FLAW_DEPTH
    FLAW_TRAILING


cdef dict FLAWS = {
    FLAW_END: "the data ends inside a value",
    FLAW_START: "byte {byte:#04x} starts no value",
    FLAW_LENGTH: "a string length is digits, then a colon, not byte {byte:#04x}",
    FLAW_SHORT: "the string is longer than the {left} bytes that follow",
    FLAW_INTEGER: "an integer is i, digits, e, not byte {byte:#04x}",
    FLAW_ZERO: "a number has a leading zero or is -0; strict mode allows neither",
    FLAW_HUGE: "the integer has more digits than sys.get_int_max_str_digits() allows",
    FLAW_KEY: "byte {byte:#04x} starts no string; a key is one",
    FLAW_ORDER: "the key does not sort after the one before it, as strict mode demands",
    FLAW_DEPTH: "nested deeper than max_depth, {max_depth}",
    FLAW_TRAILING: "{left} bytes follow the value",
}

# Keys repeat from message to message and file to file: finding one here costs less than an allocation and a hash. A key
# evicts what stands in its place, so that hostile data can slow the cache down and never make it grow.
cdef PyObject* cached_keys[CACHED_KEYS]

cdef object error_class = ValueError


cdef struct Decoder:
    const uint8_t* at
    const uint8_t* end
    PyObject** waiting          # values of the lists that stand open, innermost last
    Py_ssize_t waiting_count
    Py_ssize_t waiting_capacity
    PyObject** own_waiting      # where `waiting` started, on the C stack
    int depth_left
    bint strict
    int flaw                    # Flaw; FLAW_NONE after a failure: a Python error is set
    const uint8_t* flaw_at


def raise_as(cls: type[Exception]) -> None:
    """Set the class of decode errors, so that compiled code need not import it; the public module calls this once."""
    global error_class
    error_class = cls


def decode(data, *, bint strict=True, int max_depth=64):
    """Decode one bencoded value: bytes, int, list or dict with bytes keys.

    `data` is bytes, bytearray, memoryview or any contiguous buffer. `strict` demands canonical form; without it
    unsorted and repeated keys (the first counts), leading zeros and `-0` pass. Integers may have any size that
    sys.get_int_max_str_digits() allows; `max_depth`, 1 … 512, bounds nesting. Raises DecodeError, saying what, at
    which offset, and the limit. Source: BEP 3, "bencoding".
    """
    cdef Py_buffer view
    if not 1 <= max_depth <= MAX_DEPTH:
        raise ValueError(f"max_depth is {max_depth}; 1 to {MAX_DEPTH} allowed")
    if PyBytes_CheckExact(data):
        return decode_bytes(<const uint8_t*>PyBytes_AS_STRING(<PyObject*>data),
                            PyBytes_GET_SIZE(<PyObject*>data), strict, max_depth)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return decode_bytes(<const uint8_t*>view.buf, view.len, strict, max_depth)
    finally:
        PyBuffer_Release(&view)


cdef object decode_bytes(const uint8_t* data, Py_ssize_t size, bint strict, int max_depth):
    cdef PyObject* waiting[WAITING]
    cdef Decoder decoder
    cdef PyObject* value
    cdef object result
    decoder.at = data
    decoder.end = data + size
    decoder.waiting = decoder.own_waiting = waiting
    decoder.waiting_count = 0
    decoder.waiting_capacity = WAITING
    decoder.depth_left = max_depth
    decoder.strict = strict
    decoder.flaw = FLAW_NONE
    value = read_value(&decoder)
    if value != NULL and decoder.at != decoder.end:
        Py_DECREF(value)
        value = fail(&decoder, FLAW_TRAILING, decoder.at)
    release(&decoder)
    if value == NULL:
        raise_flaw(&decoder, data, max_depth)
    result = <object>value
    Py_DECREF(value)
    return result


cdef inline void release(Decoder* decoder) noexcept:
    """Give back the stack, and what still waits on it when the data turned out bad."""
    while decoder.waiting_count:
        decoder.waiting_count -= 1
        Py_DECREF(decoder.waiting[decoder.waiting_count])
    if decoder.waiting != decoder.own_waiting:
        PyMem_Free(decoder.waiting)


cdef int raise_flaw(Decoder* decoder, const uint8_t* data, int max_depth) except -1:
    cdef const uint8_t* at = decoder.flaw_at
    if decoder.flaw == FLAW_NONE:
        return -1
    text = FLAWS[decoder.flaw].format(
        byte=at[0] if at < decoder.end else 0, left=decoder.end - at, max_depth=max_depth)
    raise error_class(f"bencode at offset {at - data}: {text}")


cdef inline PyObject* fail(Decoder* decoder, int flaw, const uint8_t* at) noexcept:
    decoder.flaw = FLAW_END if at >= decoder.end and flaw != FLAW_SHORT and flaw != FLAW_TRAILING else flaw
    decoder.flaw_at = at
    return NULL


cdef inline bint is_digit(uint8_t byte) noexcept:
    return <uint8_t>(byte - 48) <= 9


cdef PyObject* read_value(Decoder* decoder) noexcept:
    cdef const uint8_t* data
    cdef Py_ssize_t size
    cdef uint8_t byte
    if decoder.at >= decoder.end:
        return fail(decoder, FLAW_END, decoder.at)
    byte = decoder.at[0]
    if is_digit(byte):
        if not read_span(decoder, &data, &size):
            return NULL
        return PyBytes_FromStringAndSize(<const char*>data, size)
    if byte == c"i":
        return read_integer(decoder)
    if byte == c"d":
        return read_dict(decoder)
    if byte == c"l":
        return read_list(decoder)
    return fail(decoder, FLAW_START, decoder.at)


cdef inline bint read_span(Decoder* decoder, const uint8_t** data, Py_ssize_t* size) noexcept:
    """Read a string that starts with a digit; its length is refused before it is added to a pointer."""
    cdef const uint8_t* start = decoder.at
    cdef const uint8_t* p = start
    cdef uint64_t length = 0
    while p < decoder.end and is_digit(p[0]):
        if p - start >= FAST_DIGITS:
            fail(decoder, FLAW_SHORT, p)
            return False
        length = length * 10 + (p[0] - 48)
        p += 1
    if p >= decoder.end or p[0] != c":":
        fail(decoder, FLAW_LENGTH, p)
        return False
    if decoder.strict and start[0] == c"0" and p - start > 1:
        fail(decoder, FLAW_ZERO, start)
        return False
    p += 1
    if length > <uint64_t>(decoder.end - p):
        fail(decoder, FLAW_SHORT, p)
        return False
    data[0] = p
    size[0] = <Py_ssize_t>length
    decoder.at = p + length
    return True


cdef inline PyObject* read_integer(Decoder* decoder) noexcept:
    cdef const uint8_t* start = decoder.at + 1
    cdef const uint8_t* p = start
    cdef const uint8_t* first
    cdef uint64_t value = 0
    cdef bint negative = p < decoder.end and p[0] == c"-"
    p += negative
    first = p
    while p < decoder.end and is_digit(p[0]):
        value = value * 10 + (p[0] - 48)
        p += 1
    if p == first or p >= decoder.end or p[0] != c"e":
        return fail(decoder, FLAW_INTEGER, p)
    if decoder.strict and first[0] == c"0" and (negative or p - first > 1):
        return fail(decoder, FLAW_ZERO, start)
    decoder.at = p + 1
    if p - first <= FAST_DIGITS:
        return PyLong_FromLongLong(-<int64_t>value if negative else <int64_t>value)
    return long_integer(decoder, start, p - start)


cdef PyObject* long_integer(Decoder* decoder, const uint8_t* digits, Py_ssize_t size) noexcept:
    """An integer of checked digits that may not fit 64 bits."""
    cdef PyObject* value
    cdef char* text = <char*>PyMem_Malloc(size + 1)
    if text == NULL:
        return PyErr_NoMemory()
    memcpy(text, digits, size)
    text[size] = 0
    value = PyLong_FromString(text, NULL, 10)
    PyMem_Free(text)
    if value == NULL and PyErr_ExceptionMatches(PyExc_ValueError):
        PyErr_Clear()
        return fail(decoder, FLAW_HUGE, digits)
    return value


cdef PyObject* read_list(Decoder* decoder) noexcept:
    cdef Py_ssize_t first = decoder.waiting_count
    cdef Py_ssize_t i, count
    cdef PyObject* value
    cdef PyObject* result
    if decoder.depth_left == 0:
        return fail(decoder, FLAW_DEPTH, decoder.at)
    decoder.depth_left -= 1
    decoder.at += 1
    while decoder.at >= decoder.end or decoder.at[0] != c"e":
        value = read_value(decoder)
        if value == NULL or not keep(decoder, value):
            return NULL
    count = decoder.waiting_count - first
    result = PyList_New(count)
    if result == NULL:
        return NULL
    for i in range(count):
        PyList_SET_ITEM(result, i, decoder.waiting[first + i])
    decoder.waiting_count = first
    decoder.at += 1
    decoder.depth_left += 1
    return result


cdef inline bint keep(Decoder* decoder, PyObject* value) noexcept:
    if decoder.waiting_count == decoder.waiting_capacity and not grow(decoder):
        Py_DECREF(value)
        return False
    decoder.waiting[decoder.waiting_count] = value
    decoder.waiting_count += 1
    return True


cdef bint grow(Decoder* decoder) noexcept:
    cdef size_t old = <size_t>decoder.waiting_capacity * sizeof(PyObject*)
    cdef bint is_own = decoder.waiting == decoder.own_waiting
    cdef PyObject** larger = <PyObject**>PyMem_Realloc(NULL if is_own else decoder.waiting, 2 * old)
    if larger == NULL:
        PyErr_NoMemory()
        return False
    if is_own:
        memcpy(larger, decoder.own_waiting, old)
    decoder.waiting = larger
    decoder.waiting_capacity *= 2
    return True


cdef PyObject* read_dict(Decoder* decoder) noexcept:
    cdef PyObject* result
    if decoder.depth_left == 0:
        return fail(decoder, FLAW_DEPTH, decoder.at)
    decoder.depth_left -= 1
    decoder.at += 1
    result = PyDict_New()
    if result != NULL and not read_items(decoder, result):
        Py_DECREF(result)
        return NULL
    decoder.at += 1
    decoder.depth_left += 1
    return result


cdef inline bint read_items(Decoder* decoder, PyObject* result) noexcept:
    cdef const uint8_t* previous = NULL
    cdef const uint8_t* start
    cdef const uint8_t* data
    cdef Py_ssize_t previous_size = 0
    cdef Py_ssize_t size
    while decoder.at >= decoder.end or decoder.at[0] != c"e":
        start = decoder.at
        if start >= decoder.end or not is_digit(start[0]):
            fail(decoder, FLAW_KEY, start)
            return False
        if not read_span(decoder, &data, &size):
            return False
        if decoder.strict and previous != NULL and not sorts_after(data, size, previous, previous_size):
            fail(decoder, FLAW_ORDER, start)
            return False
        if not read_item(decoder, result, data, size):
            return False
        previous = data
        previous_size = size
    return True


cdef inline bint read_item(Decoder* decoder, PyObject* result, const uint8_t* data, Py_ssize_t size) noexcept:
    cdef bint is_set
    cdef PyObject* value
    cdef PyObject* key = key_object(data, size)
    if key == NULL:
        return False
    value = read_value(decoder)
    if value == NULL:
        Py_DECREF(key)
        return False
    if decoder.strict:
        is_set = PyDict_SetItem(result, key, value) == 0
    else:
        is_set = PyDict_SetDefault(result, key, value) != NULL
    Py_DECREF(key)
    Py_DECREF(value)
    return is_set


cdef inline bint sorts_after(const uint8_t* a, Py_ssize_t a_size, const uint8_t* b, Py_ssize_t b_size) noexcept:
    cdef int order = memcmp(a, b, min(a_size, b_size))
    return order > 0 or (order == 0 and a_size > b_size)


cdef inline PyObject* key_object(const uint8_t* data, Py_ssize_t size) noexcept:
    """A bytes object for a key; a new reference, from the cache where it can be."""
    cdef PyObject** place
    cdef PyObject* key
    if size > MAX_CACHED_KEY:
        return PyBytes_FromStringAndSize(<const char*>data, size)
    place = &cached_keys[place_of(data, size)]
    key = place[0]
    if key != NULL and PyBytes_GET_SIZE(key) == size and memcmp(PyBytes_AS_STRING(key), data, size) == 0:
        Py_INCREF(key)
        return key
    key = PyBytes_FromStringAndSize(<const char*>data, size)
    if key != NULL:
        Py_INCREF(key)
        Py_XDECREF(place[0])
        place[0] = key
    return key


cdef inline size_t place_of(const uint8_t* data, Py_ssize_t size) noexcept:
    cdef uint64_t head = 0
    cdef uint64_t tail = 0
    if size >= 8:
        memcpy(&head, data, 8)
        memcpy(&tail, data + size - 8, 8)
    elif size >= 4:
        memcpy(&head, data, 4)
        memcpy(&tail, data + size - 4, 4)
    elif size:
        head = data[0] | (<uint64_t>data[size >> 1] << 8) | (<uint64_t>data[size - 1] << 16)
    return <size_t>(((head ^ (tail * 3) ^ <uint64_t>size) * <uint64_t>0x9E3779B97F4A7C15) >> 55)
