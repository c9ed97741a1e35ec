"""A PeerStore as bytes, and back. Rate class: command.

The format, version 1, all numbers big-endian:

    "FDPS"  version (1 byte)  family (1 byte: 4 or 6)  number of swarms (4 bytes)
    each swarm:  info-hash (20)  number of peers (2)
    each peer:   compact endpoint (6 or 18)  1 for a seed, else 0 (1)  seconds since its last announce (4)

Ages are relative to the dump, so that no clock need survive a restart. Expired peers are left out. It carries no
checksum: the file that holds it has one.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from fastdht._ext.addresses cimport Endpoint, compact_size, read_be32, read_compact, write_be32
from fastdht._ext.ids cimport ID_SIZE
from fastdht._ext.peers_slab cimport Peer, Survey, is_seeding, no_peer

cdef enum:
    VERSION = 1
    HEADER = 10
    SWARM_HEADER = 22
    TAIL = 5                    # of a peer: seed flag and age

cdef int64_t SECOND_US = 1000000
MAGIC = b"FDPS"


cpdef bytes dump_peers(PeerStore store, now_us):
    """Every peer that has not expired at `now_us`."""
    cdef int64_t now = now_us
    cdef uint32_t record = compact_size(store.family) + TAIL
    cdef uint32_t i, used = HEADER, swarms = 0
    cdef uint32_t written
    out = bytearray(HEADER + store.info_hash_count * SWARM_HEADER + store.peer_count * record)
    cdef uint8_t* at = out
    memcpy(at, <const uint8_t*><bytes>MAGIC, 4)
    at[4] = VERSION
    at[5] = <uint8_t>store.family
    for i in range(store.info_hash_count):
        written = write_swarm(store, store.order[i], now, at + used)
        used += written
        swarms += written > 0
    write_be32(at + 6, swarms)
    return bytes(out[:used])


cdef uint32_t write_swarm(PeerStore store, uint32_t swarm, int64_t now_us, uint8_t* out) noexcept nogil:
    """Returns the bytes written; 0 when all peers have expired."""
    cdef uint32_t size = compact_size(store.family)
    cdef uint8_t* at = out + SWARM_HEADER
    cdef uint32_t i, count = 0
    cdef Peer* peer
    for i in range(store.swarms[swarm].count):
        peer = store.peer_at(swarm, i)
        if now_us - peer.seen_us >= store.ttl_us:
            continue
        memcpy(at, peer.element + store.prefix_size, size)
        at[size] = <uint8_t>is_seeding(peer)
        write_be32(at + size + 1, <uint32_t>min(max(now_us - peer.seen_us, 0) // SECOND_US, <int64_t>0xFFFFFFFF))
        at += size + TAIL
        count += 1
    if count == 0:
        return 0
    memcpy(out, store.swarms[swarm].info_hash, ID_SIZE)
    out[ID_SIZE] = <uint8_t>(count >> 8)
    out[ID_SIZE + 1] = <uint8_t>count
    return <uint32_t>(at - out)


cpdef int load_peers(PeerStore store, bytes data, now_us, away_us=0) except -1:
    """Add what `dump_peers` wrote `away_us` before `now_us`; returns how many peers were added.

    The store's own limits hold; peers that have expired meanwhile, or are in it already, are left out. Raises ValueError
    for bytes that are no dump of this family; then nothing has been added.
    """
    cdef int64_t dumped_us = now_us - away_us
    cdef int64_t oldest_us = now_us - store.ttl_us
    cdef uint32_t size = compact_size(store.family)
    cdef const uint8_t* at = data
    cdef const uint8_t* info_hash
    cdef uint32_t count, swarms, added = 0
    check_dump(data, store.family, size + TAIL)
    swarms = read_be32(at + 6)
    at += HEADER
    while swarms:
        swarms -= 1
        info_hash = at
        count = (<uint32_t>at[ID_SIZE] << 8) | at[ID_SIZE + 1]
        at += SWARM_HEADER
        while count:
            count -= 1
            added += add_record(store, info_hash, at, dumped_us, oldest_us)
            at += size + TAIL
    return added


cdef bint add_record(PeerStore store, const uint8_t* info_hash, const uint8_t* record, int64_t dumped_us,
                     int64_t oldest_us) noexcept nogil:
    cdef uint32_t size = compact_size(store.family)
    cdef int64_t seen_us = dumped_us - <int64_t>read_be32(record + size + 1) * SECOND_US
    cdef Endpoint endpoint
    cdef Peer peer
    cdef Survey survey
    if seen_us <= oldest_us:
        return False
    read_compact(record, store.family, &endpoint)
    store.make_record(&endpoint, False, seen_us, &peer)
    store.survey(store.find_swarm(info_hash), &peer, &survey)
    return survey.same == no_peer() and store.add(info_hash, &endpoint, record[size] != 0, seen_us)


cdef int check_dump(bytes data, uint16_t family, uint32_t record) except -1:
    """Raise ValueError unless the sizes of all swarms add up to that of the data."""
    cdef const uint8_t* bytes_of = data
    cdef size_t at = HEADER, end = len(data)
    cdef uint32_t swarms
    if end < HEADER or data[:4] != MAGIC:
        raise ValueError("peers: not a dump of a peer store")
    if bytes_of[4] != VERSION or bytes_of[5] != family:
        raise ValueError(f"peers: version {bytes_of[4]} of family {bytes_of[5]}; {VERSION} of {family} needed")
    swarms = read_be32(bytes_of + 6)
    while swarms and at + SWARM_HEADER <= end:
        swarms -= 1
        at += SWARM_HEADER + record * ((<size_t>bytes_of[at + ID_SIZE] << 8) | bytes_of[at + ID_SIZE + 1])
    if swarms or at != end:
        raise ValueError(f"peers: {end} bytes do not hold what they announce")
    return 0
