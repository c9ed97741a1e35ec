"""What a lookup has found, still packed: the compiled part of fastdht.stats.LookupReport. Rate class: lookup."""

cimport cython

cdef double SECOND_US = 1_000_000


@cython.no_gc                   # bytes, numbers and tuples of them close no circle
cdef class Findings:
    """target: 20 bytes. outcome: how it ended. elapsed: seconds. queries: how many nodes were asked. responses: how

    many of them answered. results: those of Core.finish_lookup, one per address family.
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
