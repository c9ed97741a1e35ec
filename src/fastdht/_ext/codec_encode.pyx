"""Python objects to canonical bencode. Rate class: command.

Output grows on the C stack, then on the heap, and is copied once into a bytes object of its size. (Growing a bytes
object and cutting it saves the copy, but glibc then maps and unmaps every large one: 0.7 of the speed, measured.)
Keys that are already sorted bytes, the common case, are seen to be so by one pass and written as they stand; all others
are sorted.
Depth is bounded, so that neither deep nor self-containing objects can exhaust the C stack.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy


cdef extern from "Python.h":
    ctypedef struct PyObject
    void Py_INCREF(PyObject*)
    void Py_DECREF(PyObject*)
    bint PyBytes_Check(PyObject*)
    bint PyBytes_CheckExact(PyObject*)
    char* PyBytes_AS_STRING(PyObject*)
    Py_ssize_t PyBytes_GET_SIZE(PyObject*)
    object PyBytes_FromStringAndSize(const char*, Py_ssize_t)
    bint PyByteArray_Check(PyObject*)
    bint PyMemoryView_Check(PyObject*)
    bint PyUnicode_Check(PyObject*)
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*) except NULL
    bint PyLong_Check(PyObject*)
    bint PyLong_CheckExact(PyObject*)
    bint PyBool_Check(PyObject*)
    long long PyLong_AsLongLongAndOverflow(PyObject*, int*)
    object PyNumber_ToBase(object, int)
    bint PyList_Check(PyObject*)
    bint PyList_CheckExact(PyObject*)
    Py_ssize_t PyList_GET_SIZE(PyObject*)
    PyObject* PyList_GET_ITEM(PyObject*, Py_ssize_t)
    bint PyTuple_Check(PyObject*)
    Py_ssize_t PyTuple_GET_SIZE(PyObject*)
    PyObject* PyTuple_GET_ITEM(PyObject*, Py_ssize_t)
    bint PyDict_Check(PyObject*)
    bint PyDict_CheckExact(PyObject*)
    Py_ssize_t PyDict_GET_SIZE(PyObject*)
    bint PyDict_Next(PyObject*, Py_ssize_t*, PyObject**, PyObject**)


cdef enum:
    MAX_DEPTH = 512
    OWN_BYTES = 1024            # written without an allocation


cdef struct Encoder:
    uint8_t* data
    size_t size
    size_t capacity
    uint8_t* heap               # where `data` is once the C stack does not hold it; NULL before
    int depth_left


cdef struct Item:               # of a dictionary that must be sorted; both objects are ours while it is
    const char* name
    Py_ssize_t size
    PyObject* key
    PyObject* value


cdef extern from *:
    """
    static const char fastdht_pairs[201] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    """
    const char* fastdht_pairs


def encode(value) -> bytes:
    """Encode one value as canonical bencode.

    Bytes, bytearray and memoryview become strings, as does str, as UTF-8; int an integer of any size; list and tuple a
    list; dict a dictionary, its bytes or str keys sorted by their bytes. bool is refused, because bencode has none and
    1 would come back. Raises TypeError for any other type, ValueError for two keys of the same bytes, for more than 512
    levels and for an integer beyond sys.get_int_max_str_digits(). Source: BEP 3, "bencoding".
    """
    cdef uint8_t own[OWN_BYTES]
    cdef Encoder encoder
    encoder.data = own
    encoder.size = 0
    encoder.capacity = OWN_BYTES
    encoder.heap = NULL
    encoder.depth_left = MAX_DEPTH
    try:
        write_value(&encoder, <PyObject*>value)
        return PyBytes_FromStringAndSize(<const char*>encoder.data, encoder.size)
    finally:
        PyMem_Free(encoder.heap)


cdef inline int reserve(Encoder* encoder, size_t size) except -1:
    """Make room for `size` more bytes."""
    if encoder.capacity - encoder.size < size:
        grow(encoder, size)
    return 0


cdef int grow(Encoder* encoder, size_t size) except -1:
    cdef size_t capacity = 2 * encoder.capacity + size
    cdef uint8_t* larger = <uint8_t*>PyMem_Realloc(encoder.heap, capacity)
    if larger == NULL:
        raise MemoryError
    if encoder.heap == NULL:
        memcpy(larger, encoder.data, encoder.size)
    encoder.data = encoder.heap = larger
    encoder.capacity = capacity
    return 0


cdef int write_value(Encoder* encoder, PyObject* value) except -1:
    if PyBytes_CheckExact(value):
        return write_string(encoder, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    if PyLong_CheckExact(value):
        return write_integer(encoder, value)
    if PyDict_CheckExact(value):
        return write_dict(encoder, value)
    if PyList_CheckExact(value):
        return write_list(encoder, value)
    return write_other(encoder, value)


cdef int write_other(Encoder* encoder, PyObject* value) except -1:
    """What is rarer: subclasses, text, tuples, buffers."""
    cdef Py_ssize_t size
    cdef const char* text
    if PyUnicode_Check(value):
        text = PyUnicode_AsUTF8AndSize(<object>value, &size)
        return write_string(encoder, text, size)
    if PyBytes_Check(value):
        return write_string(encoder, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    if PyLong_Check(value) and not PyBool_Check(value):
        return write_integer(encoder, value)
    if PyDict_Check(value):
        return write_dict(encoder, value)
    if PyList_Check(value):
        return write_list(encoder, value)
    if PyTuple_Check(value):
        return write_tuple(encoder, value)
    if PyByteArray_Check(value) or PyMemoryView_Check(value):
        return write_buffer(encoder, value)
    raise TypeError(f"{type(<object>value).__name__} has no bencode form; "
                    "bytes, str, int, list, tuple and dict have one")


cdef int write_buffer(Encoder* encoder, PyObject* value) except -1:
    cdef Py_buffer view
    PyObject_GetBuffer(<object>value, &view, PyBUF_SIMPLE)
    try:
        return write_string(encoder, <const char*>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef inline int write_string(Encoder* encoder, const char* text, Py_ssize_t size) except -1:
    cdef uint8_t* out
    reserve(encoder, <size_t>size + 21)
    out = write_decimal(encoder.data + encoder.size, <uint64_t>size)
    out[0] = c":"
    memcpy(out + 1, text, size)
    encoder.size = <size_t>(out + 1 - encoder.data) + <size_t>size
    return 0


cdef inline uint8_t* write_decimal(uint8_t* out, uint64_t value) noexcept:
    """Write decimal digits, two at a time from the last; returns where they end."""
    cdef uint8_t* end
    cdef uint8_t* p
    cdef uint64_t rest
    if value < 10:
        out[0] = <uint8_t>(48 + value)
        return out + 1
    p = end = out + count_digits(value)
    while value >= 100:
        rest = value // 100
        p -= 2
        memcpy(p, fastdht_pairs + 2 * (value - 100 * rest), 2)
        value = rest
    if value >= 10:
        memcpy(p - 2, fastdht_pairs + 2 * value, 2)
    else:
        (p - 1)[0] = <uint8_t>(48 + value)
    return end


cdef inline int count_digits(uint64_t value) noexcept:
    cdef int count = 1
    while value >= 10000:
        value //= 10000
        count += 4
    return count + (value >= 10) + (value >= 100) + (value >= 1000)


cdef inline int write_integer(Encoder* encoder, PyObject* value) except -1:
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef uint8_t* out
    if overflow:
        return write_long_integer(encoder, value)
    reserve(encoder, 24)
    out = encoder.data + encoder.size
    out[0] = c"i"
    out[1] = c"-"
    out = write_decimal(out + 1 + (number < 0), 0 - <uint64_t>number if number < 0 else <uint64_t>number)
    out[0] = c"e"
    encoder.size = <size_t>(out + 1 - encoder.data)
    return 0


cdef int write_long_integer(Encoder* encoder, PyObject* value) except -1:
    cdef bytes digits = b"i%be" % PyNumber_ToBase(<object>value, 10).encode("ascii")
    return write_raw(encoder, PyBytes_AS_STRING(<PyObject*>digits), len(digits))


cdef inline int write_raw(Encoder* encoder, const char* data, Py_ssize_t size) except -1:
    reserve(encoder, size)
    memcpy(encoder.data + encoder.size, data, size)
    encoder.size += size
    return 0


cdef inline int open_container(Encoder* encoder, uint8_t opening) except -1:
    if encoder.depth_left == 0:
        raise ValueError(f"value is nested deeper than {MAX_DEPTH} levels, or contains itself")
    encoder.depth_left -= 1
    reserve(encoder, 1)
    encoder.data[encoder.size] = opening
    encoder.size += 1
    return 0


cdef inline int close_container(Encoder* encoder) except -1:
    reserve(encoder, 1)
    encoder.data[encoder.size] = c"e"
    encoder.size += 1
    encoder.depth_left += 1
    return 0


cdef inline int write_member(Encoder* encoder, PyObject* value) except -1:
    if PyBytes_CheckExact(value):
        return write_string(encoder, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    if PyLong_CheckExact(value):
        return write_integer(encoder, value)
    return write_held(encoder, value)


cdef int write_held(Encoder* encoder, PyObject* value) except -1:
    """Write a value that a finalizer might take out of its container meanwhile."""
    Py_INCREF(value)
    try:
        return write_value(encoder, value)
    finally:
        Py_DECREF(value)


cdef int write_list(Encoder* encoder, PyObject* value) except -1:
    cdef Py_ssize_t i = 0
    open_container(encoder, c"l")
    while i < PyList_GET_SIZE(value):
        write_member(encoder, PyList_GET_ITEM(value, i))
        i += 1
    return close_container(encoder)


cdef int write_tuple(Encoder* encoder, PyObject* value) except -1:
    cdef Py_ssize_t i
    open_container(encoder, c"l")
    for i in range(PyTuple_GET_SIZE(value)):
        write_value(encoder, PyTuple_GET_ITEM(value, i))
    return close_container(encoder)


cdef int write_dict(Encoder* encoder, PyObject* value) except -1:
    cdef Py_ssize_t at = 0
    cdef PyObject* key
    cdef PyObject* item
    open_container(encoder, c"d")
    if not is_sorted(value):
        write_sorted(encoder, value)
        return close_container(encoder)
    while PyDict_Next(value, &at, &key, &item):
        write_string(encoder, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        write_member(encoder, item)
    return close_container(encoder)


cdef bint is_sorted(PyObject* value) noexcept:
    """Whether all keys are bytes, each greater than the one before it."""
    cdef Py_ssize_t at = 0
    cdef PyObject* key
    cdef PyObject* item
    cdef PyObject* previous = NULL
    while PyDict_Next(value, &at, &key, &item):
        if not PyBytes_CheckExact(key):
            return False
        if previous != NULL and compare_names(PyBytes_AS_STRING(previous), PyBytes_GET_SIZE(previous),
                                              PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) >= 0:
            return False
        previous = key
    return True


cdef inline int compare_names(const char* a, Py_ssize_t a_size, const char* b, Py_ssize_t b_size) noexcept nogil:
    cdef int order = memcmp(a, b, min(a_size, b_size))
    return order if order else (a_size > b_size) - (a_size < b_size)


cdef int compare_items(const void* a, const void* b) noexcept nogil:
    cdef const Item* left = <const Item*>a
    cdef const Item* right = <const Item*>b
    return compare_names(left.name, left.size, right.name, right.size)


cdef int write_sorted(Encoder* encoder, PyObject* value) except -1:
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t i
    cdef Item* items = <Item*>PyMem_Malloc(max(PyDict_GET_SIZE(value), 1) * sizeof(Item))
    if items == NULL:
        raise MemoryError
    try:
        count = collect_items(items, value)
        qsort(items, count, sizeof(Item), compare_items)
        write_items(encoder, items, count)
    finally:
        for i in range(count):
            Py_DECREF(items[i].key)
            Py_DECREF(items[i].value)
        PyMem_Free(items)
    return 0


cdef Py_ssize_t collect_items(Item* items, PyObject* value) except -1:
    """Hold every key and value; all keys are looked at before the first is held, so that a bad one leaks nothing."""
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t i
    cdef PyObject* key
    cdef PyObject* item
    while PyDict_Next(value, &at, &key, &item):
        if PyBytes_Check(key):
            items[count].name = PyBytes_AS_STRING(key)
            items[count].size = PyBytes_GET_SIZE(key)
        elif PyUnicode_Check(key):
            items[count].name = PyUnicode_AsUTF8AndSize(<object>key, &items[count].size)
        else:
            raise TypeError(f"dictionary key {<object>key!r} is {type(<object>key).__name__}; bytes or str needed")
        items[count].key = key
        items[count].value = item
        count += 1
    for i in range(count):
        Py_INCREF(items[i].key)
        Py_INCREF(items[i].value)
    return count


cdef int write_items(Encoder* encoder, const Item* items, Py_ssize_t count) except -1:
    cdef Py_ssize_t i
    for i in range(count):
        if i and compare_items(&items[i - 1], &items[i]) == 0:
            raise ValueError(f"dictionary has two keys that encode as {items[i].name[:items[i].size]!r}")
        write_string(encoder, items[i].name, items[i].size)
        write_value(encoder, items[i].value)
    return 0
