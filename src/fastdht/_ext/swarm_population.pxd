"""Who lives in the virtual network: addresses, ids, roles, popularity. Rate class: packet; command to build it.

Everything about a contact follows from its serial number and the seed: serial → place (an invertible keyed
permutation of 127/8) → id (a keyed hash, BEP 42 valid for a given share). Stored are only the sorted ids, 16 bytes a
contact, and an index over them.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastdht._ext.hashing cimport HashKey, Rng
from fastdht._ext.swarm_sessions cimport Sessions


cdef enum:
    HOST_BITS = 24              # of 127/8
    NO_SERIAL = 0xFFFFFFFF
    RESERVED_LOW = 2            # 127.0.0.0 and 127.0.0.1; the last address of the net is reserved too
    MAX_PORTS = 256             # a place has 8 bits for the port
    RECORD_SIZE = 28            # of the truth: ip 4, port 2, id 20, flags 1, role 1


ctypedef int Role

cdef enum:                      # Role: what a contact does when asked; serials are handed out in this order
    ROLE_HONEST
    ROLE_DEAD                   # never answers
    ROLE_RING                   # names only others of the ring
    ROLE_INVENTED_ID            # its id is the target plus one, whatever the target
    ROLE_SAME_ID                # one id on many addresses
    ROLE_BOGONS                 # names private, reserved and port-0 contacts
    ROLE_REFLECTOR              # sends the query back
    ROLE_ID_MIRROR              # answers under the asker's id
    ROLE_WRONG_TID
    ROLE_OTHER_PORT             # answers from another port
    ROLE_BIG_REPLY              # 8 kB
    ROLE_MANY_NODES             # 300 contacts in one reply
    ROLE_RAGGED                 # `nodes` is no multiple of 26 bytes
    ROLE_UNSORTED               # dictionary keys in the wrong order
    ROLE_DEEP                   # hundreds of nested lists
    ROLE_TWO_REPLIES
    ROLE_LIMITED                # answers an address once in ten seconds
    ROLE_HUGE_NUM               # the five liars of BEP 51: says it stores billions of infohashes
    ROLE_ODD_INTERVAL           # 0, negative, or longer than six hours
    ROLE_RAGGED_SAMPLES         # `samples` is no multiple of 20 bytes
    ROLE_INVENTED_SAMPLES       # infohashes that nobody stores
    ROLE_REPEATED_SAMPLES       # one infohash, twenty times
    ROLE_MANY_IDS               # many ids on one address, by port; last, for its places follow another rule
    ROLE_COUNT


cdef enum TruthFlag:
    TRUTH_REACHABLE = 1         # honest and there all the time: what a census is to find
    TRUTH_ANSWERS = 2           # a row with this ip, port and id is right
    TRUTH_BEP42 = 4
    TRUTH_LISTED = 8            # honest tables may name it; otherwise only its accomplices do
    TRUTH_CHURNS = 16           # honest, but comes and goes


cdef struct VirtualNode:        # one listed contact, 16 bytes
    uint64_t prefix             # the id's first 8 bytes
    uint32_t place              # port index << 24 | the address's low 24 bits
    uint32_t weight_before      # popularity of all earlier contacts; unused when all are equal


cdef class Population:
    cdef VirtualNode* nodes     # sorted by prefix
    cdef uint32_t* cells        # by the top cell_bits of an id: first index into nodes; one more at the end
    cdef uint32_t* guide        # by the top guide_bits of a weight: first index whose weight_before reaches it
    cdef readonly uint32_t total            # contacts, listed or not; serials are below it
    cdef readonly uint32_t listed           # entries of nodes, stale ones included
    cdef uint32_t first_serial[ROLE_COUNT + 1]
    cdef uint32_t plain_total               # serials below it have an address of their own
    cdef uint32_t net_capacity              # usable addresses
    cdef uint32_t net_base
    cdef uint32_t net_mask
    cdef int half_bits                      # of a net address
    cdef uint32_t ids_per_ip
    cdef uint32_t same_id_group
    cdef readonly uint32_t plain_ports
    cdef readonly uint32_t ports            # how many, from base_port upwards
    cdef readonly uint16_t base_port
    cdef uint32_t secure_limit              # share of BEP 42 ids, of 65536
    cdef uint32_t stale
    cdef readonly Sessions sessions         # None: nobody leaves
    cdef double sigma                       # of log popularity; 0: all equal
    cdef int cell_bits
    cdef int guide_shift
    cdef uint64_t weight_total
    cdef uint32_t full_weight               # of a contact that is as well known as any
    cdef HashKey id_key
    cdef HashKey place_key
    cdef HashKey weight_key
    cdef HashKey stale_key
    cdef int number_contacts(self, counts) except -1
    cdef int derive_keys(self, seed) except -1
    cdef int allocate(self) except -1
    cdef uint32_t place_of(self, uint32_t serial) noexcept nogil
    cdef uint32_t serial_of(self, uint32_t place) noexcept nogil
    cdef Role role_of(self, uint32_t serial) noexcept nogil
    cdef uint64_t prefix_of(self, uint32_t place) noexcept nogil
    cdef void write_tail(self, uint32_t place, uint8_t* out) noexcept nogil
    cdef void write_id(self, uint32_t serial, uint32_t place, uint8_t* out) noexcept nogil
    cdef void write_contact(self, const VirtualNode* node, uint8_t* out) noexcept nogil
    cdef void write_serial(self, uint32_t serial, uint8_t* out) noexcept nogil
    cdef void find_range(self, uint64_t prefix, int bits, uint32_t* low, uint32_t* high) noexcept nogil
    cdef uint32_t find_weight(self, uint32_t weight) noexcept nogil
    cdef uint64_t weight_at(self, uint32_t rank) noexcept nogil
    cdef uint32_t permute(self, uint32_t x) noexcept nogil
    cdef uint32_t unpermute(self, uint32_t x) noexcept nogil
    cdef uint32_t identity_place(self, uint32_t serial, uint32_t place) noexcept nogil
    cdef bint is_unlisted(self, uint32_t serial) noexcept nogil
    cdef bint load_entry(self, uint32_t entry, VirtualNode* out) noexcept nogil
    cdef void fill_nodes(self) noexcept nogil
    cdef void sort_cell(self, uint32_t low, uint32_t high) noexcept nogil
    cdef double weight_of(self, uint32_t rank) noexcept nogil
    cdef void fill_weights(self) noexcept nogil
    cdef void write_record(self, uint32_t serial, uint8_t* out) noexcept nogil


cdef void draw_key(Rng* rng, HashKey* key) noexcept nogil
