"""Messages, ids and contacts for tests, each from a few words. Rate class: command.

All of it is a pure function of its arguments. Endpoints look public to the address filter and stand in a /24 (IPv6:
a /48) of their own, so that no subnet limit bites a test that is not about it.
"""
from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from random import Random

from fastdht._ext import ids, krpc
from fastdht.types import Contact, Endpoint, InfoHash, NodeId

FIRST_OCTET = 11                # 10/8 is private; the 65,536 subnets of 11/8 come first
SUBNETS_PER_OCTET = 65_536
MAX_NUMBER = 89 * SUBNETS_PER_OCTET     # up to 99/8: 100.64/10 is carrier NAT
SPREAD = 40_503                 # odd, near 65,536 / golden ratio: neighbours land far apart, and none twice


def node_id(seed: int) -> NodeId:
    """A uniformly random id."""
    return NodeId(ids.random_id(seed))


def info_hash(seed: int) -> InfoHash:
    """A uniformly random infohash."""
    return InfoHash(ids.random_id(seed))


def id_sharing(target: bytes, bits: int, seed: int) -> NodeId:
    """A random id that shares exactly `bits` leading bits with `target`. Raises ValueError unless 0 <= bits <= 159."""
    if not 0 <= bits <= 159:
        raise ValueError(f"ids that differ share 0 to 159 bits, not {bits}")
    low = 159 - bits            # bits below the first that differs
    number = (int.from_bytes(target, "big") >> low ^ 1) << low | Random(seed).getrandbits(160) & ((1 << low) - 1)
    return NodeId(number.to_bytes(20, "big"))


def endpoint(number: int, port: int = 6881, *, is_ipv6: bool = False) -> Endpoint:
    """The endpoint of that number. Raises ValueError unless 0 <= number < 5,832,704."""
    if not 0 <= number < MAX_NUMBER:
        raise ValueError(f"endpoint number {number}; 0 to {MAX_NUMBER - 1}")
    octet, index = divmod(number, SUBNETS_PER_OCTET)
    subnet = index * SPREAD % SUBNETS_PER_OCTET
    if is_ipv6:
        return Endpoint(str(ipaddress.ip_address(f"2a{octet:02x}:{subnet:x}::1")), port)
    return Endpoint(f"{FIRST_OCTET + octet}.{subnet >> 8}.{subnet & 255}.{1 + number * 7 % 254}", port)


def contact(number: int, seed: int = 0, *, port: int = 6881, is_ipv6: bool = False) -> Contact:
    """A contact at `endpoint(number)` with an id that BEP 42 accepts there."""
    place = endpoint(number, port, is_ipv6=is_ipv6)
    return Contact(NodeId(ids.secure_id(place.pack(), (seed << 24 | number) % 2**64)), place)


def contacts(count: int, seed: int = 0, *, first: int = 0, is_ipv6: bool = False) -> list[Contact]:
    """Contacts numbered from `first`."""
    return [contact(number, seed, is_ipv6=is_ipv6) for number in range(first, first + count)]


def closest(population: Iterable[Contact], target: bytes, count: int = 8) -> list[Contact]:
    """The `count` contacts nearest to a target, nearest first: the plain definition, for expectations."""
    number = int.from_bytes(target, "big")
    return sorted(population, key=lambda found: int.from_bytes(found.id, "big") ^ number)[:count]


def pack_nodes(named: Iterable[Contact]) -> bytes:
    """The compact nodes of BEP 5 (26 bytes each) or BEP 32 (38 bytes each)."""
    return b"".join(found.id + found.endpoint.pack() for found in named)


def unpack_nodes(packed: bytes, *, is_ipv6: bool = False) -> list[Contact]:
    """Contacts from compact nodes. Raises DecodeError for a part of one."""
    size = 38 if is_ipv6 else 26
    records = (packed[at:at + size] for at in range(0, len(packed), size))
    return [Contact(NodeId(record[:20]), Endpoint.unpack(record[20:])) for record in records]


def query(method: str, sender: bytes, *, tid: int = 0x61616161, target: bytes | None = None, token: bytes | None = None,
          port: int = 0, implied_port: bool = False, read_only: bool = False, want: int = 0) -> bytes:
    """A query of BEP 5 from the node `sender`; `target` is the infohash where the method has one."""
    return krpc.build_query(method, id=bytes(sender), tid=tid, target=None if target is None else bytes(target),
                            token=token, port=port, implied_port=implied_port, read_only=read_only, want=want)


def reply(sender: bytes, tid: bytes, *, nodes: Iterable[Contact] | None = None, token: bytes | None = None,
          values: Iterable[Endpoint] | None = None, external: Endpoint | None = None) -> bytes:
    """A response of BEP 5 from the node `sender`; `external` is the asker as BEP 42 has it told."""
    named = list(nodes or ())
    is_ipv6 = bool(named) and named[0].endpoint.is_ipv6
    packed = None if nodes is None else pack_nodes(named)
    return krpc.build_reply(id=bytes(sender), tid=tid, token=token,
                            values=None if values is None else [peer.pack() for peer in values],
                            external=None if external is None else external.pack(),
                            nodes=None if is_ipv6 else packed, nodes6=packed if is_ipv6 else None)


def error(tid: bytes, code: int = 201, text: str = "Generic Error") -> bytes:
    """An error of BEP 5."""
    return krpc.build_error(tid, code, text)
