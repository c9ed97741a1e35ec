"""Lookups as Python starts and awaits them. Rate class: lookup.

A Walk has a Branch, which is a slot of a core's shortlists, for each address family. LookupSlots know who decides and
who is told of what becomes of each slot of one core.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.core cimport Core
from fastdht._ext.findings cimport Result


cdef enum:                      # what a turn leaves to do
    FIRST = 1                   # nothing has been done: events or callers come first
    EVENTS = 2                  # events wait to be handed over
    TO_SEND = 4                 # datagrams wait in the outbox
    PUTS = 8                    # puts wait to be verified
    REFUSED = 16                # the network may have returned datagrams of ours
    ROOM = 32                   # room to send is to be watched for, or no longer


cdef struct Settings:           # of fastdht.config.LookupConfig
    int alpha
    int width
    int wide_width
    int subnet_limit
    int max_queries
    int64_t deadline_us


cdef class LookupSlots:
    cdef readonly Core core
    cdef readonly object clock
    cdef object engine
    cdef type report_class
    cdef object make_failure
    cdef object make_endpoint
    cdef tuple outcomes         # by the phase of machine.pxd that a lookup ends in
    cdef list machines          # who decide instead of the built-in policy
    cdef list owners
    cdef object config          # what `settings` were read from
    cdef Settings settings
    cdef public object new_future
    cdef public bint is_kicked
    cdef public int64_t now_us
    cdef public int64_t batches     # taken in
    cdef int take_turn(self, int64_t now_us, bint is_crowded) except -1
    cdef int place(self, machine, owner, int method, target, config, int64_t now_us, seeds, bint noseed, bint is_fixed,
                   bint scrape, uint32_t reader) except -2
    cdef int load(self, config) except -1
    cdef Result free(self, uint32_t slot)


cdef class Branch:
    cdef Walk walk              # None once it has ended
    cdef LookupSlots slots
    cdef int slot
    cdef uint8_t phase          # it ended in
    cdef uint32_t reader        # the number its answers come under; 0: nobody reads them
    cdef Branch other           # of the walk
    cdef int finish(self) except -1


cdef class Walk:
    cdef readonly object target
    cdef readonly object config
    cdef readonly object report             # None while it runs
    cdef public object error
    cdef readonly bint is_cancelled
    cdef list found                         # peers, for the first who iterates, as are those known
    cdef set known
    cdef int handles
    cdef dict registry                      # where calls for the same target find it; None for one nobody can join
    cdef object on_end
    cdef object new_future
    cdef object make_failure
    cdef Branch branches                    # the last one opened; None once all have ended
    cdef Result results                     # that of the last one that has ended
    cdef int running                        # branches
    cdef object caller                      # who awaits the report, and the others who do
    cdef list callers
    cdef list waiters                       # who iterate, and want any news
    cdef int64_t started_us
    cdef int prepare(self, target, config, on_end) except -1
    cdef bint open_branches(self, list slots, int method, seeds, bint is_fixed, bint noseed, bint scrape, bint is_read) except -1
    cdef object future_of_end(self)
    cdef int end(self, LookupSlots slots) except -1
    cdef int collect(self, Branch branch) except -1
    cdef object outcome(self, LookupSlots slots)
    cdef int answer(self) except -1
