"""Decoding of KRPC messages: the packets of the BEPs, and every leniency that nodes of today need."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastdht import bencode
from fastdht._ext import krpc, krpc_reply

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())
ID = b"0123456789abcdefghij"
TARGET = b"mnopqrstuvwxyz123456"
TEXT_SLOTS = {b"token": "token", b"salt": "salt", b"nodes": "nodes", b"nodes6": "nodes6", b"samples": "samples"}


def response(body: bytes, rest: bytes = b"1:t2:aa1:y1:r") -> bytes:
    return b"d1:rd2:id20:" + ID + body + b"e" + rest + b"e"


def query(body: bytes, method: bytes = b"9:find_node", rest: bytes = b"1:t2:aa1:y1:q") -> bytes:
    return b"d1:ad2:id20:" + ID + body + b"e1:q" + method + rest + b"e"


def slots(data: bytes, family: int = 4) -> dict[str, Any]:
    found = krpc.parse(data, family)
    assert found is not None, krpc.refusal(data)
    return found


EXPECTED = {
    "error_generic": {"kind": "e", "error_code": 201, "error_text": b"A Generic Error Ocurred"},
    "ping_query": {"kind": "q", "method": "ping", "id": b"abcdefghij0123456789"},
    "ping_response": {"kind": "r", "id": TARGET},
    "find_node_query": {"method": "find_node", "id": b"abcdefghij0123456789", "target": TARGET},
    "find_node_response_doc_only_truncated_nodes": {"kind": "r", "id": ID, "nodes": b""},
    "get_peers_query": {"method": "get_peers", "target": TARGET},
    "get_peers_response_values": {"token": b"aoeusnth", "values": [b"axje.u", b"idhtnm"]},
    "get_peers_response_nodes_doc_only_truncated_nodes": {"token": b"aoeusnth", "nodes": b""},
    "announce_peer_query": {"method": "announce_peer", "port": 6881, "implied_port": 1, "token": b"aoeusnth"},
    "announce_peer_response": {"kind": "r", "id": TARGET},
    "find_node_query_want_both": {"want": 3, "version": b"XX\x00\x01", "tid": b"\x00\x01"},
    "find_node_response_dual": {"external": bytes.fromhex("cb007109c8d5")},
    "get_peers_response_v4": {"values": [bytes.fromhex("c00002011ae1")]},
    "get_peers_response_v6": {"values": [bytes.fromhex("20010db80000000000000000000000021ae1")]},
    "announce_implied_seed": {"port": 0, "implied_port": 1, "seed": 1},
    "get_peers_scrape": {"noseed": 1, "scrape": 1},
    "ping_read_only": {"read_only": 1, "method": "ping"},
    "sample_infohashes_query": {"method": "sample_infohashes", "target": b"\xbb" * 20},
    "sample_infohashes_response_empty": {"samples": b"", "num": 0, "interval": 21600},
    "sample_infohashes_response_two": {"samples": b"\x01" * 20 + b"\x02" * 20, "num": 57, "interval": 300},
    "error_method_unknown": {"error_code": 204, "error_text": b"Method Unknown"},
    "error_protocol": {"error_code": 203, "error_text": b"Protocol Error"},
}
MESSAGES = VECTORS["bep5"]["examples"] + VECTORS["constructed_messages"]


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_decode_of_a_vector_fills_its_slots(vector: dict[str, Any]) -> None:
    found = slots(bytes.fromhex(vector["hex"]), 6 if vector["name"].endswith("_v6") else 4)
    assert found | EXPECTED[vector["name"]] == found


def test_decode_of_vectors_covers_them_all() -> None:
    assert {vector["name"] for vector in MESSAGES} == set(EXPECTED)


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_decode_of_a_truncated_vector_is_refused(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    assert {krpc.refusal(data[:cut]) for cut in range(len(data))} == {"bad syntax"}
    assert krpc.refusal(data + b"bytes after it") == ""


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "bad syntax"), (b"le", "bad syntax"), (b"i1e", "bad syntax"), (b"4:spam", "bad syntax"),
    (b"di1e1:ae", "bad syntax"), (b"de", "no kind"), (b"d1:t2:aae", "no kind"), (b"d1:t2:aa1:yi1ee", "no kind"),
    (b"d1:t2:aa1:y1:xe", "no kind"), (b"d1:t2:aa1:y2:qqe", "no kind"), (b"d1:t2:aa1:y0:e", "no kind"),
    (b"d1:y1:re", "bad tid"), (b"d1:ti7e1:y1:re", "bad tid"), (b"d1:t0:1:y1:re", "bad tid"),
    (b"d1:t0:1:y1:ee", "bad tid"), (b"d1:t33:" + b"t" * 33 + b"1:y1:qe", "bad tid"), (b"d1:t2:aa1:y1:qe", "no method"),
    (b"d1:ade1:qi1e1:t2:aa1:y1:qe", "no method"), (b"d1:q4:ping1:t2:aa1:y1:qe", "no arguments"),
    (b"d1:ale1:q4:ping1:t2:aa1:y1:qe", "no arguments"),
    (b"d1:q4:ping1:rd2:id20:" + ID + b"e1:t2:aa1:y1:qe", "no arguments"),
])
def test_decode_of_a_broken_message_says_why(data: bytes, reason: str) -> None:
    assert krpc.refusal(data) == reason
    assert krpc.parse(data) is None


@pytest.mark.parametrize("data", [
    b"d1:t2:aa1:y1:re", b"d1:rde1:t1:a1:y1:re", b"d1:ade1:q1:x1:t0:1:y1:qe", b"d1:ade1:q0:1:t2:aa1:y1:qe",
    b"d1:t32:" + b"t" * 32 + b"1:y1:ee",
])
def test_decode_of_the_least_that_is_a_message_passes(data: bytes) -> None:
    assert krpc.refusal(data) == ""


def test_decode_when_unsorted_or_padded_reads_the_same() -> None:
    assert slots(b"d1:y1:r1:t2:aa1:rd5:token1:x2:id020:" + ID + b"ee") == slots(response(b"5:token1:x"))


@pytest.mark.parametrize(("first", "second"), [(b"5:token1:x", b"5:token1:y"), (b"5:tokeni1e", b"5:token1:y")])
def test_decode_when_a_key_repeats_takes_the_first_whatever_its_type(first: bytes, second: bytes) -> None:
    assert slots(response(first + second)).get("token") == slots(response(first)).get("token")
    outer = b"d1:rde1:rd2:id20:" + ID + b"e1:t2:aa1:t2:bb1:y1:r1:y1:qe"
    assert "id" not in slots(outer) and slots(outer)["tid"] == b"aa"


@pytest.mark.parametrize("wrong", [b"i1e", b"le", b"de", b"li1ee", b"d1:a1:be"])
@pytest.mark.parametrize("key", [b"id", b"k", b"sig", b"BFsd", b"BFpe", *TEXT_SLOTS])
def test_decode_of_a_slot_of_another_type_counts_it_absent(key: bytes, wrong: bytes) -> None:
    data = b"d1:rd%d:%b%be1:t2:aa1:y1:re" % (len(key), key, wrong)
    assert slots(data) == slots(b"d1:rde1:t2:aa1:y1:re")


@pytest.mark.parametrize(("key", "size"), [
    (b"id", 20), (b"target", 20), (b"k", 32), (b"sig", 64), (b"BFsd", 256), (b"BFse", 256)])
def test_decode_of_a_slot_of_another_length_counts_it_absent(key: bytes, size: int) -> None:
    bare = slots(b"d1:rde1:t2:aa1:y1:re")
    for length in (0, 19, 21, size - 1, size + 1, 60_000):
        assert slots(b"d1:rd%d:%b%d:%be1:t2:aa1:y1:re" % (len(key), key, length, b"x" * length)) == bare
    assert slots(b"d1:rd%d:%b%d:%be1:t2:aa1:y1:re" % (len(key), key, size, b"x" * size)) != bare


@pytest.mark.parametrize("key", [b"port", b"seq", b"cas", b"num", b"interval"])
def test_decode_of_a_number_is_all_64_bits_and_nothing_else(key: bytes) -> None:
    name = key.decode()
    for number in (0, 1, -1, 2**63 - 1, -2**63):
        assert slots(response(b"%d:%bi%de" % (len(key), key, number)))[name] == number
    for wrong in (b"1:1", b"le", b"de"):
        assert name not in slots(response(b"%d:%b%b" % (len(key), key, wrong)))
    assert krpc.refusal(response(b"%d:%bi%de" % (len(key), key, 2**63))) == "bad syntax"


@pytest.mark.parametrize("key", [b"implied_port", b"seed", b"noseed", b"scrape"])
def test_decode_of_a_flag_is_true_for_any_integer_but_zero(key: bytes) -> None:
    prefix = b"%d:%b" % (len(key), key)
    values = (b"i1e", b"i2e", b"i-1e", b"i0e", b"1:1", b"le")
    assert [slots(query(prefix + value)).get(key.decode()) for value in values] == [1, 1, 1, None, None, None]


def test_decode_of_ro_is_a_flag_of_the_top_level() -> None:
    values = (b"2:roi1e", b"2:roi7e", b"2:roi0e", b"2:ro1:1", b"")
    assert [slots(query(b"", rest=ro + b"1:t2:aa1:y1:q")).get("read_only") for ro in values] == [1, 1, None, None, None]


@pytest.mark.parametrize(("length", "whole"), [
    (0, 0), (9, 0), (25, 0), (26, 26), (27, 26), (51, 26), (208, 208), (209, 208)])
def test_decode_of_ragged_nodes_keeps_whole_records(length: int, whole: int) -> None:
    assert slots(response(b"5:nodes%d:%b" % (length, b"n" * length)))["nodes"] == b"n" * whole


@pytest.mark.parametrize(("length", "whole"), [(0, 0), (37, 0), (38, 38), (75, 38), (76, 76)])
def test_decode_of_ragged_nodes6_keeps_whole_records(length: int, whole: int) -> None:
    assert slots(response(b"6:nodes6%d:%b" % (length, b"n" * length)))["nodes6"] == b"n" * whole


@pytest.mark.parametrize(("length", "whole"), [(0, 0), (7, 0), (20, 20), (33, 0), (393, 0), (400, 400)])
def test_decode_of_ragged_samples_counts_them_as_none(length: int, whole: int) -> None:
    assert slots(response(b"7:samples%d:%b" % (length, b"n" * length)))["samples"] == b"n" * whole


V4, V4B, V4C = b"abcdef", b"ghijkl", b"mnopqr"
V6, V6B = b"ABCDEFGHIJKLMNOPQR", b"abcdefghijklmnopqr"


@pytest.mark.parametrize(("values", "over_v4", "over_v6"), [
    (b"le", [], []),
    (b"l6:" + V4 + b"e", [V4], [V4]),
    (b"l6:" + V4 + b"6:" + V4B + b"e", [V4, V4B], [V4, V4B]),
    (b"l6:" + V4 + b"18:" + V6 + b"e", [V4, V6], [V4, V6]),
    (b"l18:" + V6 + b"6:" + V4 + b"e", [V6, V4], [V6, V4]),
    (b"l18:" + V6 + b"18:" + V6B + b"e", [V6, V6B], [V6, V6B]),
    (b"l12:" + V4 + V4B + b"e", [V4, V4B], [V4, V4B]),                  # one long string, of old nodes
    (b"l36:" + V6 + V6B + b"e", [V6[:6], V6[6:12], V6[12:], V6B[:6], V6B[6:12], V6B[12:]], [V6, V6B]),
    (b"l18:" + V6 + b"e", [V6[:6], V6[6:12], V6[12:]], [V6]),           # ambiguous: the transport decides
    (b"12:" + V4 + V4B, [V4, V4B], [V4, V4B]),                          # a bare string
    (b"18:" + V6, [V6[:6], V6[6:12], V6[12:]], [V6]),
    (b"0:", [], []),
    (b"l0:e", [], []),
    (b"l13:1234567890123e", [], []),
    (b"l6:" + V4 + b"12:" + V4B + V4C + b"e", [V4], [V4]),              # a run stands alone or is none
    (b"l5:abcde6:" + V4 + b"7:abcdefge", [V4], [V4]),
    (b"li5e6:" + V4 + b"l6:ghijkle6:" + V4C + b"dee", [V4, V4C], [V4, V4C]),
    (b"l6:" + V4 + b"i5ee", [V4], [V4]),
])
def test_decode_of_values_in_any_shape_finds_the_peers(values: bytes, over_v4: list[bytes],
                                                       over_v6: list[bytes]) -> None:
    data = response(b"6:values" + values)
    assert sorted(slots(data, 4)["values"]) == sorted(over_v4)
    assert sorted(slots(data, 6)["values"]) == sorted(over_v6)


@pytest.mark.parametrize("values", [b"i5e", b"d1:a6:abcdefe"])
def test_decode_of_values_that_are_none_counts_them_absent(values: bytes) -> None:
    assert "values" not in slots(response(b"6:values" + values))


def test_decode_of_two_hundred_values_passes() -> None:
    assert len(slots(response(b"6:valuesl" + b"6:abcdef" * 200 + b"e"))["values"]) == 200


@pytest.mark.parametrize(("error", "code", "text"), [
    (b"li203e4:oopse", 203, b"oops"), (b"li203ee", 203, None), (b"l4:oopsi203ee", 203, b"oops"),
    (b"4:oops", None, b"oops"), (b"i203e", 203, None), (b"de", None, None), (b"d1:ai1ee", None, None),
    (b"le", None, None), (b"l4:oopse", None, b"oops"), (b"lli1eei203e4:oopsi204e3:yese", 203, b"oops"),
    (b"li203e4:\xff\xfe\x00\x80e", 203, b"\xff\xfe\x00\x80"),
])
def test_decode_of_an_error_in_any_shape_passes(error: bytes, code: int | None, text: bytes | None) -> None:
    found = slots(b"d1:e" + error + b"1:t2:aa1:y1:ee")
    assert (found["kind"], found.get("error_code"), found.get("error_text")) == ("e", code, text)


def test_decode_of_an_error_without_e_passes() -> None:
    assert slots(b"d1:t2:aa1:y1:ee") == {"kind": "e", "tid": b"aa"}


BODIES = b"1:ad5:token1:ae", b"1:rd5:token1:re"


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("kind", "token"), [(b"q", b"a"), (b"r", b"r"), (b"e", None)])
def test_decode_with_both_bodies_takes_the_one_that_y_names(first: int, kind: bytes, token: bytes | None) -> None:
    envelope = b"1:eli1e1:xe2:ip6:abcdef1:q4:ping2:roi1e1:t2:aa1:v1:V1:y1:" + kind
    data = b"d" + BODIES[first] + BODIES[1 - first] + envelope + b"e"
    found = slots(data)
    assert found.get("token") == token
    assert ("arguments" in found, "has_return" in found) == (kind == b"q", kind == b"r")
    assert [found.get(name) for name in ("tid", "external", "version", "error_code", "error_text", "read_only")] \
        == [b"aa", b"abcdef", b"V", 1, b"x", 1]


@pytest.mark.parametrize(("wanted", "bits"), [
    (b"l2:n42:n6e", 3), (b"l2:n4e", 1), (b"l2:n6e", 2), (b"le", None), (b"l2:n52:xxe", None), (b"l2:n52:n6e", 2),
    (b"2:n4", 1), (b"2:n6", 2), (b"2:n5", None), (b"4:n4n6", None), (b"i4e", None), (b"li4e2:n4e", 1), (b"de", None),
])
def test_decode_of_want_in_any_shape(wanted: bytes, bits: int | None) -> None:
    assert slots(query(b"4:want" + wanted)).get("want") == bits


@pytest.mark.parametrize(("body", "target"), [
    (b"6:target20:" + TARGET, TARGET), (b"9:info_hash20:" + TARGET, TARGET),
    (b"9:info_hash20:" + ID + b"6:target20:" + TARGET, TARGET),
    (b"6:target20:" + TARGET + b"9:info_hash20:" + ID, TARGET),
    (b"6:target19:" + TARGET[1:] + b"9:info_hash20:" + ID, ID), (b"6:target0:", None),
    (b"9:info_hash21:x" + TARGET, None),
])
def test_decode_of_a_target_prefers_target_to_info_hash(body: bytes, target: bytes | None) -> None:
    assert slots(query(body)).get("target") == target


@pytest.mark.parametrize(("name", "method"), [
    (b"4:vote", ""), (b"4:pinG", ""), (b"5:ping ", ""), (b"0:", ""), (b"3:put", "put"), (b"3:get", "get"),
    (b"17:sample_infohashes", "sample_infohashes")])
def test_decode_of_a_method_knows_its_name(name: bytes, method: str) -> None:
    assert slots(query(b"", method=name))["method"] == method


@pytest.mark.parametrize("external", [b"6:abcdef", b"18:abcdefghijklmnopqr"])
def test_decode_of_ip_is_6_or_18_bytes(external: bytes) -> None:
    assert slots(b"d2:ip" + external + b"1:rde1:t2:aa1:y1:re")["external"] == external.partition(b":")[2]
    for wrong in (b"4:abcd", b"0:", b"16:abcdefghijklmnop", b"i1e", b"19:abcdefghijklmnopqrs"):
        assert "external" not in slots(b"d2:ip" + wrong + b"1:rde1:t2:aa1:y1:re")


VALUES_OF_44 = [b"12:Hello World!", b"i-5e", b"de", b"le", b"d1:bi1e1:ai2ee", b"li01ee", b"l" * 64 + b"e" * 64,
                b"l" + b"i1e" * 1023 + b"e"]


@pytest.mark.parametrize("value", VALUES_OF_44, ids=range(len(VALUES_OF_44)))
def test_decode_of_a_stored_value_keeps_its_raw_bytes(value: bytes) -> None:
    assert slots(response(b"1:v" + value))["value"] == value
    found = slots(query(b"1:v" + value, method=b"3:put"))
    assert found["value"] == value and found["arguments"].endswith(value + b"e")


@pytest.mark.parametrize(("data", "reason"), [
    (response(b"1:v" + b"l" * 65 + b"e" * 65), "too deep"),
    (response(b"1:v" + b"l" + b"i1e" * 1024 + b"e"), "too many tokens"),
    (response(b"1:x" + b"l" * 8 + b"e" * 8), ""),
    (response(b"1:x" + b"l" * 9 + b"e" * 9), "too deep"),
    (response(b"1:x" + b"l" + b"i1e" * 600 + b"e"), "too many tokens"),
    (b"d1:x" + b"l" * 9 + b"e" * 9 + b"1:rde1:t2:aa1:y1:re", ""),
    (b"d1:x" + b"l" * 10 + b"e" * 10 + b"1:rde1:t2:aa1:y1:re", "too deep"),
    (b"d1:x" + b"l" * 50_000, "too deep"),
    (b"d1:a" * 50_000, "too deep"),
    (b"d1:rd1:v" + b"l" * 50_000, "too deep"),
    (b"d1:v" + b"d1:a" * 50_000, "too deep"),
    (b"l" * 50_000, "bad syntax"),
])
def test_decode_at_and_beyond_its_limits(data: bytes, reason: str) -> None:
    assert krpc.refusal(data) == reason


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_decode_of_a_message_with_any_field_missing_never_raises(vector: dict[str, Any]) -> None:
    message = bencode.decode(bytes.fromhex(vector["hex"]))
    for inner in (message, *(value for value in message.values() if isinstance(value, dict))):
        for key in list(inner):
            held = inner.pop(key)
            assert krpc.refusal(bencode.encode(message)) in krpc.REFUSALS
            for wrong in (0, -1, [], {}, b"", b"x" * 19, b"x" * 21, b"x" * 60_000):
                inner[key] = wrong
                assert krpc.refusal(bencode.encode(message)) in krpc.REFUSALS
            inner[key] = held


@pytest.mark.parametrize(("data", "is_usual"), [
    (b"d1:rd2:id20:" + bytes(20) + b"e1:t4:tidd1:y1:re", True),
    (b"d2:ip6:abcdef1:rd2:id20:" + bytes(20) + b"5:nodes26:" + bytes(26) + b"e1:t4:tidd1:v4:LT\x02\x0b1:y1:re", True),
    (b"d2:ip6:abcdef1:rd2:id20:" + bytes(20) + b"1:pi6881e5:token4:tokn6:valuesl6:abcdef6:ghijklee1:t2:aa1:y1:re", True),
    (b"d1:rd2:id20:" + bytes(20) + b"e1:t0:1:v4:LT\x02\x0b1:y1:re", False),                    # no tid: refused
    (b"d1:rd2:id20:" + bytes(20) + b"1:v4:aaaae1:t4:tidd1:y1:re", False),                       # BEP 44
    (b"d1:rd2:id20:" + bytes(20) + b"6:valuesl18:" + bytes(18) + b"ee1:t4:tidd1:y1:re", False),  # IPv6
    (b"d1:y1:r1:t4:tidd1:rd2:id20:" + bytes(20) + b"ee", False),                                # unsorted
    (b"d1:ad2:id20:" + bytes(20) + b"e1:q4:ping1:t4:tidd1:y1:qe", False),
])
def test_decode_knows_the_usual_layout_of_replies(data: bytes, is_usual: bool) -> None:
    assert krpc_reply.is_usual(data) is is_usual
