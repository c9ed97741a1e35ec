"""Types of command-line arguments: each says what is wrong, the value, and the limit. Rate class: command.

A value that passes here needs no second check; names of hosts are kept as they are, for the caller to resolve.
"""
from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from fastdht.errors import DecodeError
from fastdht.types import Endpoint, InfoHash, NodeId

MAX_SEQ = 2**63 - 1         # of a mutable item (BEP 44)
KEY_SIZE = 32               # bytes of a public key (BEP 44)
MAX_ZONE_BITS = 32          # a finer zone holds no node: 2³² of them outnumber any network
MAX_DURATION = 3600.0       # seconds that a query may take at most
MAX_RATE = 10_000_000.0     # packets per second; beyond what one socket can do, so certainly a mistake
BOOTSTRAP_WORDS = {"public": "public", "saved": "saved", "none": "none", "no": "none"}
CLOSEST_STORES, CLOSEST_PEERS = "closest-stores", "closest-peers"
REMOTE_WORDS = {CLOSEST_STORES: CLOSEST_STORES, CLOSEST_PEERS: CLOSEST_PEERS,
                "closest_store": CLOSEST_STORES, "closest_stores": CLOSEST_STORES, "closest_peers": CLOSEST_PEERS}
SELF = "self"               # as a target: the node's own id

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_DURATION = re.compile(rf"{_NUMBER}|(?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h|d))+")
_DURATION_PART = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h|d)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)?")
_ZONE = re.compile(r"([0-9A-Fa-f]{1,40})/([0-9]{1,3})")
_SECONDS = {"": 1.0, "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0,
            "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Zone(NamedTuple):
    """A prefix of the key space: the first `bits` bits of `prefix` (20 bytes, the rest zero)."""

    prefix: bytes
    bits: int

    def __str__(self) -> str:
        return f"{self.prefix.hex()[: max(1, (self.bits + 3) // 4)]}/{self.bits}"


class HostPort(NamedTuple):
    """An entry host that may still be a name."""

    host: str
    port: int


class Checked(click.ParamType):  # type: ignore[type-arg]     # generic only since click 8.3
    """A parameter whose parser raises ValueError (or DecodeError) with the whole message."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):      # a default that is a value already
            return value
        try:
            return self._parse(value.strip())
        except (DecodeError, ValueError) as error:
            self.fail(str(error), param, ctx)

    def __repr__(self) -> str:
        return self.name.upper()


def parse_listen(text: str) -> Endpoint:
    """Like an endpoint, but port 0 asks the system for a free one, and without a host every interface is meant."""
    if text.startswith(":"):
        text = f"0.0.0.0{text}"
    if not text.endswith(":0"):
        return Endpoint.parse(text)
    try:
        return Endpoint(Endpoint.parse(f"{text[:-2]}:1").ip, 0)
    except DecodeError as error:
        raise DecodeError(str(error).replace(f"{text[:-2]}:1", text)) from None


def parse_endpoints(text: str) -> tuple[Endpoint, ...]:
    return tuple(Endpoint.parse(part) for part in split_list(text))


def parse_host_port(text: str) -> HostPort:
    host, _, port = text.rpartition(":")
    if _HOST_NAME.fullmatch(host) and any(letter.isalpha() for letter in host):
        if port.isascii() and port.isdigit() and 1 <= int(port) <= 65535:
            return HostPort(host, int(port))
        raise ValueError(f"{text!r}: a port of 1 to 65535 must follow the last colon")
    return HostPort(*Endpoint.parse(text))


def parse_bootstrap(text: str) -> str | tuple[HostPort, ...]:
    if text in BOOTSTRAP_WORDS:
        return BOOTSTRAP_WORDS[text]
    return tuple(parse_host_port(part) for part in split_list(text))


def parse_remote(text: str) -> str | tuple[HostPort, ...]:
    if text in REMOTE_WORDS:
        return REMOTE_WORDS[text]
    return tuple(parse_host_port(part) for part in split_list(text))


def parse_target(text: str) -> NodeId | str:
    return SELF if text == SELF else NodeId.parse(text)


def parse_public_ip(text: str) -> str:
    """The address of `IP` or `IP:PORT`."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return Endpoint.parse(text).ip


def parse_seq(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_SEQ:
        raise ValueError(f"{text!r} is no sequence number; 0 to 2^63 - 1 (BEP 44)")
    return int(text)


def parse_public_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"public key {text!r} is not hexadecimal; 64 digits needed") from None
    if len(key) != KEY_SIZE:
        raise ValueError(f"public key {text!r} has {len(text)} digits; {2 * KEY_SIZE} needed")
    return key


def parse_http(text: str) -> Endpoint:
    """Where to serve HTTP: `:PORT` is the loopback interface, for metrics tell what a node does."""
    return parse_listen(f"127.0.0.1{text}" if text.startswith(":") else text)


def split_list(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"{text!r} has an empty entry; write HOST:PORT,HOST:PORT")
    return parts


def parse_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a CIDR range such as 127.0.0.0/8: {error}") from None


def parse_zone(text: str) -> Zone:
    match = _ZONE.fullmatch(text)
    if match is None:
        raise ValueError(f"zone {text!r}: HEX/BITS needed, as in a4/6")
    digits, bits = match[1], int(match[2])
    if bits > MAX_ZONE_BITS:
        raise ValueError(f"zone {text!r} has {bits} bits; at most {MAX_ZONE_BITS}")
    if bits > 4 * len(digits):
        needed = (bits + 3) // 4
        raise ValueError(f"zone {text!r} has {bits} bits but only {len(digits)} hexadecimal digits; {needed} needed")
    value = int(digits.ljust(40, "0"), 16)
    if value & ((1 << (160 - bits)) - 1):
        raise ValueError(f"zone {text!r} has digits set beyond its {bits} bits")
    return Zone(value.to_bytes(20, "big"), bits)


def parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise ValueError(f"rate {text!r} is not a number of packets per second") from None
    if not 0 < rate <= MAX_RATE:        # also refuses nan
        raise ValueError(f"rate is {text}; more than 0 and at most {MAX_RATE:,.0f} packets per second")
    return rate


def parse_duration(text: str) -> float:
    """Seconds of `1.5s`, `1m30s` as Go writes it, or a plain number."""
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"duration {text!r}: a number with ms, s, m, h or d needed, as in 1.5s or 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_positive_duration(text: str) -> float:
    duration = parse_duration(text)
    if not 0 < duration <= MAX_DURATION:
        raise ValueError(f"duration {text!r}: more than 0 and at most {MAX_DURATION:g} s needed")
    return duration


def parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"size {text!r}: a number with B, KiB, MiB or GiB needed, as in 16MiB")
    return int(float(match[1]) * _BYTES[match[2] or "B"])


ENDPOINT = Checked("host:port", Endpoint.parse)             # → Endpoint; an IP address, no name
LISTEN = Checked("host:port", parse_listen)                 # → Endpoint; port 0 allowed
ENDPOINTS = Checked("host:port,…", parse_endpoints)         # → tuple[Endpoint, …]; for multiple=True use `flatten`
BOOTSTRAP = Checked("public|none|saved|host:port,…", parse_bootstrap)   # → one of the words, or tuple[HostPort, …]
REMOTE = Checked("host:port,…|closest-stores|closest-peers", parse_remote)  # → a word or tuple[HostPort, …]
TARGET = Checked("hex40|self", parse_target)                # → NodeId or "self"
PUBLIC_IP = Checked("ip[:port]", parse_public_ip)           # → str, the address
PUBLIC_KEY = Checked("hex64", parse_public_key)             # → bytes, 32
SEQ = Checked("n", parse_seq)                               # → int, 0 to 2^63 - 1
HTTP = Checked("[ip]:port", parse_http)                     # → Endpoint; port 0 allowed
NODE_ID = Checked("hex40", NodeId.parse)                    # → NodeId
INFO_HASH = Checked("hex40", InfoHash.parse)                # → InfoHash
NETWORK = Checked("cidr", parse_network)                    # → str, normalised
ZONE = Checked("hex/bits", parse_zone)                      # → Zone
RATE = Checked("per second", parse_rate)                    # → float > 0
DURATION = Checked("duration", parse_duration)              # → float, seconds
TIMEOUT = Checked("duration", parse_positive_duration)      # → float, seconds, more than 0
SIZE = Checked("size", parse_size)                          # → int, bytes


def flatten(lists: tuple[tuple[Endpoint, ...], ...]) -> tuple[Endpoint, ...]:
    """One tuple from a repeated ENDPOINTS option."""
    return tuple(endpoint for part in lists for endpoint in part)
