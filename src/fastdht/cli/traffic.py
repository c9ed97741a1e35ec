"""What -v and -vv write to stderr: what is done, and one line per datagram. Rate class: command.

    send quy 127.0.0.1:9090           tx:00a1f3c2 id:"5fbf...9a01" q:put             value:"Hell...rld!" token:1fe2...
    recv res 127.0.0.1:9090           tx:00a1f3c2 id:"77ff...e548" nodes:8 values:0 token:1fe2...03aa
"""
from __future__ import annotations

import ipaddress
import logging
import sys
from typing import Any

from fastdht import bencode
from fastdht.cli import clean
from fastdht.errors import DecodeError
from fastdht.types import Endpoint

log = logging.getLogger("fastdht.traffic")

KEPT = 4                    # characters shown at either end of a long value
MAX_DOTS = 3
NODE_SIZES = {b"nodes": 26, b"nodes6": 38}


def set_up_logging(verbose: int) -> None:
    """Warnings to stderr; -v: what is done; -vv: datagrams too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if verbose else "fastdht: %(message)s",
                                           datefmt="%Y/%m/%d %H:%M:%S"))
    root = logging.getLogger("fastdht")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose else logging.WARNING)
    log.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)


def log_datagram(is_sent: bool, data: bytes, remote: bytes) -> None:
    log.debug("%s %s", "send" if is_sent else "recv", describe(data, Endpoint.unpack(remote)))


def describe(data: bytes, remote: Endpoint) -> str:
    """One datagram in one line; never raises, whatever it holds."""
    return clean(read(data, remote))


def read(data: bytes, remote: Endpoint) -> str:
    try:
        message = bencode.decode(data, strict=False)
    except DecodeError as error:
        return f"??? {remote!s:24} {len(data)} bytes: {error}"
    if not isinstance(message, dict):
        return f"??? {remote!s:24} {len(data)} bytes: no dictionary"
    kind = message.get(b"y")
    parts = [{b"q": "quy", b"r": "res", b"e": "err"}.get(kind if isinstance(kind, bytes) else b"", "???"),
             f"{remote!s:24}", f"tx:{text_of(message.get(b't'))}"]
    if kind == b"q":
        parts += describe_query(message)
    elif kind == b"r":
        parts += describe_reply(message.get(b"r"))
    elif kind == b"e":
        parts += describe_error(message.get(b"e"))
    return " ".join(parts + describe_envelope(message))


def describe_query(message: dict[bytes, Any]) -> list[str]:
    arguments = message.get(b"a")
    if not isinstance(arguments, dict):
        return ["no arguments"]
    method = message.get(b"q")
    name = method.decode("ascii", "replace") if isinstance(method, bytes) else repr(method)
    parts = [f'id:"{short(arguments.get(b"id"))}"', f"q:{name:15}"]
    for key, label in ((b"target", "target"), (b"info_hash", "info_hash"), (b"v", "value"), (b"token", "token"),
                       (b"port", "port"), (b"salt", "salt"), (b"seq", "seq"), (b"cas", "cas"), (b"k", "k"),
                       (b"sig", "sig"), (b"want", "want"), (b"scrape", "scrape"), (b"noseed", "noseed")):
        if key in arguments:
            parts.append(show(label, arguments[key]))
    if b"port" in arguments:
        implied = arguments.get(b"implied_port")
        parts.append(f"implied {'true' if implied not in (None, 0) else 'false'}")
    return parts


def describe_reply(results: Any) -> list[str]:
    if not isinstance(results, dict):
        return ["no results"]
    parts = [f'id:"{short(results.get(b"id"))}"']
    for key, size in NODE_SIZES.items():
        nodes = results.get(key)
        if isinstance(nodes, bytes):
            parts.append(f"{key.decode()}:{len(nodes) // size}")
    values = results.get(b"values")
    if isinstance(values, list):
        parts.append(f"values:{len(values)}")
    for key, label in ((b"token", "token"), (b"seq", "seq"), (b"v", "v"), (b"k", "k"), (b"sig", "sig"),
                       (b"num", "num"), (b"interval", "interval"), (b"samples", "samples"), (b"BFsd", "BFsd"),
                       (b"BFpe", "BFpe")):
        if key in results:
            parts.append(show(label, results[key]))
    return parts


def describe_error(error: Any) -> list[str]:
    if isinstance(error, list) and len(error) >= 2:
        text = error[1].decode("utf-8", "replace") if isinstance(error[1], bytes) else error[1]
        return [f"code:{error[0]}", f'msg:"{text}"']
    return [f"malformed error {error!r}"]


def describe_envelope(message: dict[bytes, Any]) -> list[str]:
    """What stands beside the query or answer: read-only (BEP 43), our address (BEP 42), the client."""
    parts = []
    if message.get(b"ro"):
        parts.append("ro")
    external = message.get(b"ip")
    if isinstance(external, bytes) and len(external) in (6, 18):
        parts.append(f"ip:{ipaddress.ip_address(external[:-2])}:{int.from_bytes(external[-2:], 'big')}")
    version = message.get(b"v")
    if isinstance(version, bytes):
        parts.append(f"v:{text_of(version)}")
    return parts


def show(label: str, value: Any) -> str:
    if label in ("value", "v"):
        return f'{label}:"{short_text(value)}"'
    return f"{label}:{short(value)}" if isinstance(value, bytes) else f"{label} {value}"


def short_text(value: Any) -> str:
    """A value as text where it is some, else as `short`."""
    if isinstance(value, bytes) and value.isascii() and value.decode("ascii").isprintable():
        return cut(value.decode("ascii"))
    return short(value if isinstance(value, bytes) else bencode.encode(value))


def short(value: Any) -> str:
    return cut(text_of(value))


def text_of(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def cut(text: str) -> str:
    """The first four and the last four characters, up to three dots between them."""
    rest = len(text) - 2 * KEPT
    return text if rest <= 0 else text[:KEPT] + "." * min(MAX_DOTS, rest) + text[-KEPT:]
