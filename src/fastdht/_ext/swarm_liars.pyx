"""How each adversary spoils an honest draft. Rate class: packet.

All lies are keyed by the liar and the target, so that the same question gets the same lie. Seen in the wild: id
mirrors and invented ids (libtorrent #6236), bogon contacts (libtorrent #6992), one id on many addresses and many ids
on one (mldht's notes on sanitising).
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memmove

from fastdht._ext.addresses cimport read_be64, write_be32, write_be64
from fastdht._ext.hashing cimport mix_words
from fastdht._ext.swarm_catalog cimport MAX_SAMPLES, Holding
from fastdht._ext.swarm_population cimport (ROLE_BIG_REPLY, ROLE_BOGONS, ROLE_COUNT, ROLE_DEEP, ROLE_HUGE_NUM,
                                            ROLE_ID_MIRROR, ROLE_INVENTED_ID, ROLE_INVENTED_SAMPLES, ROLE_MANY_NODES,
                                            ROLE_ODD_INTERVAL, ROLE_RAGGED, ROLE_RAGGED_SAMPLES,
                                            ROLE_REPEATED_SAMPLES, ROLE_RING, ROLE_SAME_ID, ROLE_UNSORTED)
from fastdht._ext.swarm_replies cimport BIG_REPLY_BYTES, MAX_NODES_BYTES

cdef enum:
    NAMED = 8
    CONTACT = 26
    NESTING = 300
    HASH = 20
    CUT = 7                     # bytes by which a ragged answer is too short

# 0/8, 10/8, 100.64/10, 169.254/16, 172.16/12, 192.168/16, 224/4, 240/4; the rest of each address is random.
cdef uint32_t BOGON_NETS[8]
BOGON_NETS[:] = [0x00000000, 0x0A000000, 0x64400000, 0xA9FE0000, 0xAC100000, 0xC0A80000, 0xE0000000, 0xF0000000]


cdef int64_t HUGE_NUMS[2]
HUGE_NUMS[:] = [1_000_000_000, 1 << 62]
cdef int64_t ODD_INTERVALS[4]
ODD_INTERVALS[:] = [0, -1, 7 * 86_400, 1 << 62]


cdef void write_successor(const uint8_t* id, uint32_t steps, uint8_t* out) noexcept nogil:  # R0
    """The id that many steps above, as a 160-bit number."""
    cdef int i
    for i in range(19, -1, -1):
        steps += id[i]
        out[i] = <uint8_t>steps
        steps >>= 8


cdef inline const uint8_t* aim_of(const Message* message) noexcept nogil:
    return message.target if message.target != NULL else message.id


cdef void name_accomplices(Population people, const HashKey* key, uint32_t serial, uint32_t first, uint32_t count,
                           uint64_t aim, Draft* draft) noexcept nogil:  # R0
    cdef uint32_t i
    cdef uint32_t start = <uint32_t>(mix_words(key, serial, aim) % count)
    if not draft.has_nodes:
        return
    for i in range(min(<uint32_t>NAMED, count)):
        people.write_serial(first + (start + i * i) % count, draft.nodes + i * CONTACT)
    draft.nodes_size = min(<uint32_t>NAMED, count) * CONTACT


cdef void invent_contacts(Population people, const uint8_t* aim, Draft* draft) noexcept nogil:  # R0
    """Ids just above the target at the endpoints of the ring named before."""
    cdef uint32_t i
    for i in range(draft.nodes_size // CONTACT):
        write_successor(aim, i + 2, draft.nodes + i * CONTACT)


cdef void name_bogons(const HashKey* key, uint32_t serial, uint64_t aim, Draft* draft) noexcept nogil:  # R0
    """Every second contact becomes unroutable; of the others the first loses its port."""
    cdef uint32_t i
    cdef uint64_t word
    for i in range(draft.nodes_size // CONTACT):
        word = mix_words(key, serial ^ (<uint64_t>i << 32), aim)
        if i % 2:
            write_be32(draft.nodes + i * CONTACT + 20, BOGON_NETS[word & 7] | (<uint32_t>(word >> 8) & 0xFFFF))
        elif i == 0:
            draft.nodes[24] = 0
            draft.nodes[25] = 0


cdef void name_crowd(Population people, const HashKey* key, Draft* draft) noexcept nogil:  # R0
    """After the honest answer the same well-known contacts from every liar: fresh ones would help a crawl."""
    cdef uint32_t i, rank
    cdef uint64_t word
    if not draft.has_nodes:
        return
    for i in range(draft.nodes_size // CONTACT, <uint32_t>MAX_NODES_BYTES // CONTACT):
        word = mix_words(key, i, 0)
        rank = <uint32_t>(word % people.listed)
        if people.guide != NULL:
            rank = people.find_weight(<uint32_t>(word % people.weight_total))
        people.write_contact(&people.nodes[rank], draft.nodes + i * CONTACT)
    draft.nodes_size = MAX_NODES_BYTES


cdef void join_group(Population people, const HashKey* key, Role role, uint32_t serial, uint64_t aim,
                     Draft* draft) noexcept nogil:  # R0
    cdef uint32_t first = people.first_serial[role]
    cdef uint32_t count = people.first_serial[role + 1] - first
    if role == ROLE_SAME_ID:
        first = serial - (serial - first) % people.same_id_group
        count = min(people.same_id_group, people.first_serial[role + 1] - first)
    name_accomplices(people, key, serial, first, count, aim, draft)


cdef void invent_samples(const HashKey* key, uint32_t serial, Holding* holding) noexcept nogil:  # R0
    """Infohashes out of thin air, and no more of them than an honest node might have."""
    cdef uint32_t i
    for i in range(<uint32_t>MAX_SAMPLES):
        write_be64(holding.samples + HASH * i, mix_words(key, serial, 2 * i))
        write_be64(holding.samples + HASH * i + 8, mix_words(key, serial, 2 * i + 1))
        write_be32(holding.samples + HASH * i + 16, <uint32_t>mix_words(key, ~<uint64_t>serial, i))
    holding.size = HASH * MAX_SAMPLES
    holding.num += MAX_SAMPLES


cdef void repeat_sample(Holding* holding) noexcept nogil:  # R0
    cdef uint32_t i
    if holding.size == 0:
        return
    for i in range(1, <uint32_t>MAX_SAMPLES):
        memcpy(holding.samples + HASH * i, holding.samples, HASH)
    holding.size = HASH * MAX_SAMPLES


cdef void distort_samples(const HashKey* key, Role role, uint32_t serial, Holding* holding) noexcept nogil:  # R0
    if role == ROLE_HUGE_NUM:
        holding.num = HUGE_NUMS[serial & 1]
    elif role == ROLE_ODD_INTERVAL:
        holding.interval_s = ODD_INTERVALS[serial & 3]
    elif role == ROLE_RAGGED_SAMPLES and holding.size:
        holding.size -= CUT
        memmove(holding.samples, holding.samples + CUT, holding.size)       # in front, so that none is whole
    elif role == ROLE_INVENTED_SAMPLES:
        invent_samples(key, serial, holding)
    elif role == ROLE_REPEATED_SAMPLES:
        repeat_sample(holding)


cdef void distort(Population people, const HashKey* key, Role role, uint32_t serial, const Message* message,
                  Draft* draft) noexcept nogil:  # R0
    cdef const uint8_t* target = aim_of(message)
    cdef uint64_t aim = read_be64(target)
    if role == ROLE_RING or role == ROLE_SAME_ID or role == ROLE_INVENTED_ID:
        join_group(people, key, role, serial, aim, draft)
    if role == ROLE_INVENTED_ID:
        write_successor(target, 1, draft.id)
        invent_contacts(people, target, draft)
    elif role == ROLE_ID_MIRROR:
        memcpy(draft.id, message.id, 20)
    elif role == ROLE_BOGONS:
        name_bogons(key, serial, aim, draft)
    elif role == ROLE_MANY_NODES:
        name_crowd(people, key, draft)
    elif role == ROLE_RAGGED and draft.nodes_size > 7:
        draft.nodes_size -= 7
    elif role == ROLE_BIG_REPLY:
        draft.pad_to = BIG_REPLY_BYTES
    elif role == ROLE_UNSORTED:
        draft.is_unsorted = True
    elif role == ROLE_DEEP:
        draft.nesting = NESTING
    elif draft.has_samples:
        distort_samples(key, role, serial, &draft.holding)
