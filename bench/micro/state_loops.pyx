# cython: boundscheck=False, wraparound=False, cdivision=True
"""Loops over the compiled calls, so that a measurement is not one of Python's call overhead.

Each takes the object to drive and a count, and makes that many rounds. Compiled on first use by `state_setup.py`.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastdht._ext.addresses cimport Endpoint, read_compact, write_be32
from fastdht._ext.bencode cimport Span
from fastdht._ext.hashing cimport Rng, next_random, seed_rng
from fastdht._ext.ids cimport Contact
from fastdht._ext.peers cimport PeerStore
from fastdht._ext.table cimport RoutingTable
from fastdht._ext.throttle cimport Throttle
from fastdht._ext.tokens cimport TokenIssuer
from fastdht._ext.transactions cimport TransactionTable


def closest(RoutingTable table, bytes targets, uint32_t limit, uint32_t rounds):
    cdef uint8_t out[128 * 38]
    cdef const uint8_t* target = targets
    cdef uint32_t i, total = 0
    cdef uint32_t count = <uint32_t>(len(targets) // 20)
    for i in range(rounds):
        total += table.write_closest(target + 20 * (i % count), limit, out)
    return total


def answers(RoutingTable table, list contacts, uint32_t rounds):
    cdef Contact known[64]
    cdef uint32_t i, j
    for i in range(64):
        node_id, packed = contacts[i % len(contacts)]
        read_compact(packed, 4, &known[i].endpoint)
        for j in range(20):
            known[i].id[j] = (<const uint8_t*>node_id)[j]
    for i in range(rounds):
        table.saw_reply(&known[i & 63], 100, i)


def transactions(TransactionTable table, uint32_t in_flight, uint32_t rounds):
    """Match, close and open again, in random order, with `in_flight` outstanding."""
    cdef uint32_t slots[65536]
    cdef Endpoint endpoint
    cdef uint8_t tid[4]
    cdef Span span
    cdef Rng rng
    cdef uint32_t i, at, slot, hits = 0
    seed_rng(&rng, 1)
    read_compact(b"\x01\x02\x03\x04\x1a\xe1", 4, &endpoint)
    span.data = tid
    span.size = 4
    for i in range(in_flight):
        slots[i] = table.open(&endpoint, 0)
    for i in range(rounds):
        at = <uint32_t>next_random(&rng) % in_flight
        write_be32(tid, table.tid_of(slots[at]))
        slot = table.match(&span, &endpoint)
        hits += slot == slots[at]
        table.close(slot)
        slots[at] = table.open(&endpoint, i)
    for i in range(in_flight):
        table.close(slots[i])
    return hits


def tokens(TokenIssuer issuer, uint32_t rounds):
    cdef Endpoint endpoint
    cdef uint8_t target[20]
    cdef uint8_t token[8]
    cdef Span span
    cdef uint32_t i, accepted = 0
    for i in range(20):
        target[i] = <uint8_t>i
    span.data = token
    span.size = 8
    read_compact(b"\x01\x02\x03\x04\x1a\xe1", 4, &endpoint)
    for i in range(rounds):
        endpoint.low = i
        issuer.issue(&endpoint, target, token)
        accepted += issuer.accepts(&endpoint, target, &span)
    return accepted


def inbound(Throttle throttle, uint32_t sources, uint32_t rounds):
    """Admit, allow and charge one query after the other from `sources` addresses in random order."""
    cdef Endpoint endpoint
    cdef Rng rng
    cdef uint32_t i, allowed = 0
    seed_rng(&rng, 1)
    read_compact(b"\x01\x02\x03\x04\x1a\xe1", 4, &endpoint)
    for i in range(rounds):
        endpoint.low = ((next_random(&rng) >> 32) * sources) >> 32
        if throttle.admit(&endpoint, i):
            allowed += throttle.reply_allowance(&endpoint, 100, i) > 0
            throttle.spend(&endpoint, 300, i)
    return allowed


def outbound(Throttle throttle, uint32_t destinations, uint32_t rounds):
    cdef Endpoint endpoint
    cdef Rng rng
    cdef uint32_t i, allowed = 0
    seed_rng(&rng, 1)
    read_compact(b"\x01\x02\x03\x04\x1a\xe1", 4, &endpoint)
    for i in range(rounds):
        endpoint.low = ((next_random(&rng) >> 32) * destinations) >> 32
        allowed += throttle.admit_query_to(&endpoint, i)
    return allowed


def values(PeerStore store, list info_hashes, uint32_t limit, uint32_t rounds):
    """Fill replies with peers of 64 info-hashes in turn."""
    cdef uint8_t known[64][20]
    cdef uint8_t out[2048]
    cdef uint32_t i, j, written, total = 0
    cdef Rng rng
    seed_rng(&rng, 1)
    for i in range(64):
        for j in range(20):
            known[i][j] = (<const uint8_t*>(<bytes>info_hashes[i % len(info_hashes)]))[j]
    for i in range(rounds):
        total += store.write_values(known[i & 63], False, limit, &rng, 0, out, &written)
    return total


def announces(PeerStore store, list info_hashes, uint32_t addresses, uint32_t rounds):
    """Announce random peers, new ones and known ones, to 64 info-hashes in turn."""
    cdef uint8_t known[64][20]
    cdef uint32_t i, j, stored = 0
    cdef Endpoint endpoint
    cdef Rng rng
    seed_rng(&rng, 1)
    read_compact(b"\x01\x02\x03\x04\x1a\xe1", 4, &endpoint)
    for i in range(64):
        for j in range(20):
            known[i][j] = (<const uint8_t*>(<bytes>info_hashes[i % len(info_hashes)]))[j]
    for i in range(rounds):
        endpoint.low = (((next_random(&rng) >> 32) * addresses) >> 32) << 8
        stored += store.add(known[i & 63], &endpoint, False, i)
    return stored
