"""The crawl's frontier as the core sees it. Rate class: packet.

The core asks it for questions (`next_question`, `give_back`, `next_due`, inherited) and tells it what became of each.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.addresses cimport AddressFilter, Endpoint
from fastdht._ext.edges cimport EdgeRow
from fastdht._ext.krpc cimport Message
from fastdht._ext.lanes cimport Lane
from fastdht._ext.queue cimport CrawlQueue, Question
from fastdht._ext.rows cimport FoundRow
from fastdht._ext.samples cimport SampleRow
from fastdht._ext.seen cimport Record
from fastdht._ext.transactions cimport Transaction


cdef enum:
    RTT_BINS = 64               # four per octave of microseconds, from 2^8


cdef class Frontier(CrawlQueue):
    cdef FoundRow* rows
    cdef SampleRow* samples
    cdef EdgeRow* edges                 # NULL when they are not kept
    cdef readonly Frontier previous     # the pass before this one, or None
    cdef Lane* previous_lanes           # its lanes, or NULL
    cdef uint32_t rtt_bins[RTT_BINS]
    cdef void on_response(self, const Transaction* tx, const Message* message, int64_t now_us) noexcept nogil
    cdef void on_error(self, const Transaction* tx, const Message* message, int64_t now_us) noexcept nogil
    cdef void on_stall(self, const Transaction* tx, int64_t now_us) noexcept nogil
    cdef void on_timeout(self, const Transaction* tx, int64_t now_us) noexcept nogil
    # private
    cdef void fail(self, Lane* lane, uint32_t index) noexcept nogil
    cdef void refuse_sample(self, Lane* lane, uint32_t index) noexcept nogil
    cdef void keep_samples(self, const Transaction* tx, const Message* message, int64_t now_us) noexcept nogil
    cdef void keep_edges(self, const Record* record, const Message* message) noexcept nogil
    cdef bint judge_id(self, Lane* lane, Record* record, const Message* message, int64_t rtt_us) noexcept nogil
    cdef void accept(self, Lane* lane, Record* record, const Message* message, int64_t rtt_us) noexcept nogil
