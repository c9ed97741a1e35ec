"""SHA-1, for what the protocol itself hashes. Rate class: packet.

Source: FIPS 180-4, sections 5.1.1 (padding) and 6.1.3 (the schedule as a ring of sixteen words).
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    BLOCK = 64


cdef inline uint32_t rotate_word(uint32_t x, int bits) noexcept nogil:
    return (x << bits) | (x >> (32 - bits))


cdef inline uint32_t read_word(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | <uint32_t>p[3]


cdef inline void write_word(uint8_t* p, uint32_t word) noexcept nogil:
    p[0] = <uint8_t>(word >> 24)
    p[1] = <uint8_t>(word >> 16)
    p[2] = <uint8_t>(word >> 8)
    p[3] = <uint8_t>word


cdef inline void turn(uint32_t* v, uint32_t mixed, uint32_t constant, uint32_t word) noexcept nogil:
    """One round; `mixed` is the round's function of b, c and d."""
    cdef uint32_t sum_ = rotate_word(v[0], 5) + mixed + v[4] + constant + word
    v[4] = v[3]
    v[3] = v[2]
    v[2] = rotate_word(v[1], 30)
    v[1] = v[0]
    v[0] = sum_


cdef inline uint32_t next_word(uint32_t* ring, int t) noexcept nogil:
    """Word t of the schedule, from 16 on; it takes the place of word t - 16."""
    cdef uint32_t word = rotate_word(
        ring[(t + 13) & 15] ^ ring[(t + 8) & 15] ^ ring[(t + 2) & 15] ^ ring[t & 15], 1)
    ring[t & 15] = word
    return word


cdef void absorb(uint32_t* state, const uint8_t* block) noexcept nogil:  # R0
    cdef uint32_t ring[16]
    cdef uint32_t v[5]
    cdef int t
    memcpy(v, state, sizeof(v))
    for t in range(16):
        ring[t] = read_word(block + 4 * t)
        turn(v, (v[1] & v[2]) | (~v[1] & v[3]), <uint32_t>0x5A827999, ring[t])
    for t in range(16, 20):
        turn(v, (v[1] & v[2]) | (~v[1] & v[3]), <uint32_t>0x5A827999, next_word(ring, t))
    for t in range(20, 40):
        turn(v, v[1] ^ v[2] ^ v[3], <uint32_t>0x6ED9EBA1, next_word(ring, t))
    for t in range(40, 60):
        turn(v, (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]), <uint32_t>0x8F1BBCDC, next_word(ring, t))
    for t in range(60, 80):
        turn(v, v[1] ^ v[2] ^ v[3], <uint32_t>0xCA62C1D6, next_word(ring, t))
    for t in range(5):
        state[t] += v[t]


cdef void sha1(const uint8_t* data, uint32_t size, uint8_t* out) noexcept nogil:  # R0
    """Write the 20 bytes of SHA-1 over `size` bytes."""
    cdef uint32_t[5] state = [<uint32_t>0x67452301, <uint32_t>0xEFCDAB89, <uint32_t>0x98BADCFE, <uint32_t>0x10325476,
                              <uint32_t>0xC3D2E1F0]
    cdef uint8_t last[2 * BLOCK]
    cdef uint32_t left = size
    cdef uint32_t padded, i
    while left >= BLOCK:
        absorb(state, data)
        data += BLOCK
        left -= BLOCK
    padded = BLOCK if left < BLOCK - 8 else 2 * BLOCK
    memset(last, 0, padded)
    memcpy(last, data, left)
    last[left] = 0x80
    write_word(last + padded - 8, <uint32_t>(<uint64_t>size >> 29))
    write_word(last + padded - 4, size << 3)
    absorb(state, last)
    if padded > BLOCK:
        absorb(state, last + BLOCK)
    for i in range(5):
        write_word(out + 4 * i, state[i])


def sha1_of(data: bytes) -> bytes:
    """The 20 bytes of SHA-1 over `data`, for tests; Python code has hashlib."""
    cdef uint8_t out[SHA1_SIZE]
    sha1(data, <uint32_t>len(data), out)
    return out[:SHA1_SIZE]
