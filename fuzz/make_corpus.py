"""Writes fuzz/corpus: the vectors' messages and oddities that real nodes send. Rate class: command.

Run it after a change of tests/vectors; the files are kept in the repository so that a seed repeats a run.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ID = bytes(range(20, 40))
OTHER = bytes(range(60, 80))
NODE = OTHER + bytes([80, 1, 2, 3, 26, 225])
NODE6 = OTHER + bytes([0x20, 1, 0xD, 0xB8]) + bytes(11) + b"\1\x1a\xe1"


def string(data: bytes) -> bytes:
    return b"%d:%s" % (len(data), data)


def query(method: bytes, arguments: bytes = b"", tid: bytes = b"aa", extra: bytes = b"") -> bytes:
    return b"d1:ad2:id20:" + ID + arguments + b"e1:q" + string(method) + extra + b"1:t" + string(tid) + b"1:y1:qe"


def reply(body: bytes, tid: bytes = b"aaaa", external: bytes = b"", extra: bytes = b"") -> bytes:
    ip = b"2:ip" + string(external) if external else b""
    return b"d" + ip + b"1:rd2:id20:" + ID + body + b"e1:t" + string(tid) + extra + b"1:y1:re"


def oddities() -> Iterator[tuple[str, bytes]]:
    for size in (1, 2, 4, 8, 16, 32, 33):
        yield f"tid-{size}", query(b"ping", tid=bytes(range(size)))
    yield "tid-empty", reply(b"", tid=b"")
    for count in (0, 1, 8, 16, 200):
        yield f"nodes-{count}", reply(b"5:nodes" + string(NODE * count))
    for size in (1, 25, 27, 207, 209):
        yield f"nodes-ragged-{size}", reply(b"5:nodes" + string((NODE * 9)[:size]))
    yield "nodes-zero-net", reply(b"5:nodes" + string((OTHER + bytes([0, 1, 2, 3, 0, 1])) * 8))
    yield "nodes6-8", reply(b"6:nodes6" + string(NODE6 * 8))
    yield "nodes6-ragged", reply(b"6:nodes6" + string((NODE6 * 2)[:75]))
    yield "values", reply(b"5:token8:abcdefgh6:valuesl" + b"6:\x50\1\2\3\x1a\xe1" * 50 + b"e")
    yield "values-6", reply(b"5:token8:abcdefgh6:valuesl" + string(NODE6[20:]) * 20 + b"e")
    yield "values-odd", reply(b"5:token8:abcdefgh6:valuesl0:5:abcde6:\x50\1\2\3\0\0i4ele" + b"dee")
    yield "values-one-string", reply(b"6:values" + string(b"\x50\1\2\3\x1a\xe1" * 4))
    yield "token-long", reply(b"5:token" + string(bytes(64)))
    yield "external-6", reply(b"", external=b"\x50\1\2\3\x1a\xe1", extra=b"1:v4:LT\2\1")
    yield "external-18", reply(b"", external=NODE6[20:])
    yield "external-4", reply(b"", external=b"\x50\1\2\3")
    yield "error-list", b"d1:eli201e7:Generice1:t4:aaaa1:y1:ee"
    yield "error-string", b"d1:e7:Generic1:t4:aaaa1:y1:ee"
    yield "error-dictionary", b"d1:ed4:codei201ee1:t4:aaaa1:y1:ee"
    yield "error-empty", b"d1:ele1:t4:aaaa1:y1:ee"
    yield "no-arguments", b"d1:q4:ping1:t2:aa1:y1:qe"
    yield "no-method", b"d1:ad2:id20:" + ID + b"e1:t2:aa1:y1:qe"
    yield "no-kind", b"d1:ad2:id20:" + ID + b"e1:q4:ping1:t2:aae"
    yield "kind-first", b"d1:y1:q1:t2:aa1:q4:ping1:ad2:id20:" + ID + b"ee"
    yield "trailing", query(b"ping") + b"garbage"
    yield "reflection", query(b"find_node", b"6:target20:" + ID)
    for want in (b"l2:n4e", b"l2:n6e", b"l2:n42:n6e", b"l2:n8i4ee", b"2:n4"):
        yield f"want-{want.decode()}".replace(":", ""), query(b"find_node", b"6:target20:" + OTHER + b"4:want" + want)
    peers = b"9:info_hash20:" + OTHER
    yield "get-peers-scrape", query(b"get_peers", peers + b"6:noseedi1e6:scrapei1e", extra=b"2:roi1e")
    announce = b"4:porti6881e5:token8:abcdefgh"
    yield "announce", query(b"announce_peer", b"12:implied_porti1e" + peers + announce)
    yield "announce-seed", query(b"announce_peer", peers + b"4:porti6881e4:seedi1e5:token8:abcdefgh")
    yield "announce-port-0", query(b"announce_peer", peers + b"4:porti0e5:token8:abcdefgh")
    yield "put", query(b"put", b"1:k32:" + bytes(32) + b"4:salt3:abc3:seqi7e3:sig64:" + bytes(64)
                       + b"5:token8:abcdefgh1:vli1eli2eed1:ai3eee")
    yield "put-500-integers", query(b"put", b"5:token8:abcdefgh1:vl" + b"i1e" * 300 + b"e")
    yield "get", query(b"get", b"3:seqi1e6:target20:" + OTHER)
    yield "samples", reply(b"8:intervali21600e5:nodes0:3:numi2000e7:samples" + string(OTHER * 20))
    yield "filters", reply(b"4:BFpe" + string(bytes(256)) + b"4:BFsd" + string(b"\xff" * 256))
    yield "unknown-method", query(b"vote", b"6:target20:" + OTHER)


def vector_messages(node: Any, found: list[bytes]) -> None:
    """Every message of the vectors, wherever it stands."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "hex" and isinstance(value, str) and value.startswith("64"):
                found.append(bytes.fromhex(value))
            else:
                vector_messages(value, found)
    elif isinstance(node, list):
        for value in node:
            vector_messages(value, found)


def main() -> None:
    folder = ROOT / "fuzz" / "corpus"
    folder.mkdir(exist_ok=True)
    found: list[bytes] = []
    vector_messages(json.loads((ROOT / "tests" / "vectors" / "dht.json").read_text()), found)
    named = [(f"vector-{i:02}", data) for i, data in enumerate(dict.fromkeys(found))]
    for name, data in [*named, *oddities()]:
        (folder / f"{name}.bin").write_bytes(data)
    print(f"{len(list(folder.glob('*.bin')))} messages in {folder}")


if __name__ == "__main__":
    main()
