"""The checks of `fastdht conform` as a table: a question, and what its answer must satisfy. Rate class: command.

Rows run in order; some need what earlier ones have stored. Source: the BEP and clause of each row.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastdht import bencode
from fastdht.cli.conform_judges import (
    ERROR_CAS, ERROR_METHOD, ERROR_OLD, ERROR_PROTOCOL, ERROR_SALT, ERROR_SIGNATURE, ERROR_TOO_LARGE, PORT, Bench,
    Check, errs, has_filters, has_id, has_no_value, has_nodes, has_nodes6, has_nodes_or_values, has_samples, has_token,
    holds, holds_value, is_canonical, is_error_list, is_response, names_source_port, names_us, tells_our_address)
from fastdht.cli.probe import Reply
from fastdht.items import make_item

Question = Callable[[Bench], Awaitable[Reply | None]]
FIRST, SECOND = b"first", b"second"     # values of the mutable item, at seq 1 and 2


def asks(method: bytes, **arguments: Any) -> Question:
    return lambda bench: bench.ask(method, {name.encode(): value for name, value in arguments.items()})


def asks_target(method: bytes, name: bytes, **arguments: Any) -> Question:
    """A query about the bench's own infohash."""
    more = {key.encode(): value for key, value in arguments.items()}
    return lambda bench: bench.ask(method, {name: bench.target} | more)


def asks_with_tid(tid: bytes) -> Question:
    return lambda bench: bench.ask(b"ping", tid=tid)


def asks_with_extra(method: bytes, **extra: Any) -> Question:
    return lambda bench: bench.ask(method, extra={name.encode(): value for name, value in extra.items()})


async def asks_without_id(bench: Bench) -> Reply | None:
    tid = bench.probe.new_tid()
    return await bench.probe.send(bench.remote, bencode.encode({b"a": {}, b"q": b"ping", b"t": tid, b"y": b"q"}), tid)


async def sends_nonsense_then_pings(bench: Bench) -> Reply | None:
    for nonsense in (b"d", b"le", b"d1:ad2:id20:" + bytes(20), b"d1:a" + b"l" * 200, b"\xff" * 64):
        bench.probe.throw(bench.remote, nonsense)
    return await bench.ask(b"ping")


def announces(**arguments: Any) -> Question:
    async def announce(bench: Bench) -> Reply | None:
        token = await bench.token(b"get_peers", b"info_hash", bench.target)
        return await bench.ask(b"announce_peer", {b"info_hash": bench.target, b"port": PORT, b"token": token}
                               | {name.encode(): value for name, value in arguments.items()})

    return announce


async def announces_elsewhere(bench: Bench) -> Reply | None:
    """With a token of another kind than the node gives."""
    return await bench.ask(b"announce_peer", {b"info_hash": bench.target, b"port": PORT, b"token": b"no such token"})


async def puts_value(bench: Bench) -> Reply | None:
    return await bench.put(make_item(bench.value))


async def gets_value(bench: Bench) -> Reply | None:
    return await bench.ask(b"get", {b"target": bytes(make_item(bench.value).target)})


async def puts_with_bad_token(bench: Bench) -> Reply | None:
    return await bench.put(make_item(bench.value), b"no such token")


async def puts_too_much(bench: Bench) -> Reply | None:
    return await bench.put(make_item(bench.value), v=b"x" * 1001)


def puts(value: bytes, seq: int, **changes: Any) -> Question:
    return lambda bench: bench.put(bench.mutable(value, seq), **changes)


async def puts_bad_signature(bench: Bench) -> Reply | None:
    return await bench.put(bench.mutable(FIRST, 1), sig=bytes(64))


async def puts_long_salt(bench: Bench) -> Reply | None:
    return await bench.put(bench.mutable(FIRST, 1, b"s" * 64), salt=b"s" * 65)


def gets_mutable(**arguments: Any) -> Question:
    more = {name.encode(): value for name, value in arguments.items()}
    return lambda bench: bench.ask(b"get", {b"target": bytes(bench.mutable(FIRST, 1).target)} | more)


ANSWER = (is_response, has_id)
CHECKS: tuple[Check, ...] = (
    Check(5, "ping", "answers with its id of 20 bytes", asks(b"ping"), ANSWER),
    Check(5, "canonical answer", "keys in order, no superfluous digits", asks(b"ping"), (*ANSWER, is_canonical)),
    Check(5, "short transaction id", "t comes back as it was, 1 byte", asks_with_tid(b"\x00"), ANSWER),
    Check(5, "long transaction id", "t comes back as it was, 8 bytes", asks_with_tid(b"\xffe2:ab\0\1"), ANSWER),
    Check(5, "unknown keys", "ignores keys that it does not know", asks_with_extra(b"ping", zz=1), ANSWER),
    Check(5, "find_node", "answers with compact nodes", asks_target(b"find_node", b"target"), (*ANSWER, has_nodes)),
    Check(5, "get_peers", "answers with nodes or values, and a token", asks_target(b"get_peers", b"info_hash"),
          (*ANSWER, has_nodes_or_values, has_token)),
    Check(5, "announce_peer", "takes an announce with its token", announces(), ANSWER),
    Check(5, "announced peer", "names the peer just announced", asks_target(b"get_peers", b"info_hash"),
          (*ANSWER, has_token, names_us)),
    Check(5, "implied port", "implied_port 1: the source port counts", announces(implied_port=1), ANSWER),
    Check(5, "peer of implied port", "names the source port", asks_target(b"get_peers", b"info_hash"),
          (*ANSWER, names_source_port)),
    Check(5, "bad token", "refuses an announce with a bad token: 203", announces_elsewhere, (errs(ERROR_PROTOCOL),),
          may_be_silent=True),
    Check(5, "unknown method", "error 204", asks(b"no_such_method"), (errs(ERROR_METHOD), is_error_list),
          may_be_silent=True),
    Check(5, "query without id", "error 203", asks_without_id, (errs(ERROR_PROTOCOL), is_error_list),
          may_be_silent=True),
    Check(5, "short infohash", "error 203", asks(b"get_peers", info_hash=b"short"), (errs(ERROR_PROTOCOL),),
          may_be_silent=True),
    Check(5, "nonsense", "survives what is no message", sends_nonsense_then_pings, ANSWER),
    Check(32, "want n6", "nodes6 in multiples of 38 bytes", asks_target(b"find_node", b"target", want=[b"n4", b"n6"]),
          (*ANSWER, has_nodes6)),
    Check(33, "scrape", "two filters of 256 bytes", asks_target(b"get_peers", b"info_hash", scrape=1),
          (*ANSWER, has_filters)),
    Check(42, "ip", "tells us our address", asks(b"ping"), (*ANSWER, tells_our_address)),
    Check(43, "read-only asker", "answers a query with ro 1", asks_with_extra(b"ping", ro=1), ANSWER),
    Check(44, "get", "answers with nodes and a token", asks_target(b"get", b"target"), (*ANSWER, has_token, has_nodes),
          is_optional=True),
    Check(44, "put", "takes an immutable item", puts_value, ANSWER, is_optional=True),
    Check(44, "stored item", "names the item just put", gets_value, (*ANSWER, holds_value), is_optional=True),
    Check(44, "put with bad token", "203", puts_with_bad_token, (errs(ERROR_PROTOCOL),), is_optional=True,
          may_be_silent=True),
    Check(44, "large value", "more than 1000 bytes: 205", puts_too_much, (errs(ERROR_TOO_LARGE),), is_optional=True,
          may_be_silent=True),
    Check(44, "bad signature", "206", puts_bad_signature, (errs(ERROR_SIGNATURE),), is_optional=True,
          may_be_silent=True),
    Check(44, "long salt", "more than 64 bytes: 207", puts_long_salt, (errs(ERROR_SALT),), is_optional=True,
          may_be_silent=True),
    Check(44, "mutable put", "takes a signed item", puts(FIRST, 1), ANSWER, is_optional=True),
    Check(44, "stored mutable item", "k, seq, sig and v", gets_mutable(), (*ANSWER, holds(FIRST, 1)), is_optional=True),
    Check(44, "update", "takes a higher seq", puts(SECOND, 2), ANSWER, is_optional=True),
    Check(44, "updated item", "the value and signature of the higher seq", gets_mutable(),
          (*ANSWER, holds(SECOND, 2)), is_optional=True),
    Check(44, "older seq", "302", puts(FIRST, 1), (errs(ERROR_OLD),), is_optional=True, may_be_silent=True),
    Check(44, "cas of another seq", "301", puts(b"third", 3, cas=1), (errs(ERROR_CAS),), is_optional=True,
          may_be_silent=True),
    Check(44, "get with seq", "no value where the asker has it", gets_mutable(seq=2), (*ANSWER, has_no_value),
          is_optional=True),
    Check(51, "sample_infohashes", "samples, num and interval", asks_target(b"sample_infohashes", b"target"),
          (*ANSWER, has_samples), is_optional=True),
)
