"""The candidates of one lookup, in order of distance. Rate class: packet.

Hot arrays stand apart from what is seldom read, so that one pass over them stays within a few cache lines.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint, read_be64
from fastdht._ext.ids cimport Contact, Distance


cdef enum:
    MAX_CANDIDATES = 96         # of one lookup; the farthest unasked one makes room
    MAX_TOKEN = 64              # a longer token is treated as absent: its node is no storage target
    SHORT_TOKEN = 12            # one that stands with its candidate
    NO_CANDIDATE = 0xFF
    MARKS = 256                 # places for known ids; two ids that share one cost a search, no more
    SUBNET_WORDS = 8            # 512 bits for known subnets, likewise


cdef enum CandidateState:
    CANDIDATE_FRESH             # not asked
    CANDIDATE_ASKED             # asked, no answer yet
    CANDIDATE_ANSWERED
    CANDIDATE_FAILED            # error, silence, or stalled; a late answer turns it into ANSWERED


cdef struct Candidate:          # one cache line of 64 bytes; state and sort keys stand in the Shortlist's arrays
    Endpoint endpoint
    uint32_t rtt_us
    uint8_t id[20]
    uint8_t is_open             # its query holds a place among those in flight
    uint8_t has_id              # a bootstrap host is asked before its id is known
    uint8_t depth               # hops from the seeds
    uint8_t token_size
    uint8_t token[SHORT_TOKEN]


ctypedef uint8_t[MAX_TOKEN] Token


cdef packed struct PackedClosest:   # 109 bytes, for Python: fastdht.stats.CLOSEST
    uint32_t rtt_us
    uint8_t id[20]
    uint8_t size                # of the endpoint: 6 or 18
    uint8_t endpoint[18]
    uint8_t hops
    uint8_t token_size
    uint8_t token[MAX_TOKEN]


cdef struct Shortlist:
    Candidate* candidates       # MAX_CANDIDATES; what comes before the target outlives a lookup
    Token* tokens               # of candidates whose token is no short one
    uint32_t generation
    uint8_t is_dirty            # a slot closed while queued is still queued when it opens again
    uint8_t target[20]
    uint8_t method
    uint8_t is_active
    uint8_t flags
    uint8_t want
    uint8_t noseed
    uint8_t scrape
    uint8_t is_watched          # somebody wants to hear of each result
    uint8_t is_fixed            # asks its seeds only: nodes that answers name are not merged
    uint16_t width              # how many of the closest must have answered
    uint16_t wide_width         # what `width` becomes once two of the closest have failed
    uint16_t subnet_limit       # candidates per /24 or /64; 0: no limit
    uint16_t max_queries
    uint16_t alpha              # of the built-in policy: the most queries in flight …
    uint8_t phase               # … and how far it has come: machine.pxd
    uint32_t reader             # the caller who gets answers that hold more than nodes; 0: nobody
    uint32_t count              # candidates in use
    uint32_t unnamed            # of them without an id
    uint32_t in_flight
    uint32_t queries
    uint32_t responses
    uint32_t failures           # errors and silence
    uint32_t values_dropped     # peers beyond the room for them
    uint32_t value_count
    uint32_t value_buckets      # of the index in use: it grows with the values, so that a few cost little to clear
    uint32_t values_taken       # how many of them the policy has already received
    int64_t started_us
    int64_t deadline_us
    int64_t first_value_us
    uint64_t target_high        # the target's first 64 bits in host order
    uint64_t subnets[SUBNET_WORDS]      # a bit for each subnet among the candidates, by its hash; a hint as well
    uint8_t marks[MARKS]        # by the last bits of a candidate's nearness: its index + 1; a hint, never a proof
    uint8_t order[MAX_CANDIDATES]               # candidate indexes, closest first
    uint8_t state[MAX_CANDIDATES]               # CandidateState, by index like all that follow
    uint32_t subnet_mark[MAX_CANDIDATES]        # 32 bits of the /24 or /64: one pass finds a known one
    uint64_t nearness[MAX_CANDIDATES]           # the distance's first 64 bits


cdef bint add_candidate(Shortlist* shortlist, const Contact* contact, bint has_id, int depth) noexcept nogil
cdef void learn_id(Shortlist* shortlist, uint32_t index, const uint8_t* node_id) noexcept nogil
cdef void pack_candidate(const Shortlist* shortlist, uint32_t index, PackedClosest* out) noexcept nogil
cdef int check_shortlist(Shortlist* shortlist) except -1


cdef inline bint is_hopeless(const Shortlist* shortlist, const uint8_t* node_id) noexcept nogil:
    """Whether a node need not be offered: most that a reply names are known, or too far for a full list."""
    cdef uint64_t nearness = read_be64(node_id) ^ shortlist.target_high
    cdef uint32_t index = shortlist.marks[nearness % MARKS]
    if index and shortlist.nearness[index - 1] == nearness:
        return shortlist.state[index - 1] != CANDIDATE_FAILED   # 64 bits do: who forges them could name the id itself
    return shortlist.count == MAX_CANDIDATES and nearness > shortlist.nearness[shortlist.order[MAX_CANDIDATES - 1]]


cdef inline void mark_known(Shortlist* shortlist, uint32_t index) noexcept nogil:
    shortlist.marks[shortlist.nearness[index] % MARKS] = <uint8_t>(index + 1)


cdef inline void leave_flight(Shortlist* shortlist, Candidate* candidate) noexcept nogil:
    if candidate.is_open:
        candidate.is_open = False
        shortlist.in_flight -= 1


cdef inline uint32_t fold_subnet(uint64_t subnet) noexcept nogil:
    """Equal for equal subnets, and for no two of IPv4."""
    return <uint32_t>subnet ^ <uint32_t>(subnet >> 32)
