"""What a lookup has found, still packed: the compiled part of fastdht.stats.LookupReport. Rate class: lookup."""

cimport cython

cdef double SECOND_US = 1_000_000


@cython.no_gc                   # bytes, numbers and tuples of them close no circle
cdef class Findings:
    """target: 20 bytes. outcome: how it ended. elapsed: seconds. queries: how many nodes were asked. responses: how

    many of them answered. results: those of Core.finish_lookup, one per address family.
    """

    def __init__(self, target, str outcome, elapsed_us, results):
        self.target = target
        self.outcome = outcome
        self.elapsed = elapsed_us / SECOND_US
        self.results = results
        for result in results:
            self.queries += result[0]
            self.responses += result[1]
