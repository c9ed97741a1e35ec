"""The slow twin of TokenIssuer: SipHash-2-4 in plain Python and a list of secrets."""
from __future__ import annotations

MASK = (1 << 64) - 1


def rotate_left(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (64 - bits))) & MASK


def siphash24(key: bytes, data: bytes) -> int:
    """SipHash-2-4 as in the paper of Aumasson and Bernstein (2012), section 2."""
    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    a, b, c, d = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rounds(count: int) -> None:
        nonlocal a, b, c, d
        for _ in range(count):
            a, c = (a + b) & MASK, (c + d) & MASK
            b, d = rotate_left(b, 13) ^ a, rotate_left(d, 16) ^ c
            a = rotate_left(a, 32)
            c, a = (c + b) & MASK, (a + d) & MASK
            b, d = rotate_left(b, 17) ^ c, rotate_left(d, 21) ^ a
            c = rotate_left(c, 32)

    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i : i + 8], "little")
        d ^= word
        rounds(2)
        a ^= word
    c ^= 0xFF
    rounds(4)
    return a ^ b ^ c ^ d


class SlowTokens:
    def __init__(self, secret: bytes) -> None:
        self.secrets = [secret[:16], secret[16:]]

    def rotate(self, secret: bytes) -> None:
        self.secrets = [secret, self.secrets[0]]

    def issue(self, packed: bytes, target: bytes) -> bytes:
        return self.tokens(packed, target)[0]

    def accepts(self, packed: bytes, target: bytes, token: bytes) -> bool:
        return token in self.tokens(packed, target)

    def tokens(self, packed: bytes, target: bytes) -> list[bytes]:
        return [siphash24(secret, packed[:-2] + target).to_bytes(8, "little") for secret in self.secrets]
