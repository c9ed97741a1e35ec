"""Imports point down only: the layers of docs/design.md as a table, held against every import and cimport."""
from __future__ import annotations

import pytest

from tests.meta.sources import imports, module_name, source_files

VALUES = {"errors", "types", "config", "stats", "blocklist"}

# Layer → layers it may import. A layer is the first name below fastdht; `init` is fastdht/__init__.py itself.
ALLOWED = {
    "errors": set(),
    "types": {"errors", "_ext"},
    "stats": {"errors", "types", "_ext"},
    "blocklist": {"errors", "_ext"},
    "config": {"errors", "types", "blocklist"},
    "_ext": set(),
    "sodium": {"errors"},
    "crypto": {"errors", "sodium"},
    "keyfiles": {"errors", "crypto"},
    "links": {"errors", "types"},
    "persist": VALUES,
    "bencode": {"_ext", "errors"},
    "lookup": VALUES | {"_ext"},
    "engine": VALUES | {"_ext", "lookup", "persist"},
    "items": VALUES | {"bencode", "crypto"},
    "ops": VALUES | {"_ext", "engine", "bencode", "crypto", "items", "keep", "persist"},
    "node": VALUES | {"_ext", "lookup", "engine", "persist", "crypto", "ops"},
    "keep": VALUES,
    "pkarr": VALUES | {"node", "engine", "items", "crypto"},
    "crawl": VALUES | {"_ext", "engine", "persist", "bencode", "init"},
    "conform": VALUES | {"_ext", "bencode", "crypto", "sodium", "init"},
    "testing": VALUES | {"_ext", "lookup", "engine", "node", "init"},
    "init": VALUES | {"node", "lookup", "engine", "bencode", "crawl", "keep", "items", "ops", "crypto", "keyfiles",
                      "links"},
    "cli": VALUES | {"items", "ops", "crawl", "keep", "node", "engine", "lookup", "persist", "crypto", "bencode", "init",
                     "cli", "conform", "keyfiles", "links", "pkarr", "sodium"},
    "__main__": {"cli"},
}
# `fastdht swarm` is the testing package's swarm, for users; `fastdht crawl verify` reads the truth that it wrote.
TESTING_USERS = {"fastdht.cli.swarm", "fastdht.cli.crawl", "fastdht.cli.crawl_verify"}

# _ext, from the bottom up: a module may use those of earlier rows only. krpc_decode and its like are parts of krpc:
# a name counts up to its first underscore, and parts may use each other.
RANKS = [
    {"clock", "hashing", "pages", "sha1", "blocklist", "prefetch"},
    {"addresses"},
    {"ids", "linux", "filters", "endpoints"},
    {"bencode", "packets", "findings"},
    {"writer", "lenient", "codec", "mmsg", "datagrams", "entries"},
    {"krpc", "udp", "buckets"},
    {"closest", "placement"},
    {"table", "transactions", "throttle", "tokens", "peers", "items", "pacing", "seen", "candidates", "observed"},
    {"ledger"},
    {"shortlist", "questions", "lanes", "rows"},
    {"samples", "edges", "naming", "machine"},
    {"queue"},
    {"frontier"},
    {"parked"},
    {"state", "drive"},
    {"queries", "handlers", "replies"},
    {"reception", "storage", "direct"},
    {"core"},
    {"walks", "rounds"},
    {"turns", "handles"},
    {"swarm"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
UDP_USERS = {"fastdht._ext.swarm", "fastdht._ext.rounds", "fastdht._ext.turns"}     # and the engine: the only code that makes system calls


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "init"


def unit(module: str) -> str:
    return module.rpartition(".")[2].partition("_")[0]


SOURCES = source_files(".py", ".pyx", ".pxd")
EDGES = sorted({(module_name(path), target) for path in SOURCES for target in imports(path)})


@pytest.mark.parametrize("module", sorted({module_name(path) for path in SOURCES}))
def test_module_has_a_place_in_the_layers(module: str) -> None:
    assert layer(module) in ALLOWED, f"{module}: give its layer a row in ALLOWED"
    if layer(module) == "_ext" and module != "fastdht._ext":
        assert unit(module) in RANK, f"{module}: give it a row in RANKS"


@pytest.mark.parametrize(("module", "target"), EDGES)
def test_import_points_down(module: str, target: str) -> None:
    if layer(module) == "_ext" == layer(target):
        check_ranks(module, target)
        return
    if layer(target) == "testing":
        assert layer(module) == "testing" or module in TESTING_USERS, f"{module} imports {target}, which is for tests"
        return
    allowed = ALLOWED[layer(module)] | {layer(module)}
    assert layer(target) in allowed, f"{module} imports {target}; {layer(module)} may import {sorted(allowed)}"
    if target == "fastdht._ext.udp":
        assert layer(module) == "engine" or module in UDP_USERS, f"{module} makes system calls through udp"


def check_ranks(module: str, target: str) -> None:
    upper, lower = unit(module), unit(target)
    if upper == lower or module == "fastdht._ext" or {upper, lower} - RANK.keys():   # the test above speaks of those
        return
    if target == "fastdht._ext.udp":
        assert module in UDP_USERS, f"{module} makes system calls through udp"
    assert RANK[lower] < RANK[upper], f"{upper} uses {lower}, which is not below it"


def test_the_check_sees_imports() -> None:
    assert ("fastdht.types", "fastdht.errors") in EDGES
    assert ("fastdht._ext.ids", "fastdht._ext.addresses") in EDGES
