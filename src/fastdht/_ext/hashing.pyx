"""SipHash-2-4 and the seeding of generators. Rate class: packet.

Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012); D. Blackman, S. Vigna,
"Scrambled linear pseudorandom number generators" (2018) for xoshiro256** and its splitmix64 seeding.
"""
from libc.string cimport memcpy


cdef void seed_rng(Rng* rng, uint64_t seed) noexcept nogil:  # R0
    cdef int i
    cdef uint64_t z
    for i in range(4):
        seed += <uint64_t>0x9E3779B97F4A7C15
        z = seed
        z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
        rng.state[i] = z ^ (z >> 31)


cdef void load_key(HashKey* key, const uint8_t* secret16) noexcept nogil:  # R0
    memcpy(&key.k0, secret16, 8)
    memcpy(&key.k1, secret16 + 8, 8)


cdef void fill_random(Rng* rng, uint8_t* out, uint32_t size) noexcept nogil:  # R0
    cdef uint64_t word
    while size >= 8:
        word = next_random(rng)
        memcpy(out, &word, 8)
        out += 8
        size -= 8
    if size:
        word = next_random(rng)
        memcpy(out, &word, size)


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[1] = rotate_left(v[1], 13) ^ v[0]
    v[0] = rotate_left(v[0], 32)
    v[2] += v[3]
    v[3] = rotate_left(v[3], 16) ^ v[2]
    v[0] += v[3]
    v[3] = rotate_left(v[3], 21) ^ v[0]
    v[2] += v[1]
    v[1] = rotate_left(v[1], 17) ^ v[2]
    v[2] = rotate_left(v[2], 32)


cdef uint64_t siphash(const HashKey* key, const uint8_t* data, uint32_t size) noexcept nogil:  # R0
    """SipHash-2-4 of `size` bytes. Words are read in host order; the vectors hold on little-endian machines."""
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef uint32_t left = size
    v[0] = key.k0 ^ <uint64_t>0x736F6D6570736575
    v[1] = key.k1 ^ <uint64_t>0x646F72616E646F6D
    v[2] = key.k0 ^ <uint64_t>0x6C7967656E657261
    v[3] = key.k1 ^ <uint64_t>0x7465646279746573
    while left >= 8:
        memcpy(&word, data, 8)
        v[3] ^= word
        sip_round(v)
        sip_round(v)
        v[0] ^= word
        data += 8
        left -= 8
    word = 0
    memcpy(&word, data, left)
    word |= (<uint64_t>(size & 0xFF)) << 56
    v[3] ^= word
    sip_round(v)
    sip_round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def siphash24(key: bytes, data: bytes) -> int:
    """SipHash-2-4 of `data` under a 16-byte `key`, for tests and tools; raises ValueError for another key size."""
    cdef HashKey loaded
    if len(key) != 16:
        raise ValueError(f"key is {len(key)} bytes; SipHash needs 16")
    load_key(&loaded, key)
    return siphash(&loaded, data, <uint32_t>len(data))
