"""What a lookup has found, still packed: the compiled part of fastdht.stats.LookupReport. Rate class: lookup."""

cimport cython

from fastdht._ext.endpoints cimport Endpoints, unpack_values

cdef double SECOND_US = 1_000_000


@cython.no_gc                   # bytes, numbers and tuples of them close no circle
cdef class Findings:
    """target: 20 bytes. outcome: how it ended. elapsed: seconds. queries: how many nodes were asked. responses: how

    many of them answered. results: those of Core.finish_lookup, one per address family. A subclass has
    `endpoint_class`, of which its `values` are.
    """

    def __init__(self, target, str outcome, int64_t elapsed_us, results):
        self.fill(target, outcome, elapsed_us, list(results))

    cdef int fill(self, target, str outcome, int64_t elapsed_us, list results) except -1:
        """What __init__ does, without its arguments' way through the interpreter."""
        cdef tuple result
        self.target = target
        self.outcome = outcome
        self.elapsed = <double>elapsed_us / SECOND_US
        self.results = results
        for result in results:
            self.queries += <int>result[0]
            self.responses += <int>result[1]
        return 0

    @property
    def values(self):
        """The peers found, each once, in the order they came; an immutable sequence."""
        if self.unpacked_values is None:
            self.unpacked_values = self.read_values()
        return self.unpacked_values

    cdef object read_values(self):
        cdef tuple result
        cdef Endpoints alone
        cdef dict found
        if len(self.results) == 1:
            result = self.results[0]
            alone = Endpoints.__new__(Endpoints)
            alone.cls, alone.records = self.endpoint_class, result[7]
            return alone
        found = {}
        for result in self.results:
            found.update(dict.fromkeys(unpack_values(self.endpoint_class, result[7])))
        return tuple(found)
