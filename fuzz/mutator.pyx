"""Hostile datagrams from a seed. Rate class: packet.

Invariant: the same seed and corpus give the same inputs, and none is larger than MAX_INPUT. Most mutations know where
a bencoded string starts, so that type confusion, ragged lists and lying lengths reach the code behind the scanner.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memmove, memset, strlen

from fastdht._ext.hashing cimport Rng, fill_random, next_random, random_below, seed_rng

cdef enum:
    TOKENS = 46
    MUTATIONS = 12
    MAX_NEST = 600

cdef const char** tokens = [    # what crashed other decoders, and every type in the place of every other
    "2147483647:", "2147483648:", "4294967295:", "4294967296:", "9223372036854775807:", "18446744073709551616:",
    "99999999999999999999:", "00000000000000000001:a", "-1:", "00:", "0:", "1:", "65535:", "99999:", "100000:", ":",
    "i0e", "i-0e", "i00e", "ie", "i-e", "i-1e", "i9223372036854775807e", "i9223372036854775808e",
    "i-9223372036854775808e", "i-9223372036854775809e", "i99999999999999999999e", "i65536e", "i1", "i", "le", "de", "l",
    "d", "e", "lllllllllll", "d1:ad1:ad1:ad1:ad1:a", "1:y1:q", "1:y1:r", "1:y1:e", "1:t32:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "1:t33:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "6:valuesl", "5:nodes", "2:id20:", "5:token",
]
cdef const char* MEANINGFUL = "dlie0123456789:-"


cdef class Mutator:
    """Inputs made of `corpus`, a list of 1 to 1,024 messages of at most 8,192 bytes, by `seed`."""

    def __init__(self, corpus: list[bytes], seed: int):
        if not 0 < len(corpus) <= MAX_CORPUS or max(map(len, corpus)) > MAX_INPUT:
            raise ValueError(f"{len(corpus)} messages; 1 to {MAX_CORPUS} of at most {MAX_INPUT} bytes")
        self.corpus = list(corpus)
        seed_rng(&self.rng, seed)
        for message in self.corpus:
            self.bases[self.count] = <const uint8_t*><bytes>message
            self.sizes[self.count] = <uint32_t>len(message)
            self.count += 1

    cdef uint32_t next_input(self, uint8_t* out) noexcept nogil:
        cdef uint32_t kind = <uint32_t>random_below(&self.rng, 64)
        cdef uint32_t base, size
        if kind == 0:
            size = <uint32_t>random_below(&self.rng, 200)
            fill_random(&self.rng, out, size)
            return size
        if kind == 1:
            return nest(&self.rng, out)
        base = <uint32_t>random_below(&self.rng, self.count)
        size = self.sizes[base]
        memcpy(out, self.bases[base], size)
        return size if kind < 8 else self.damage(out, size)

    cdef uint32_t damage(self, uint8_t* data, uint32_t size) noexcept nogil:
        cdef uint32_t left = 1 + <uint32_t>random_below(&self.rng, 6) * <uint32_t>random_below(&self.rng, 2)
        while left:
            left -= 1
            size = self.mutate(data, size)
        return size

    cdef uint32_t mutate(self, uint8_t* data, uint32_t size) noexcept nogil:
        cdef Rng* rng = &self.rng
        cdef uint32_t kind = <uint32_t>random_below(rng, MUTATIONS)
        cdef uint32_t at, length, other
        cdef const char* token
        if size == 0:
            data[0] = c"d"
            return 1
        at = <uint32_t>random_below(rng, size)
        length = 1 + <uint32_t>random_below(rng, min(size - at, <uint32_t>64))
        if kind == 0:
            data[at] ^= <uint8_t>(1 << random_below(rng, 8))
        elif kind == 1:
            data[at] = MEANINGFUL[random_below(rng, 16)]
        elif kind == 2:
            token = tokens[random_below(rng, TOKENS)]
            return splice(data, size, at, 0, <const uint8_t*>token, <uint32_t>strlen(token))
        elif kind == 3:
            return splice(data, size, at, length, NULL, 0)
        elif kind == 4:                                     # a key twice, or a piece where it does not belong
            return repeat(rng, data, size, at, length)
        elif kind == 5:
            other = <uint32_t>random_below(rng, self.count)
            if self.sizes[other] == 0:
                return size
            length = 1 + <uint32_t>random_below(rng, self.sizes[other])
            return splice(data, size, at, 0, self.bases[other] + self.sizes[other] - length, length)
        elif kind == 6:
            return at if random_below(rng, 4) == 0 else size
        elif kind == 7:
            memset(data + at, MEANINGFUL[random_below(rng, 16)], length)
        else:
            return mutate_string(rng, data, size, at, kind)
        return size


cdef uint32_t nest(Rng* rng, uint8_t* out) noexcept nogil:
    """Deep lists or dictionaries, alone or inside a query, closed or not."""
    cdef uint32_t deep = <uint32_t>random_below(rng, MAX_NEST)
    cdef uint32_t size = 0
    cdef uint32_t i
    cdef bint is_dictionary = random_below(rng, 2)
    if random_below(rng, 2):
        memcpy(out, b"d1:a", 4)
        size = 4
    for i in range(deep):
        memcpy(out + size, b"d1:a" if is_dictionary else b"llll", 4)
        size += 4 if is_dictionary else 1
    if random_below(rng, 2):
        memset(out + size, c"e", deep)
        size += deep
    memcpy(out + size, b"1:t2:aa1:y1:qe", 14)
    return size + 14


cdef uint32_t splice(uint8_t* data, uint32_t size, uint32_t at, uint32_t removed, const uint8_t* piece,
                     uint32_t length) noexcept nogil:
    """Replace `removed` bytes by a piece from elsewhere; what would be too large stays as it is."""
    if size - removed + length > MAX_INPUT:
        return size
    memmove(data + at + length, data + at + removed, size - at - removed)
    if length:
        memcpy(data + at, piece, length)
    return size - removed + length


cdef uint32_t repeat(Rng* rng, uint8_t* data, uint32_t size, uint32_t at, uint32_t length) noexcept nogil:
    cdef uint8_t piece[64]
    memcpy(piece, data + at, length)
    return splice(data, size, <uint32_t>random_below(rng, size), 0, piece, length)


cdef uint32_t mutate_string(Rng* rng, uint8_t* data, uint32_t size, uint32_t at, uint32_t kind) noexcept nogil:
    """Change the first string from `at` on: its type, its length, both its length and content, or its content."""
    cdef uint32_t start, colon, length, changed, used
    cdef uint8_t fresh[700]
    cdef const char* token
    if not find_string(data, size, at, &start, &colon, &length):
        return size
    if kind == 8:
        token = tokens[random_below(rng, TOKENS)]
        return splice(data, size, start, colon + 1 + length - start, <const uint8_t*>token, <uint32_t>strlen(token))
    if kind == 9:
        token = tokens[random_below(rng, 16)]               # the first 16 are lengths
        return splice(data, size, start, colon + 1 - start, <const uint8_t*>token, <uint32_t>strlen(token))
    if kind == 10:
        changed = <uint32_t>random_below(rng, 640) if random_below(rng, 4) == 0 else (
            length + <uint32_t>random_below(rng, 5) - 2 if length >= 2 else length + 1)
        changed = min(changed, <uint32_t>640)
        used = <uint32_t>snprintf(<char*>fresh, 16, "%u:", changed)
        fill_random(rng, fresh + used, changed)
        return splice(data, size, start, colon + 1 + length - start, fresh, used + changed)
    fill_random(rng, data + colon + 1, length)
    return size


cdef bint find_string(const uint8_t* data, uint32_t size, uint32_t at, uint32_t* start, uint32_t* colon,
                      uint32_t* length) noexcept nogil:
    cdef uint32_t i, j
    cdef uint64_t value
    for i in range(at, size):
        if not 48 <= data[i] <= 57:
            continue
        value = 0
        j = i
        while j < size and j < i + 5 and 48 <= data[j] <= 57:
            value = value * 10 + (data[j] - 48)
            j += 1
        if j < size and data[j] == c":" and j + 1 + value <= size:
            start[0] = i
            colon[0] = j
            length[0] = <uint32_t>value
            return True
    return False
