"""Network address translators in front of simulated nodes. Rate class: command (tests).

Mapping and filtering as RFC 4787 names them, in the four classic kinds of RFC 3489. A mapping lives `lifetime_us`
after the last datagram sent through it (RFC 4787 REQ-5 asks for two minutes; home routers do less).
"""
from __future__ import annotations

import enum

DEFAULT_LIFETIME_S = 60.0
FIRST_PORT = 20_000
LAST_PORT = 65_535


class NatKind(enum.Enum):
    """Who may send back through a mapping, and whether each target gets a mapping of its own."""

    FULL_CONE = "full cone"
    RESTRICTED = "restricted"               # addresses we sent to
    PORT_RESTRICTED = "port restricted"     # endpoints we sent to
    SYMMETRIC = "symmetric"                 # as above, and a new external port for each target


class _Mapping:
    __slots__ = ("internal", "key", "permitted", "used_us")

    def __init__(self, key: bytes, internal: bytes) -> None:
        self.key = key
        self.internal = internal
        self.permitted: dict[bytes, int] = {}   # whom we sent to, and when last; ends with the mapping
        self.used_us = 0


class Nat:
    """One translator with one external address. Endpoints are compact: 6 or 18 bytes."""

    def __init__(self, kind: NatKind, external_ip: bytes, lifetime_s: float = DEFAULT_LIFETIME_S) -> None:
        self.kind = kind
        self.external_ip = external_ip
        self.lifetime_us = round(lifetime_s * 1e6)
        self._by_key: dict[bytes, bytes] = {}           # internal endpoint (+ target) → external endpoint
        self._by_external: dict[bytes, _Mapping] = {}
        self._next_port = FIRST_PORT

    def outbound(self, internal: bytes, target: bytes, now_us: int) -> bytes:
        """The external endpoint that a datagram from `internal` to `target` leaves with."""
        key = internal + target if self.kind is NatKind.SYMMETRIC else internal
        external = self._by_key.get(key)
        if external is None or now_us - self._by_external[external].used_us > self.lifetime_us:
            external = self._open(key, internal, external)
        mapping = self._by_external[external]
        mapping.used_us = now_us
        mapping.permitted[target] = now_us
        if self.kind is NatKind.RESTRICTED:
            mapping.permitted[target[:-2]] = now_us
        return external

    def inbound(self, external: bytes, source: bytes, now_us: int) -> bytes | None:
        """The internal endpoint that a datagram from `source` reaches; None when it is filtered."""
        mapping = self._by_external.get(external)
        if mapping is None or now_us - mapping.used_us > self.lifetime_us:
            return None
        if self.kind is NatKind.FULL_CONE:
            return mapping.internal
        key = source[:-2] if self.kind is NatKind.RESTRICTED else source
        last_us = mapping.permitted.get(key)
        return None if last_us is None or now_us - last_us > self.lifetime_us else mapping.internal

    def rebind(self) -> None:
        """Forget every mapping, as a reboot does: all get new external ports."""
        self._by_key.clear()
        self._by_external.clear()

    def _open(self, key: bytes, internal: bytes, expired: bytes | None) -> bytes:
        if expired is not None:
            del self._by_external[expired]
        external = self.external_ip + self._next_port.to_bytes(2, "big")
        self._next_port = self._next_port + 1 if self._next_port < LAST_PORT else FIRST_PORT
        evicted = self._by_external.pop(external, None)     # ports go round: the oldest mapping gives way
        if evicted is not None:
            del self._by_key[evicted.key]
        self._by_key[key] = external
        self._by_external[external] = _Mapping(key, internal)
        return external
