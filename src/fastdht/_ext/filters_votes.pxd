"""The size of a swarm from the filters of several nodes. Rate class: lookup. Source: BEP 33."""
from libc.stdint cimport uint8_t, uint32_t

from fastdht._ext.filters cimport FILTER_BITS, FILTER_SIZE


cdef enum:
    MAX_VOTERS = 32             # of more the first count: a lookup meets some eight holders
    MAX_PAIRS = MAX_VOTERS * (MAX_VOTERS - 1) // 2


cdef struct Voters:             # the filters that count, of one kind
    uint32_t count
    uint8_t data[MAX_VOTERS][FILTER_SIZE]
    uint8_t votes[FILTER_BITS]  # by bit: how many set it
    double sizes[MAX_VOTERS]    # addresses of each alone
    double common[MAX_VOTERS][MAX_VOTERS]   # addresses that both of a pair hold


cdef struct Model:              # what is assumed of the nodes while a count is sought
    uint32_t count
    double shares[MAX_VOTERS]   # of all addresses that each knows
    double unseen               # the share that none knows
    double lone[MAX_VOTERS]     # the share that none but this one may know


cdef class Votes:
    cdef list seed_filters
    cdef list peer_filters
    cdef object named
    cdef bint has_named
