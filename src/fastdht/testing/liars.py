"""Remote ends that answer falsely, for `SimNetwork.act`. Rate class: command (tests).

Each function makes a Behaviour: (datagram, compact source) → datagrams with their compact targets. They answer queries
only, so that two of them never talk for ever; `honest` is the measure to compare the others with.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from fastdht._ext import krpc
from fastdht.testing.builders import closest, node_id, pack_nodes
from fastdht.testing.network import Behaviour
from fastdht.types import Contact, Endpoint

TOKEN = b"token"

Answer = Callable[[dict[str, Any], bytes], bytes | None]


def answering(answer: Answer) -> Behaviour:
    """A behaviour that sends `answer(query, compact source)` to whoever asked, and None to nobody."""

    def behave(data: bytes, source: bytes) -> Iterable[tuple[bytes, bytes]]:
        query = krpc.parse(data, 4 if len(source) == 6 else 6)
        if query is None or query["kind"] != "q":
            return []
        datagram = answer(query, source)
        return [] if datagram is None else [(datagram, source)]

    return behave


def respond(query: dict[str, Any], source: bytes, own_id: bytes, named: Iterable[Contact] = (), *,
            tid: bytes | None = None, external: bytes | None = None) -> bytes:
    """The response that BEP 5 asks for, naming those of `named` that are nearest to the target."""
    target = query.get("target")
    packed = None if target is None else pack_nodes(closest(named, target))
    return krpc.build_reply(
        id=bytes(own_id), tid=query["tid"] if tid is None else tid, external=source if external is None else external,
        nodes=packed if len(source) == 6 else None, nodes6=packed if len(source) == 18 else None,
        token=TOKEN if query["method"] == "get_peers" else None)


def honest(own_id: bytes, named: Iterable[Contact] = ()) -> Behaviour:
    """Answers every query as it should, from a table of `named`. Takes every announce and stores none."""
    table = list(named)
    return answering(lambda query, source: respond(query, source, own_id, table))


def silent() -> Behaviour:
    """Takes everything and says nothing: unlike an empty endpoint, it provokes no ICMP."""
    return lambda data, source: []


def wrong_id(seed: int = 0, named: Iterable[Contact] = ()) -> Behaviour:
    """Answers under a new random id each time."""
    rng = Random(seed)
    table = list(named)
    return answering(lambda query, source: respond(query, source, rng.randbytes(20), table))


def mirrors_id(named: Iterable[Contact] = ()) -> Behaviour:
    """Answers under the asker's own id, as some reflectors in the wild do."""
    table = list(named)
    return answering(lambda query, source: respond(query, source, query["id"], table))


def next_to_target(fallback_seed: int = 0) -> Behaviour:
    """Claims the id beside whatever is looked for: the best answer a lookup could wish."""
    other = node_id(fallback_seed)

    def answer(query: dict[str, Any], source: bytes) -> bytes:
        target: bytes = query.get("target", other)
        return respond(query, source, target[:19] + bytes([target[19] ^ 1]))

    return answering(answer)


def wrong_tid(own_id: bytes, named: Iterable[Contact] = ()) -> Behaviour:
    """Answers with a transaction id that nobody asked under."""
    table = list(named)
    return answering(lambda query, source: respond(query, source, own_id, table,
                                                   tid=bytes(byte ^ 0xFF for byte in query["tid"])))


def names_only(own_id: bytes, colluders: Sequence[Contact]) -> Behaviour:
    """Names its colluders and nobody else; give it bogus endpoints to see whether they are asked."""
    return honest(own_id, colluders)


def votes(own_id: bytes, external: Endpoint, named: Iterable[Contact] = ()) -> Behaviour:
    """Answers well but tells every asker that its external endpoint is `external` (BEP 42 `ip`)."""
    table = list(named)
    packed = external.pack()
    return answering(lambda query, source: respond(query, source, own_id, table, external=packed))


def garbage(seed: int = 0, size: int = 200) -> Behaviour:
    """Answers every query with random bytes that begin and end as a message does."""
    rng = Random(seed)
    return answering(lambda query, source: b"d" + rng.randbytes(size - 2) + b"e")


def reflects() -> Behaviour:
    """Sends every datagram back as it came. Never put two of them where they hear of each other."""
    return lambda data, source: [(data, source)]


def repeats(behaviour: Behaviour, times: int = 2) -> Behaviour:
    """Sends each answer of another behaviour several times."""
    return lambda data, source: [answer for answer in behaviour(data, source) for _ in range(times)]
