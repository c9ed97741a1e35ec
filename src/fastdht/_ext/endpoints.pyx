"""Endpoints as Python sees them: the text of an address, and a port. Rate class: lookup.

A lookup finds dozens of peers, and whoever asked for them reads them all: through Python's own inet_ntop and NamedTuple
that takes longer than finding them. Invariant: what comes out equals cls(ip, port), with ip as inet_ntop writes it.
"""
import socket

cimport cython
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint32_t

from fastdht._ext.addresses cimport COMPACT_V4, COMPACT_V6, FAMILY_V4, FAMILY_V6, dump_compact, load_compact, read_compact

cdef extern from "Python.h":
    object PyType_GenericAlloc(PyTypeObject* type, Py_ssize_t items)
    void PyObject_GC_UnTrack(object made)


def unpack_endpoint(cls, bytes packed not None):
    """A `cls`, a subclass of tuple, of (ip, port) from 6 or 18 bytes. Raises ValueError for another size."""
    cdef Endpoint endpoint
    check_pair(cls)
    load_compact(packed, &endpoint)
    return make_pair(<PyTypeObject*>cls, &endpoint)


cpdef tuple unpack_values(cls, bytes records):
    """A `cls` for each of a lookup's PackedValue records (19 bytes: size and compact endpoint), in their order."""
    cdef const uint8_t* at = records
    cdef Py_ssize_t i
    cdef Endpoint endpoint
    cdef Py_ssize_t count = len(records) // VALUE_SIZE
    cdef tuple found
    check_pair(cls)
    found = PyTuple_New(count)
    for i in range(count):
        read_compact(at + 1, FAMILY_V4 if at[0] == COMPACT_V4 else FAMILY_V6, &endpoint)
        value = make_pair(<PyTypeObject*>cls, &endpoint)
        Py_INCREF(value)
        PyTuple_SET_ITEM(found, i, value)
        at += VALUE_SIZE
    return found


@cython.no_gc                   # endpoints close no circle
cdef class Endpoints:
    """A read-only sequence of `cls`, made of a lookup's PackedValue records by whoever first looks at one of them.

    Most callers only want to know how many there are. Equal to a tuple, and to another, of the same in the same order.
    """
    def __init__(self, cls, bytes records not None):
        self.cls = cls
        self.records = records

    cdef tuple unpack(self):
        if self.unpacked is None:
            self.unpacked = unpack_values(self.cls, self.records)
        return self.unpacked

    def __len__(self) -> int:
        return len(self.records) // VALUE_SIZE

    def __getitem__(self, key):
        return self.unpack()[key]

    def __iter__(self):
        return iter(self.unpack())

    def __contains__(self, value) -> bool:
        return value in self.unpack()

    def __eq__(self, other) -> bool:
        return self.unpack() == ((<Endpoints>other).unpack() if isinstance(other, Endpoints) else other)

    def __hash__(self) -> int:
        return hash(self.unpack())

    def __repr__(self) -> str:
        return repr(self.unpack())

    def __reversed__(self):
        return reversed(self.unpack())

    def index(self, value, *bounds) -> int:
        return self.unpack().index(value, *bounds)

    def count(self, value) -> int:
        return self.unpack().count(value)


cdef int check_pair(cls) except -1:
    if not isinstance(cls, type) or not issubclass(cls, tuple):
        raise TypeError(f"{cls!r} is no subclass of tuple")
    return 0


cdef object make_pair(PyTypeObject* cls, const Endpoint* endpoint):
    """What cls(ip, port) would be, without the tuples and calls in between."""
    cdef object ip = host_text(endpoint)
    cdef object port = endpoint.port
    cdef object made = PyType_GenericAlloc(cls, 2)
    Py_INCREF(ip)
    PyTuple_SET_ITEM(made, 0, ip)
    Py_INCREF(port)
    PyTuple_SET_ITEM(made, 1, port)
    PyObject_GC_UnTrack(made)       # a str and an int close no circle: nothing for the collector to look through
    return made


cdef str host_text(const Endpoint* endpoint):
    cdef char text[16]
    cdef uint32_t part
    cdef int shift, size = 0
    if endpoint.family == FAMILY_V6:
        return socket.inet_ntop(socket.AF_INET6, dump_compact(endpoint)[:16])
    for shift in range(24, -8, -8):
        part = <uint32_t>(endpoint.low >> shift) & 255
        if part >= 100:
            text[size] = <char>(48 + part // 100)
            size += 1
        if part >= 10:
            text[size] = <char>(48 + part // 10 % 10)
            size += 1
        text[size] = <char>(48 + part % 10)
        text[size + 1] = c'.'
        size += 2
    return PyUnicode_DecodeASCII(text, size - 1, NULL)
