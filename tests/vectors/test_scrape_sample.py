"""The messages of BEP 33 and BEP 51 in dht.json, through the server's whole path."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastdht._ext import krpc
from fastdht._ext.core import Core
from fastdht._ext.filters import Filter
from fastdht.config import CoreConfig
from fastdht.testing import builders

VECTORS = json.loads((Path(__file__).parent / "dht.json").read_text())
MESSAGES = {each["name"]: bytes.fromhex(each["hex"]) for each in VECTORS["constructed_messages"]}
ASKER = builders.contact(1).endpoint.pack()


def make_core() -> Core:
    return Core(CoreConfig(), bytes(range(20, 40)), bytes(range(96)), 7)


def answer_to(core: Core, name: str) -> dict[str, Any]:
    core.receive(MESSAGES[name], ASKER, 1_000_000)
    [(datagram, target)] = core.drain()
    assert target == ASKER
    answer = krpc.parse(datagram)
    assert answer is not None
    return answer


def test_vector_of_a_scrape_is_answered_with_filters() -> None:
    core = make_core()
    asked = krpc.parse(MESSAGES["get_peers_scrape"])
    assert asked is not None and asked["scrape"] and asked["noseed"]
    first = answer_to(core, "get_peers_scrape")
    assert "seed_filter" not in first
    core.receive(krpc.build_query("announce_peer", id=asked["id"], tid=1, target=asked["target"], port=5, seed=True,
                                  token=first["token"]), ASKER, 1_000_000)
    core.drain()
    expected = Filter()
    expected.add(ASKER[:4])
    answer = answer_to(core, "get_peers_scrape")
    assert (answer["seed_filter"], answer["peer_filter"]) == (bytes(expected), bytes(256))
    assert answer["tid"] == asked["tid"]


def test_vector_of_a_seeds_announce_is_read_and_its_token_refused() -> None:
    asked = krpc.parse(MESSAGES["announce_implied_seed"])
    assert asked is not None and asked["seed"] and asked["implied_port"] and asked["port"] == 0
    answer = answer_to(make_core(), "announce_implied_seed")
    assert (answer["kind"], answer["error_code"]) == ("e", 203)     # its token is none of ours


def test_vector_of_a_sample_query_is_answered_with_samples() -> None:
    answer = answer_to(make_core(), "sample_infohashes_query")
    assert (answer["samples"], answer["num"], answer["interval"]) == (b"", 0, 21_600)
    assert answer["tid"] == krpc.parse(MESSAGES["sample_infohashes_query"])["tid"]      # type: ignore[index]
