"""Laws of the KRPC codec: any bytes are decoded as the oracle does, and what was encoded reads back."""
from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastdht import bencode
from fastdht._ext import krpc, krpc_reply
from tests.oracle import bencode as oracle_bencode
from tests.oracle import krpc as oracle

KEYS = [b"a", b"e", b"q", b"r", b"t", b"v", b"y", b"ip", b"ro", b"x", b"", b"tt"]
BODY_KEYS = [b"id", b"target", b"info_hash", b"token", b"nodes", b"nodes6", b"values", b"want", b"v", b"k", b"sig",
             b"salt", b"samples", b"BFsd", b"BFse", b"BFpe", b"port", b"seq", b"cas", b"num", b"interval",
             b"implied_port", b"seed", b"noseed", b"scrape", b"n", b"p", b"", b"Id", b"nodes66"]
SIZES = [0, 1, 2, 4, 6, 12, 18, 19, 20, 21, 25, 26, 27, 32, 36, 38, 52, 64, 76, 256]

strings = st.sampled_from(SIZES).flatmap(lambda size: st.binary(min_size=size, max_size=size))
names = st.sampled_from([b"q", b"r", b"e", b"n4", b"n6", b"ping", b"get_peers", b"sample_infohashes"])
scalars = strings | names | st.integers(-2, 70000) | st.sampled_from([2**63 - 1, -2**63, 2**63])
loose = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=2),
                     max_leaves=6)


def encode_pairs(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """A dictionary in the order given, repeated keys and all."""
    return b"d" + b"".join(b"%d:%b%b" % (len(key), key, value) for key, value in pairs) + b"e"


encoded = loose.map(oracle_bencode.encode)
bodies = st.lists(st.tuples(st.sampled_from(BODY_KEYS), encoded), max_size=8).map(encode_pairs)
tops = st.lists(st.tuples(st.sampled_from(KEYS), encoded | bodies), max_size=5)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Something like a message: mostly right at the top, anything below."""
    pairs = draw(tops)
    kind = draw(st.sampled_from([b"q", b"r", b"e"]))
    pairs += [(b"t", b"2:aa"), (b"y", b"1:" + kind), (b"q", b"9:find_node"),
              (b"a" if kind == b"q" else b"r", draw(bodies))]
    data = bytearray(encode_pairs(draw(st.permutations(pairs))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        data[at:at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@settings(max_examples=500)
@given(messages() | st.binary(max_size=80), st.sampled_from([4, 6]))
@example(b"d0:d5:token1:qe1:t2:aa1:y1:ee", 4)       # an empty key is no body of an error
def test_any_bytes_are_decoded_as_the_oracle_does(data: bytes, family: int) -> None:
    expected = oracle.parse(data, family)
    if isinstance(expected, str):
        assert krpc.refusal(data) == expected
        assert krpc.parse(data, family) is None
        return
    assert krpc.refusal(data) == ""
    assert ordered(krpc.parse(data, family) or {}) == ordered(expected)


def ordered(slots: dict[str, Any]) -> dict[str, Any]:
    """Peers have no promised order."""
    return slots | ({"values": sorted(slots["values"])} if "values" in slots else {})


node_ids = st.binary(min_size=20, max_size=20)
compact_peers = st.binary(min_size=6, max_size=6) | st.binary(min_size=18, max_size=18)


@given(st.sampled_from(krpc.METHOD_NAMES), node_ids, st.integers(0, 2**32 - 1), st.none() | node_ids, st.integers(0, 3),
       st.booleans(), st.none() | st.binary(max_size=64), st.integers(0, 65535), st.booleans())
def test_a_query_reads_back(method: str, node_id: bytes, tid: int, target: bytes | None, want: int, read_only: bool,
                            token: bytes | None, port: int, implied_port: bool) -> None:
    packet = krpc.build_query(method, id=node_id, tid=tid, target=target, want=want, read_only=read_only, token=token,
                              port=port, implied_port=implied_port)
    assert bencode.encode(bencode.decode(packet)) == packet
    found = krpc.parse(packet)
    assert found is not None
    assert [found.get(name) for name in ("method", "id", "tid", "target", "want", "token")] \
        == [method, node_id, tid.to_bytes(4, "big"), target, want or None, token]
    assert (found.get("read_only"), found.get("implied_port")) == (read_only or None, implied_port or None)
    assert found.get("port") == (port if method == "announce_peer" else None)


@given(node_ids, st.binary(min_size=1, max_size=32), st.integers(0, 8), st.integers(0, 8),
       st.none() | st.binary(max_size=20), st.none() | st.lists(compact_peers, min_size=2, max_size=25))
def test_a_reply_reads_back(node_id: bytes, tid: bytes, nodes: int, nodes6: int, token: bytes | None,
                            values: list[bytes] | None) -> None:
    packet = krpc.build_reply(id=node_id, tid=tid, nodes=b"n" * 26 * nodes, nodes6=b"m" * 38 * nodes6, token=token,
                              values=values)
    assert bencode.encode(bencode.decode(packet)) == packet
    found = krpc.parse(packet)
    assert found is not None
    assert [found.get(name) for name in ("id", "tid", "token", "values")] == [node_id, tid, token, values]
    assert (len(found["nodes"]), len(found["nodes6"])) == (26 * nodes, 38 * nodes6)  # type: ignore[arg-type]


@st.composite
def usual_replies(draw: st.DrawFn) -> bytes:
    """The layout that krpc_reply knows, with at most a few bytes changed."""
    body = b"2:id20:" + draw(st.binary(min_size=20, max_size=20))
    for key, sizes in ((b"5:nodes", SIZES + [208]), (b"6:nodes6", SIZES), (b"p", []), (b"5:token", SIZES)):
        if draw(st.booleans()):
            size = draw(st.sampled_from(sizes or [0]))
            text = draw(st.binary(min_size=size, max_size=size))
            port = b"1:pi%de" % draw(st.sampled_from([0, 1, 6881, 65535, 100000, -1]))
            body += b"%b%d:%b" % (key, size, text) if sizes else port
    if draw(st.booleans()):
        peers = draw(st.lists(st.binary(min_size=6, max_size=6), max_size=12))
        body += b"6:valuesl" + b"".join(b"6:" + peer for peer in peers) + b"e"
    external = draw(st.sampled_from([b"", b"2:ip6:abcdef", b"2:ip18:" + bytes(18)]))
    tid, version = draw(st.binary(max_size=10)), draw(st.sampled_from([b"", b"1:v4:LT\x02\x0b", b"1:v0:", b"1:vi1e"]))
    data = bytearray(b"d%b1:rd%be1:t%d:%b%b1:y1:re" % (external, body, len(tid), tid, version))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        data[at:at + draw(st.integers(0, 2))] = draw(st.sampled_from([b"", b"e", b"0", b"1", b"6:", b":"])
                                                     | st.binary(max_size=2))
    return bytes(data)


@settings(max_examples=1000)
@given(usual_replies(), st.sampled_from([4, 6]))
def test_replies_of_the_usual_layout_are_decoded_as_the_oracle_does(data: bytes, family: int) -> None:
    expected = oracle.parse(data, family)
    if isinstance(expected, str):
        assert krpc.refusal(data) == expected
    else:
        assert ordered(krpc.parse(data, family) or {}) == ordered(expected)


@given(usual_replies(), st.sampled_from([4, 6]))
def test_replies_read_the_short_way_are_those_read_the_long_way(data: bytes, family: int) -> None:
    if krpc_reply.is_usual(data):       # a key that sorts last is nobody's, and of no usual layout
        longer = data[:-1] + b"1:z0:e"
        assert not krpc_reply.is_usual(longer)
        assert krpc.parse(longer, family) == krpc.parse(data, family)
