"""Randomness and keyed hashes for compiled code. Rate class: packet.

Nothing here reads a clock or the system's entropy: every generator and key is seeded by the caller, so that a
simulation repeats itself exactly.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef struct Rng:            # xoshiro256**; for choices, never for secrets
    uint64_t state[4]


cdef struct HashKey:        # 128 secret bits
    uint64_t k0
    uint64_t k1


cdef void seed_rng(Rng* rng, uint64_t seed) noexcept nogil
cdef void load_key(HashKey* key, const uint8_t* secret16) noexcept nogil
cdef uint64_t siphash(const HashKey* key, const uint8_t* data, uint32_t size) noexcept nogil
cdef void fill_random(Rng* rng, uint8_t* out, uint32_t size) noexcept nogil


cdef inline uint64_t rotate_left(uint64_t x, int bits) noexcept nogil:
    return (x << bits) | (x >> (64 - bits))


cdef inline uint64_t next_random(Rng* rng) noexcept nogil:
    cdef uint64_t* s = rng.state
    cdef uint64_t result = rotate_left(s[1] * 5, 7) * 9
    cdef uint64_t t = s[1] << 17
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = rotate_left(s[3], 45)
    return result


cdef inline uint64_t random_below(Rng* rng, uint64_t bound) noexcept nogil:
    """Uniform in 0 … bound-1 but for a bias under bound/2^32; bound must be in 1 … 2^32."""
    return ((next_random(rng) >> 32) * bound) >> 32


cdef inline uint64_t mix_words(const HashKey* key, uint64_t a, uint64_t b) noexcept nogil:
    """Keyed hash of two words for our own tables: cheap, and unpredictable without the key."""
    cdef uint64_t h = (a ^ key.k0) * <uint64_t>0x9E3779B97F4A7C15
    h ^= h >> 32
    h = (h ^ b ^ key.k1) * <uint64_t>0xD6E8FEB86659FD93
    h ^= h >> 32
    h *= <uint64_t>0xD6E8FEB86659FD93
    return h ^ (h >> 32)
