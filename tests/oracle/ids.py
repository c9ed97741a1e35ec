"""Ids the slow and obvious way: distance by big integers, CRC32C bit by bit, BEP 42 as its text says it."""
from __future__ import annotations

MASK_V4 = bytes.fromhex("030f3fff")             # BEP 42
MASK_V6 = bytes.fromhex("0103070f1f3f7fff")


def distance(a: bytes, b: bytes) -> int:
    return int.from_bytes(a, "big") ^ int.from_bytes(b, "big")


def shared_prefix(a: bytes, b: bytes) -> int:
    return 160 - distance(a, b).bit_length()


def crc32c(data: bytes) -> int:
    """RFC 3720: reflected polynomial 0x82F63B78, all ones before and after."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def secure_prefix(ip: bytes, last_byte: int) -> int:
    """The CRC whose first 21 bits an id at this address must start with, when it ends in `last_byte`."""
    mask = MASK_V4 if len(ip) == 4 else MASK_V6
    masked = bytearray(a & b for a, b in zip(ip, mask, strict=False))
    masked[0] |= (last_byte & 7) << 5
    return crc32c(bytes(masked))


def is_secure(node_id: bytes, ip: bytes) -> bool:
    return int.from_bytes(node_id[:4], "big") >> 11 == secure_prefix(ip, node_id[19]) >> 11
