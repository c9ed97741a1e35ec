"""A way to break each rule that `fastdht conform` checks: who looks for a deviation must be shown to find it."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastdht import bencode
from tests.oracle.textbook import Change, Message, Textbook

OTHER = bytes(range(20))
Fits = Callable[[Textbook, Message, Any], bool]
Edit = Callable[[Any], Any]


class Mutation(NamedTuple):
    """check: the one that must name it; also: those that cannot but see the same."""

    check: str
    change: Change
    also: tuple[str, ...] = ()


def when(fits: Fits, edit: Edit) -> Change:
    """Edit the answers to some queries."""
    return lambda node, query, right: edit(right) if fits(node, query, right) else right


def asked(method: str, *, n: int | None = None, ok: bool | None = None, **arguments: Any) -> Fits:
    """A query of this method: its n-th; one that earns a reply, or not; with these arguments, None for absent."""
    wanted = {key.encode(): value for key, value in arguments.items()}

    def fits(node: Textbook, query: Message, right: Any) -> bool:
        body = query.get(b"a", {})
        return (query.get(b"q") == method.encode() and (n is None or node.asked[method.encode()] == n)
                and (ok is None or (right is not None and right["y"] == "r") is ok)
                and all(body.get(key) == value for key, value in wanted.items()))

    return fits


def sized_tid(size: int) -> Fits:
    return lambda node, query, right: query.get(b"q") == b"ping" and len(query.get(b"t", b"")) == size


def reply(**keys: Any) -> Edit:
    """Set keys of `r`; None takes one away. An error becomes a reply."""
    def edit(right: Message) -> Message:
        body = {**right.get("r", {"id": OTHER}), **keys}
        kept = {key: value for key, value in right.items() if key != "e"}
        return {**kept, "y": "r", "r": {key: value for key, value in body.items() if value is not None}}

    return edit


def error(*parts: Any) -> Edit:
    def edit(right: Message) -> Message:
        return {**{key: value for key, value in right.items() if key != "r"}, "y": "e", "e": list(parts)}

    return edit


def top(**keys: Any) -> Edit:
    return lambda right: {**right, **keys}


def taken(node: Textbook, query: Message, right: Any) -> Any:
    """As if a query that must be refused had been good."""
    return {"r": {"id": node.id}, "t": query[b"t"], "y": "r"}


def taking(fits: Fits) -> Change:
    return lambda node, query, right: taken(node, query, right) if fits(node, query, right) else right


def answering(fits: Callable[[Message], bool], text: str = "what?") -> Change:
    """An error to what deserves no answer."""
    return lambda node, query, right: {"e": [203, text], "t": query.get(b"t", b"0000"), "y": "e"} \
        if fits(query) else right


def with_key(**keys: Any) -> Edit:
    """Change keys of `r` by functions of what they were."""
    return lambda right: {**right, "r": {**right["r"], **{key: change(right["r"][key]) for key, change in keys.items()}}}


def always(edit: Edit) -> Change:
    return lambda node, query, right: right if right is None else edit(right)


def holding(key: str) -> Fits:
    return lambda node, query, right: right is not None and key in right.get("r", {})


def to_itself(node: Textbook, query: Message, right: Any) -> bool:
    arguments = query.get(b"a", {})
    return query.get(b"q") == b"find_node" and arguments.get(b"target") == arguments.get(b"id") is not None


def last_ping(node: Textbook, query: Message, right: Any) -> bool:
    return asked("ping", ok=True, conform=None)(node, query, right) and len(query[b"t"]) == 4 and node.asked[b"ping"] > 1


def put_with(*, ok: bool | None, salt: bytes | None = None, size: int | None = None, **arguments: Any) -> Fits:
    """A put of a value of so many bytes, encoded."""
    def fits(node: Textbook, query: Message, right: Any) -> bool:
        if not asked("put", ok=ok, salt=salt, **arguments)(node, query, right):
            return False
        return size is None or len(bencode.encode(query[b"a"][b"v"])) == size

    return fits


def immutable(fits: Fits) -> Fits:
    return lambda node, query, right: b"k" not in query.get(b"a", {}) and fits(node, query, right)


def mutable(fits: Fits) -> Fits:
    return lambda node, query, right: b"k" in query.get(b"a", {}) and fits(node, query, right)


def of_dictionary(node: Textbook, query: Message, right: Any) -> bool:
    return query.get(b"q") == b"put" and isinstance(query[b"a"][b"v"], dict)


def got(seq: int | None, asked_seq: int | None = None) -> Fits:
    """A get that returns an item with this seq, None for an immutable one."""
    def fits(node: Textbook, query: Message, right: Any) -> bool:
        if not asked("get", ok=True, seq=asked_seq)(node, query, right):
            return False
        return ("v" in right["r"] or asked_seq is not None) and right["r"].get("seq") == seq

    return fits


def salted(fits: Fits) -> Fits:
    """A get of the item with the short salt: the only one of which one version is ever stored."""
    def check(node: Textbook, query: Message, right: Any) -> bool:
        stored = node.signed.get(query.get(b"a", {}).get(b"target", b""), {})
        return stored.get(b"salt") == b"salt" and fits(node, query, right)

    return check


def unsalted(fits: Fits) -> Fits:
    return lambda node, query, right: not salted(fits)(node, query, right) and fits(node, query, right)


def unordered(right: Message) -> bytes:
    """`y` before `t`."""
    return b"".join([b"d1:r", bencode.encode(right["r"]), b"1:y1:r1:t", bencode.encode(right["t"]), b"e"])


def hush(query: Message, right: Any) -> Any:
    """No answer to find_node."""
    return None if query.get(b"q") == b"find_node" else right


def list_the_asker(node: Textbook, query: Message, right: Any) -> Any:
    if not to_itself(node, query, right):
        return right
    return with_key(**{node.own: lambda told: query[b"a"][b"id"] + told[20:]})(right)


def implied_port_ignored(node: Textbook, query: Message, right: Any) -> Any:
    if asked("get_peers", n=4)(node, query, right):             # the one after the implied announce
        return with_key(values=lambda told: [each[:-2] + b"\x04\x01" for each in told])(right)
    return right


def still_a_peer(node: Textbook, query: Message, right: Any) -> Any:
    fits = asked("get_peers", scrape=1)(node, query, right) and any(right["r"]["BFsd"])
    return reply(BFpe=right["r"]["BFsd"])(right) if fits else right


def names_seeds(node: Textbook, query: Message, right: Any) -> Any:
    if not asked("get_peers", noseed=1)(node, query, right):
        return right
    return reply(values=list(node.peers[query[b"a"][b"info_hash"]]))(right)


def old_value(node: Textbook, query: Message, right: Any) -> Any:
    return reply(seq=1)(right) if got(2)(node, query, right) else right


def value_all_the_same(node: Textbook, query: Message, right: Any) -> Any:
    if not asked("get", seq=2)(node, query, right):
        return right
    return reply(v=node.signed[query[b"a"][b"target"]][b"v"])(right)


def both_when_other(node: Textbook, query: Message, right: Any) -> Any:
    wanted = query.get(b"a", {}).get(b"want")
    return reply(**node.lists)(right) if wanted == [b"n6" if node.own == "nodes" else b"n4"] else right


def both_when_own(node: Textbook, query: Message, right: Any) -> Any:
    wanted = query.get(b"a", {}).get(b"want")
    return reply(**node.lists)(right) if wanted == [b"n4" if node.own == "nodes" else b"n6"] else right


def both_by_default(node: Textbook, query: Message, right: Any) -> Any:
    return reply(**node.lists)(right) if asked("find_node", n=4, want=None)(node, query, right) else right


def one_when_both(node: Textbook, query: Message, right: Any) -> Any:
    return reply(**{node.other: None})(right) if len(query.get(b"a", {}).get(b"want", [])) == 2 else right


def no_own_nodes(fits: Fits) -> Change:
    return lambda node, query, right: reply(**{node.own: None})(right) if fits(node, query, right) else right


def own_nodes(fits: Fits, told: Callable[[int], bytes]) -> Change:
    def change(node: Textbook, query: Message, right: Any) -> Any:
        size = 26 if node.own == "nodes" else 38
        return reply(**{node.own: told(size)})(right) if fits(node, query, right) else right

    return change


def foreign_value(node: Textbook, query: Message, right: Any) -> Any:
    foreign = bytes(6 if node.endpoint.is_ipv6 else 18)
    return with_key(values=lambda told: [*told, foreign])(right) if holding("values")(node, query, right) else right
