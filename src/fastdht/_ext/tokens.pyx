"""Issues and checks write tokens without storing any. Rate class: packet; `rotate` is of class second.

A token is SipHash-2-4 of the asker's address and the target under a secret of ours. The port stays out (a NAT may
change it between get_peers and announce_peer); the target is in, so that one token cannot fill the store.
Rotated every 300 s, a token is valid for at least 300 and at most 600 s. Source: BEP 5, "get_peers".
"""
from libc.string cimport memcpy

from fastdht._ext.addresses cimport FAMILY_V4, load_compact, write_be32, write_be64
from fastdht._ext.hashing cimport load_key, siphash


cdef inline uint64_t hash_source(const HashKey* key, const Endpoint* source, const uint8_t* target) noexcept nogil:
    cdef uint8_t data[36]
    if source.family == FAMILY_V4:
        write_be32(data, <uint32_t>source.low)
        memcpy(data + 4, target, 20)
        return siphash(key, data, 24)
    write_be64(data, source.high)
    write_be64(data + 8, source.low)
    memcpy(data + 16, target, 20)
    return siphash(key, data, 36)


cdef class TokenIssuer:
    """Issues tokens under `secret` (32 bytes: the present key, then the previous one) from `now_us` on.

    Raises ValueError for a secret of another size.
    """

    def __cinit__(self, secret: bytes, now_us: int):
        cdef const uint8_t* bytes_of_secret = secret
        if len(secret) != 32:
            raise ValueError(f"secret is {len(secret)} bytes; 32 needed")
        load_key(&self.current, bytes_of_secret)
        load_key(&self.previous, bytes_of_secret + 16)
        self.rotated_us = now_us

    cdef void issue(self, const Endpoint* source, const uint8_t* target, uint8_t* out) noexcept nogil:  # R0
        cdef uint64_t token = hash_source(&self.current, source, target)
        memcpy(out, &token, TOKEN_SIZE)

    cdef bint accepts(self, const Endpoint* source, const uint8_t* target, const Span* token) noexcept nogil:  # R0
        cdef uint64_t given, wrong, wrong_before
        if token.size != TOKEN_SIZE:
            return False
        memcpy(&given, token.data, TOKEN_SIZE)
        # Whole words, both secrets, one decision at the end: the time taken tells nothing of the right token.
        wrong = given ^ hash_source(&self.current, source, target)
        wrong_before = given ^ hash_source(&self.previous, source, target)
        return (wrong == 0) | (wrong_before == 0)

    def rotate(self, secret: bytes, now_us: int) -> None:
        """Issue under a new 16-byte secret; the present one stays valid until the next call.

        To be called every `rotation_us` microseconds. Raises ValueError for a secret of another size.
        """
        if len(secret) != 16:
            raise ValueError(f"secret is {len(secret)} bytes; 16 needed")
        self.previous = self.current
        load_key(&self.current, secret)
        self.rotated_us = now_us

    @property
    def rotation_us(self) -> int:
        """Microseconds between rotations: 300 s (BEP 5)."""
        return ROTATION_US

    def issue_to(self, packed: bytes, target: bytes) -> bytes:
        """The 8-byte token for a compact endpoint (its port is ignored) and a 20-byte target."""
        cdef Endpoint endpoint
        cdef uint8_t out[TOKEN_SIZE]
        load_compact(packed, &endpoint)
        check_target(target)
        self.issue(&endpoint, target, out)
        return out[:TOKEN_SIZE]

    def accepts_from(self, packed: bytes, target: bytes, token: bytes) -> bool:
        """Whether `token` permits this compact endpoint to write under a 20-byte target."""
        cdef Endpoint endpoint
        cdef Span span
        load_compact(packed, &endpoint)
        check_target(target)
        span.data = token
        span.size = <uint32_t>len(token)
        return self.accepts(&endpoint, target, &span)


cdef int check_target(bytes target) except -1:
    if len(target) != 20:
        raise ValueError(f"target is {len(target)} bytes; 20 needed")
    return 0
