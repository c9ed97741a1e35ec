"""Synthetic torrents: infohashes known by sight, and their peers. Rate class: packet."""
from libc.stdint cimport uint8_t, uint32_t

from fastdht._ext.hashing cimport HashKey


cdef enum:
    TORRENT_PEERS = 10          # of a synthetic torrent, as every node close to it tells


cdef void write_torrent(const HashKey* key, uint32_t number, uint8_t* out) noexcept nogil
cdef bint is_torrent(const HashKey* key, uint32_t torrents, const uint8_t* info_hash) noexcept nogil
cdef void write_torrent_peer(const HashKey* key, const uint8_t* info_hash, uint32_t number, uint8_t* out) noexcept nogil
