"""Synthetic torrents: infohashes known by sight, and their peers. Rate class: packet."""
from libc.stdint cimport uint64_t
from libc.string cimport memcmp

from fastdht._ext.addresses cimport read_be64, write_be32, write_be64
from fastdht._ext.hashing cimport mix_words


cdef void write_torrent(const HashKey* key, uint32_t number, uint8_t* out) noexcept nogil:  # R0
    """The infohash of a synthetic torrent: 16 keyed bytes, then its number, so that it is known by sight."""
    write_be64(out, mix_words(key, number, 1))
    write_be64(out + 8, mix_words(key, number, 2))
    write_be32(out + 16, number)


cdef bint is_torrent(const HashKey* key, uint32_t torrents, const uint8_t* info_hash) noexcept nogil:  # R0
    cdef uint8_t expected[20]
    cdef uint32_t number = <uint32_t>read_be64(info_hash + 12)
    if number >= torrents:
        return False
    write_torrent(key, number, expected)
    return memcmp(expected, info_hash, 20) == 0


cdef void write_torrent_peer(const HashKey* key, const uint8_t* info_hash, uint32_t number,
                             uint8_t* out) noexcept nogil:  # R0
    cdef uint64_t word = mix_words(key, read_be64(info_hash), 16 + number)
    write_be32(out, <uint32_t>0x7F000000 | (<uint32_t>word & 0xFFFFFF))
    out[4] = <uint8_t>(4 + ((word >> 32) & 0x7F))           # port 1024 … 33791
    out[5] = <uint8_t>(word >> 40)
