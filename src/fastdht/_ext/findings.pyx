"""What a lookup has found, still packed: the compiled part of fastdht.stats.LookupReport. Rate class: lookup."""

cimport cython

from fastdht._ext.endpoints cimport VALUE_SIZE, Endpoints, unpack_values

cdef double SECOND_US = 1_000_000


@cython.final
@cython.no_gc                   # bytes and numbers close no circle
@cython.freelist(64)
cdef class Result:
    """What one core's lookup knew at its end: how many were asked, have answered and have not; how many peers are kept,

    and came beyond the room for them; µs to the first of them, or -1; the closest that answered and the peers, as
    records that fastdht.stats reads.
    """

    def __init__(self, int queries=0, int responses=0, int failures=0, bytes closest not None=b"",
                 bytes values not None=b""):
        self.queries, self.responses, self.failures = queries, responses, failures
        self.closest, self.values = closest, values
        self.value_count = <int>(len(values) // VALUE_SIZE)
        self.first_value_us = 0 if values else -1


@cython.no_gc                   # nor do tuples of them
cdef class Findings:
    """target: 20 bytes. outcome: how it ended. elapsed: seconds. queries: how many nodes were asked. responses: how

    many of them answered. results: those of Core.finish_lookup, one per address family. A subclass has
    `endpoint_class`, of which its `values` are.
    """

    def __init__(self, target, str outcome, int64_t elapsed_us, results):
        cdef Result each, last = None
        for each in results:
            each.other = last
            last = each
        self.fill(target, outcome, elapsed_us, last)

    cdef int fill(self, target, str outcome, int64_t elapsed_us, Result result) except -1:
        """What __init__ does, without its arguments' way through the interpreter."""
        self.target = target
        self.outcome = outcome
        self.elapsed = <double>elapsed_us / SECOND_US
        self.result = result
        while result is not None:
            self.queries += result.queries
            self.responses += result.responses
            result = result.other
        return 0

    @property
    def results(self):
        cdef Result result = self.result
        found = []
        while result is not None:
            found.append(result)
            result = result.other
        return tuple(reversed(found))

    @property
    def values(self):
        """The peers found, each once, in the order they came; an immutable sequence."""
        if self.unpacked_values is None:
            self.unpacked_values = self.read_values()
        return self.unpacked_values

    cdef object read_values(self):
        cdef Endpoints alone
        cdef dict found = {}
        if self.result is not None and self.result.other is None:
            alone = Endpoints.__new__(Endpoints)
            alone.cls, alone.records = self.endpoint_class, self.result.values
            return alone
        for result in self.results:
            found.update(dict.fromkeys(unpack_values(self.endpoint_class, result.values)))
        return tuple(found)
