"""Counts what a crawl found, for its report. Rate class: command.

Parts are read a column at a time and counted by Arrow, so that ten million rows need no object each. A directory of a
crawl that was cut off is read as far as it goes; what is missing is said, never guessed.
"""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdht.crawl import timeline
from fastdht.crawl.layout import node_parts
from fastdht.errors import PersistError

if TYPE_CHECKING:
    import pyarrow

PREFIX_DIGITS = 3           # hexadecimal: 4,096 slices of the key space
RTT_BINS_PER_OCTAVE = 4
FIRST_OCTAVE = 6            # 64 µs
OCTAVES = 18                # up to 16 s
TOP = 15                    # rows of a list

# BEP 20's two letters, as DHT nodes send them in `v`
CLIENTS = {"LT": "libtorrent", "UT": "µTorrent", "lt": "libTorrent (rTorrent)", "TR": "Transmission",
           "A2": "aria2", "WW": "WebTorrent", "AZ": "Vuze", "ml": "mldht", "BT": "BitTorrent", "FD": "fastdht"}


@dataclass(slots=True)
class Findings:
    """What the page shows; counters are of found nodes."""

    directory: str
    note: dict[str, Any]                # crawl.json
    summary: dict[str, Any]             # summary.json; empty where the crawl did not end
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


def gather(directory: Path) -> Findings:
    """Read a crawl's directory. Raises PersistError when it holds no crawl, or pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise PersistError("the report needs pyarrow: pip install 'fastdht[report]'") from None
    note = read_json(directory / "crawl.json")
    if note is None:
        raise PersistError(f"{directory} holds no crawl: crawl.json is missing or unreadable")
    findings = Findings(directory.name, note, read_json(directory / "summary.json") or {})
    findings.timeline = list(read_lines(directory / timeline.NAME))
    parts = node_parts(directory)
    count_ids(findings, read_column(parts, "id"))
    count_addresses(findings, read_column(parts, "ip"))
    count_answers(findings, read_column(parts, "rtt_us"), read_column(parts, "status"), read_column(parts, "bep42"))
    count_versions(findings, read_column(parts, "v"))
    return findings


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def read_lines(path: Path) -> Iterator[dict[str, float]]:
    """Objects of a JSON lines file; a torn last line, as a crash leaves it, is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if isinstance(values, dict):
                yield values


def read_column(parts: list[Path], name: str) -> pyarrow.ChunkedArray:
    """One column of all parts. Raises PersistError for a file that is no part."""
    import pyarrow
    import pyarrow.json
    import pyarrow.parquet

    chunks = []
    for path in parts:
        try:
            if path.suffix == ".parquet":
                table = pyarrow.parquet.read_table(path, columns=[name])
            elif path.stat().st_size:
                table = pyarrow.json.read_json(path)
            else:
                continue
            chunks += table.column(name).chunks
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise PersistError(f"{path} cannot be read: {error}") from None
    return pyarrow.chunked_array(chunks) if chunks else pyarrow.chunked_array([], type=pyarrow.null())


def counted(column: pyarrow.ChunkedArray) -> dict[Any, int]:
    """Value → how often."""
    import pyarrow.compute as compute

    counts = compute.value_counts(column)
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def most(column: pyarrow.ChunkedArray, number: int = TOP) -> list[tuple[str, int]]:
    """The most frequent values, most frequent first."""
    import pyarrow
    import pyarrow.compute as compute

    counts = compute.value_counts(column)
    table = pyarrow.table({"value": counts.field("values"), "count": counts.field("counts")})
    top = table.take(compute.select_k_unstable(table, k=min(number, len(table)), sort_keys=[("count", "descending")]))
    return list(zip(top.column("value").to_pylist(), top.column("count").to_pylist(), strict=True))


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
    findings.crowded = [(ip, count) for ip, count in most(addresses) if count > 1]
    networks = compute.replace_substring_regex(
        addresses.filter(compute.invert(is_v6)), pattern=r"\.\d+$", replacement=".0/24")
    findings.networks = most(networks) if len(networks) else []


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
    if not len(versions):
        return
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
