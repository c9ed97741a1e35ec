"""The virtual network's responder: one datagram in, at most two out. Rate class: packet."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.bencode cimport Span
from fastdht._ext.hashing cimport HashKey, Rng
from fastdht._ext.krpc cimport Message
from fastdht._ext.swarm_catalog cimport Catalog
from fastdht._ext.swarm_crowds cimport Crowds
from fastdht._ext.swarm_limits cimport AnswerLimit
from fastdht._ext.swarm_population cimport Population, Role
from fastdht._ext.swarm_replies cimport Draft
from fastdht._ext.swarm_store cimport PeerStore
from fastdht._ext.swarm_tables cimport TableShape


cdef struct Asked:              # one query as it came
    const uint8_t* data
    uint32_t size
    uint32_t place              # whom it was sent to
    uint32_t source_ip
    uint16_t source_port


cdef struct Outcome:            # what to send
    uint32_t size
    uint32_t copies             # 0: nothing
    bint from_other_port


cdef struct SwarmCounters:
    uint64_t received           # datagrams
    uint64_t strays             # to an address where nobody lives
    uint64_t to_dead
    uint64_t to_away            # to honest nodes that were not there
    uint64_t muted              # not answered, for the asker had had its share
    uint64_t lost_in            # simulated loss
    uint64_t lost_out
    uint64_t ignored            # no query, or not bencode
    uint64_t queries            # accepted
    uint64_t refusals           # errors sent
    uint64_t replies            # sent, copies included
    uint64_t announces
    uint64_t read_only          # queries that carried ro=1
    uint64_t send_failed
    uint64_t delay_overflow     # answered at once because too many waited


cdef class Responder:
    cdef readonly Population people
    cdef HashKey table_key
    cdef HashKey trait_key
    cdef HashKey token_key
    cdef HashKey torrent_key
    cdef HashKey lie_key
    cdef Rng loss_rng
    cdef uint32_t loss_limit            # of 2^32, each way
    cdef uint32_t wide_limit            # of 65536: nodes that answer 16 to 20 contacts
    cdef uint32_t narrow_limit          # of 65536: nodes that answer 1 to 3
    cdef bint has_widened               # half of the nodes keep libtorrent's larger first buckets
    cdef bint has_values_everywhere
    cdef readonly uint32_t torrents
    cdef readonly Catalog catalog       # None: nobody knows sample_infohashes
    cdef bint has_catalog
    cdef AnswerLimit limit              # None: nobody counts
    cdef bint has_limit
    cdef uint32_t node_limit
    cdef bint has_sessions
    cdef int64_t started_us             # what sessions count from
    cdef int64_t first_us      # when the first and the last datagram came
    cdef int64_t last_us
    cdef readonly Crowds crowds         # None: ten peers each
    cdef bint has_crowds
    cdef int64_t now_us                 # as the loop has it
    cdef uint32_t* asked_counts         # by serial: datagrams received
    cdef PeerStore store                # what was announced
    cdef SwarmCounters totals
    cdef Draft draft
    cdef Message message
    cdef uint8_t lied_tid[32]

    cdef uint32_t expect(self, uint32_t place) noexcept nogil
    cdef Role admit(self, uint32_t serial) noexcept nogil
    cdef void respond(self, const Asked* asked, uint32_t serial, Role role, uint8_t* out,
                      Outcome* outcome) noexcept nogil
    cdef void shape_of(self, uint32_t serial, uint32_t place, TableShape* shape) noexcept nogil
    cdef bint is_lost(self) noexcept nogil
    cdef bint is_muted(self, const Asked* asked, uint32_t serial, Role role) noexcept nogil
    cdef void start_draft(self, const Asked* asked, uint32_t serial) noexcept nogil
    cdef uint32_t write_answer(self, const Asked* asked, uint32_t serial, Role role, uint8_t* out) noexcept nogil
    cdef uint32_t refuse(self, int code, const char* text, uint8_t* out) noexcept nogil
    cdef void add_nodes(self, const TableShape* shape) noexcept nogil
    cdef bint add_samples(self, uint32_t serial, Role role) noexcept nogil
    cdef void add_token(self, const Asked* asked, uint32_t serial) noexcept nogil
    cdef void add_values(self, const TableShape* shape, uint32_t serial) noexcept nogil
    cdef void make_token(self, const Asked* asked, uint32_t serial, uint8_t* out) noexcept nogil
    cdef bint accept_announce(self, const Asked* asked, uint32_t serial) noexcept nogil
    cdef bint knows(self, const uint8_t* info_hash) noexcept nogil

