"""Counts the nodes that a crawl found, for its report. Rate class: command.

A directory of a crawl that was cut off is read as far as it goes; what is missing is said, never guessed.
"""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastdht.crawl import timeline
from fastdht.crawl.layout import node_parts
from fastdht.crawl.records import NODE_COLUMNS
from fastdht.crawl.report.columns import counted, most, read_lines, read_parts
from fastdht.crawl.report.content import TOP, Source

if TYPE_CHECKING:
    import pyarrow

PREFIX_DIGITS = 3           # hexadecimal: 4,096 slices of the key space
RTT_BINS_PER_OCTAVE = 4
FIRST_OCTAVE = 6            # 64 µs
OCTAVES = 18                # up to 16 s

# BEP 20's two letters, as DHT nodes send them in `v`
CLIENTS = {"LT": "libtorrent", "UT": "µTorrent", "lt": "libTorrent (rTorrent)", "TR": "Transmission",
           "A2": "aria2", "WW": "WebTorrent", "AZ": "Vuze", "ml": "mldht", "BT": "BitTorrent", "FD": "fastdht"}


@dataclass(slots=True)
class Findings:
    """What the page shows; counters are of found nodes."""

    nodes: int = 0
    prefixes: list[int] = field(default_factory=lambda: [0] * 16**PREFIX_DIGITS)
    rtt: list[int] = field(default_factory=lambda: [0] * (RTT_BINS_PER_OCTAVE * OCTAVES))
    clients: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    bep42: int = 0
    ipv6: int = 0
    addresses: int = 0                  # different ones
    crowded: list[tuple[str, int]] = field(default_factory=list)        # addresses with most nodes
    networks: list[tuple[str, int]] = field(default_factory=list)       # IPv4 /24s with most nodes
    timeline: list[dict[str, float]] = field(default_factory=list)


def gather(source: Source) -> Findings:
    """Count the nodes of a crawl. Raises PersistError for a file that is no part."""
    findings = Findings()
    findings.timeline = list(read_lines(source.directory / timeline.NAME))
    parts = node_parts(source.directory)

    def read(*names: str) -> list[pyarrow.ChunkedArray]:
        table = read_parts(parts, NODE_COLUMNS, names)
        return [table.column(name) for name in names]

    count_ids(findings, *read("id"))
    count_addresses(findings, *read("ip"))
    count_answers(findings, *read("rtt_us", "status", "bep42"))
    count_versions(findings, read("id", "v")[1])
    return findings


def count_ids(findings: Findings, ids: pyarrow.ChunkedArray) -> None:
    import pyarrow.compute as compute

    findings.nodes = len(ids)
    if findings.nodes:
        for prefix, count in counted(compute.utf8_slice_codeunits(ids, 0, PREFIX_DIGITS)).items():
            findings.prefixes[int(prefix, 16)] = count


def count_addresses(findings: Findings, addresses: pyarrow.ChunkedArray) -> None:
    import pyarrow.compute as compute

    if not len(addresses):
        return
    is_v6 = compute.match_substring(addresses, ":")
    findings.ipv6 = compute.sum(is_v6).as_py() or 0
    findings.addresses = compute.count_distinct(addresses).as_py()
    findings.crowded = [(ip, count) for ip, count in most(addresses, TOP) if count > 1]
    networks = compute.replace_substring_regex(
        addresses.filter(compute.invert(is_v6)), pattern=r"\.\d+$", replacement=".0/24")
    findings.networks = most(networks, TOP) if len(networks) else []


def count_answers(findings: Findings, rtts: pyarrow.ChunkedArray, statuses: pyarrow.ChunkedArray,
                  secure: pyarrow.ChunkedArray) -> None:
    import pyarrow
    import pyarrow.compute as compute

    if not len(rtts):
        return
    octaves = compute.log2(compute.max_element_wise(rtts.cast(pyarrow.float64()), 2.0**FIRST_OCTAVE))
    places = compute.floor(compute.multiply(compute.subtract(octaves, FIRST_OCTAVE), RTT_BINS_PER_OCTAVE))
    for place, count in counted(places.cast(pyarrow.int32())).items():
        findings.rtt[min(place, len(findings.rtt) - 1)] += count
    findings.statuses.update(counted(statuses))
    findings.bep42 = compute.sum(secure).as_py() or 0


def count_versions(findings: Findings, versions: pyarrow.ChunkedArray) -> None:
    for digits, count in counted(versions).items():
        client, version = name_client(digits)
        findings.clients[client] += count
        findings.versions[version] += count


def name_client(digits: str | None) -> tuple[str, str]:
    """Client and exact version of a `v` of 8 hexadecimal digits; unregistered letters stay as they are."""
    if digits is None:
        return "says nothing", "says nothing"
    raw = bytes.fromhex(digits)
    letters = raw[:2].decode("ascii", "replace")
    if not letters.isprintable() or not letters.isascii():
        return "unknown", digits
    name = CLIENTS.get(letters, letters)
    return name, f"{name} {raw[2]}.{raw[3]}"


def rtt_edges() -> list[float]:
    """Where the bins of `Findings.rtt` start, in milliseconds."""
    return [2.0 ** (FIRST_OCTAVE + i / RTT_BINS_PER_OCTAVE) / 1000 for i in range(RTT_BINS_PER_OCTAVE * OCTAVES)]
