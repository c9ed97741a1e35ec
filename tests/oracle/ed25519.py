"""Ed25519's group in affine coordinates and plain integers, and ref10's digits of a scalar. Source: RFC 8032 §5.1."""
from __future__ import annotations

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202,
        46316835694926478169428394003475163141307993866256225615783033603165251855960)


def add(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    (x1, y1), (x2, y2) = first, second
    product = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P)


def multiply(scalar: int, point: tuple[int, int] = BASE) -> tuple[int, int]:
    total = (0, 1)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def encode(point: tuple[int, int]) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def ref10_digits(scalar: bytes) -> list[int]:
    """64 digits of base 16, each made -8 … 7 by a carry into the next, the last left as it comes out."""
    digits = [half for byte in scalar for half in (byte & 15, byte >> 4)]
    carry = 0
    for at in range(63):
        digits[at] += carry
        carry = (digits[at] + 8) >> 4
        digits[at] -= carry << 4
    digits[63] += carry
    return digits
