"""Address ranges against a search through all of them, where they are few, many, nested, and at the ends of the space."""
from __future__ import annotations

import ipaddress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdht import Blocklist
from fastdht._ext.blocklist import AddressRanges

Pairs = list[tuple[int, int]]


def ranges_of(bits: int) -> st.SearchStrategy[Pairs]:
    """Ends that often coincide, lie near each other, at a border of /16 or at the end of the space."""
    top = (1 << bits) - 1
    edges = st.builds(lambda block, step: min(top, max(0, (block << (bits - 16)) + step)),
                      st.integers(0, 65535), st.integers(-3, 3))
    place = st.one_of(st.integers(0, 40), st.integers(top - 40, top), edges, st.integers(0, top))
    return st.lists(st.tuples(place, place).map(lambda pair: (min(pair), max(pair))), max_size=30)


def held_by_any(pairs: Pairs, address: int) -> bool:
    return any(first <= address <= last for first, last in pairs)


@pytest.mark.parametrize("bits", [32, 128])
@given(data=st.data())
def test_ranges_hold_what_any_of_them_holds(bits: int, data: st.DataObject) -> None:
    pairs = data.draw(ranges_of(bits))
    ranges = AddressRanges(pairs) if bits == 32 else AddressRanges((), pairs)
    top = (1 << bits) - 1
    probes = {min(top, max(0, end + step)) for pair in pairs for end in pair for step in (-1, 0, 1)} | {0, top}
    probes |= set(data.draw(st.lists(st.integers(0, top), max_size=5)))
    for address in probes:
        assert ranges.holds(address.to_bytes(bits // 8, "big")) == held_by_any(pairs, address), hex(address)


@pytest.mark.parametrize("bits", [32, 128])
def test_many_ranges_hold_what_a_sorted_search_finds(bits: int, seed: int) -> None:
    """30,000 ranges, most within a few blocks, as real lists are; the oracle marks every end."""
    rng = Random(seed)
    blocks = [rng.getrandbits(16) << (bits - 16) for _ in range(50)]
    pairs = []
    for _ in range(30_000):
        first = rng.choice(blocks) + rng.getrandbits(bits - 16)
        pairs.append((first, min((1 << bits) - 1, first + rng.getrandbits(rng.randrange(1, bits - 20)))))
    ranges = AddressRanges(pairs) if bits == 32 else AddressRanges((), pairs)
    ends = sorted([(first, 0) for first, _ in pairs] + [(last, 2) for _, last in pairs] + [
        (address, 1) for address in (rng.choice(blocks) + rng.getrandbits(bits - 16) for _ in range(20_000))])
    open_ranges = 0
    for address, kind in ends:          # at one address, ranges open first and close last
        open_ranges += (kind == 0) - (kind == 2)
        if kind == 1:
            assert ranges.holds(address.to_bytes(bits // 8, "big")) == (open_ranges > 0)


@given(pairs=ranges_of(32), six=ranges_of(128))
def test_text_of_any_ranges_reads_back(pairs: Pairs, six: Pairs) -> None:
    lines = [f"r{first}: x - y:{ipaddress.IPv4Address(first)}-{ipaddress.IPv4Address(last)}" for first, last in pairs]
    lines += [f"six {first}:{ipaddress.IPv6Address(first)}-{ipaddress.IPv6Address(last)}" for first, last in six
              if first >> 32 != 0xFFFF]
    blocklist = Blocklist.parse("\n".join(lines))
    for first, last in pairs:
        assert str(ipaddress.IPv4Address(first)) in blocklist and str(ipaddress.IPv4Address(last)) in blocklist
    for first, last in six:
        if first >> 32 != 0xFFFF:
            assert str(ipaddress.IPv6Address(first)) in blocklist and str(ipaddress.IPv6Address(last)) in blocklist
