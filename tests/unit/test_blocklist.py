"""Block lists as people write them, and what a node does with an address that is on one."""
from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from fastdht import Blocklist, ConfigError, Endpoint, Node, NoResponse
from fastdht._ext.blocklist import AddressRanges
from fastdht.config import CoreConfig
from fastdht.testing import builders
from tests.unit.core_kit import ASKER, Kit

P2P = """# a comment
Some organisation:1.2.3.0-1.2.3.255

  Spaces around : 4.4.4.4 - 4.4.4.8
No. 1: a "name", with 9.9.9.9 - and colons: 5.5.5.5-5.5.5.6
"""


@pytest.mark.parametrize(("line", "inside", "outside"), [
    ("org:1.2.3.4-1.2.3.6", ["1.2.3.4", "1.2.3.5", "1.2.3.6"], ["1.2.3.3", "1.2.3.7"]),
    ("a:b:c - d:1.2.3.4-1.2.3.4", ["1.2.3.4"], ["1.2.3.3", "1.2.3.5"]),
    ("http://x.org/1-2:8:1.2.3.4-1.2.3.4", ["1.2.3.4"], ["0.0.0.8"]),
    ("1.0.0.0-2.0.0.0:3.0.0.1-3.0.0.2", ["3.0.0.1"], ["1.0.0.0", "2.0.0.0"]),   # the last colon that leaves a range
    ("1.2.3.4-1.2.3.6", ["1.2.3.5"], ["1.2.3.7"]),
    (" 1.2.3.4  -  1.2.3.6 ; why", ["1.2.3.5"], ["1.2.3.7"]),
    ("zeros:001.002.003.004-001.002.003.010", ["1.2.3.4", "1.2.3.10"], ["1.2.3.11"]),
    ("1.2.3.77/24", ["1.2.3.0", "1.2.3.255"], ["1.2.4.0"]),
    ("1.2.3.0/24 # SBL1", ["1.2.3.9"], ["1.2.4.0"]),
    ("1.2.3.4", ["1.2.3.4"], ["1.2.3.5"]),
    ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "2001:db8::"]),
    ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"], ["2001:db9::", "1.2.3.4"]),
    ("2001:db8::7", ["2001:db8::7"], ["2001:db8::8"]),
    ("2001:db8::1-2001:db8::ff", ["2001:db8::1", "2001:db8::80"], ["2001:db8::100", "db8::1"]),
    ("org: six:2001:db8::1-2001:db8::ff", ["2001:db8::80"], ["2001:db8::100"]),
    ("::/0", ["::", "2001:db8::", "ffff::"], ["1.2.3.4"]),
    ("mapped:::ffff:1.2.3.4-::ffff:1.2.3.6", ["1.2.3.5"], ["1.2.3.7"]),
    ("\ufffd\u00e9:1.2.3.4-1.2.3.4", ["1.2.3.4"], []),
])
def test_line_of_a_list_blocks_what_it_says(line: str, inside: list[str], outside: list[str]) -> None:
    blocklist = Blocklist.parse(line)
    assert len(blocklist) == 1
    assert [ip for ip in inside if ip not in blocklist] == []
    assert [ip for ip in outside if ip in blocklist] == []


def test_list_of_several_lines_skips_comments_and_blank_ones() -> None:
    blocklist = Blocklist.parse(P2P + "; another\n// and another\n\t\n6.6.6.6\n")
    assert len(blocklist) == 4
    assert all(ip in blocklist for ip in ("1.2.3.9", "4.4.4.6", "5.5.5.6", "6.6.6.6"))
    assert "9.9.9.9" not in blocklist


def test_mapped_address_is_that_of_ipv4() -> None:
    listed = Blocklist.parse("192.0.2.0/24")
    assert "::ffff:192.0.2.7" in listed
    assert "::ffff:192.0.3.7" not in listed


def test_ranges_that_overlap_or_touch_become_one() -> None:
    blocklist = Blocklist.parse("c:1.0.0.9-1.0.0.20\na:1.0.0.0-1.0.0.9\nb:1.0.0.3-1.0.0.4\n1.0.0.21\n1.0.0.23")
    assert len(blocklist) == 2
    assert "1.0.0.21" in blocklist and "1.0.0.22" not in blocklist


@pytest.mark.parametrize(("line", "why"), [
    ("nothing", "neither"),
    ("no colon 1.2.3.4-1.2.3", "neither"),
    ("org:1.2.3.4", "neither"),
    ("org:1.2.3.4-", "neither"),
    ("org:1.2.3.4-1.2.3.256", "neither"),
    ("org:1.2.3.4-2001:db8::1", "neither"),
    ("org:001.002.003.004-999.1.1.1", "neither"),
    ("org:1.2.3.9-1.2.3.4", "ends before it begins"),
    ("1.2.3.0/33", "1.2.3.0/33"),
    ("2001:db8::/129", "2001:db8::/129"),
])
def test_line_that_is_no_entry_raises_with_name_and_line(line: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.p2p, line 3: ") as error:
        Blocklist.parse(f"# first\n\n{line}\n", "my.p2p")
    assert why in str(error.value) and line in str(error.value)


def test_files_and_standard_input_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tmp_path / "one.p2p"
    one.write_bytes(b"caf\xe9:1.1.1.1-1.1.1.2\r\nother:2.2.2.2-2.2.2.2\r\n")     # not UTF-8, as many lists are not
    monkeypatch.setattr("sys.stdin", io.StringIO("3.3.3.3\n"))
    blocklist = Blocklist.read(one, "-")
    assert len(blocklist) == 3
    assert all(ip in blocklist for ip in ("1.1.1.2", "2.2.2.2", "3.3.3.3"))


def test_error_in_a_file_names_it_and_the_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.p2p"
    bad.write_text("a:1.1.1.1-1.1.1.2\nb:1.1.1.1\n")
    with pytest.raises(ConfigError, match=r"bad\.p2p, line 2: 'b:1\.1\.1\.1'"):
        Blocklist.read(bad)


def test_file_that_is_missing_raises_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.p2p: No such file"):
        Blocklist.read(tmp_path / "none.p2p")


@pytest.mark.parametrize("pairs", [[(5, 4)], [(-1, 3)], [(0, 1 << 32)]])
def test_ranges_outside_their_family_raise(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="it must not end before it begins, nor exceed 32 bits"):
        AddressRanges(pairs)


def test_datagram_from_a_blocked_address_is_dropped_and_counted() -> None:
    kit = Kit(blocklist=Blocklist.parse(ASKER.endpoint.ip))
    assert kit.send(builders.query("ping", ASKER.id)) == []
    other = builders.contact(2)
    assert kit.send(builders.query("ping", other.id), other.endpoint)
    assert (kit.counter("drop_blocked"), kit.counter("drop_bad_source")) == (1, 0)
    kit.core.check_invariants()


def test_block_list_outranks_allowed_ranges() -> None:
    kit = Kit(allowed_nets=("127.0.0.0/8",), blocklist=Blocklist.parse("127.0.0.1"))
    assert kit.send(builders.query("ping", ASKER.id), Endpoint("127.0.0.1", 5)) == []
    assert kit.send(builders.query("ping", ASKER.id), Endpoint("127.0.0.2", 5))


def test_blocked_address_is_never_asked() -> None:
    kit = Kit(blocklist=Blocklist.parse(f"{builders.contact(5).endpoint.ip}\n{ASKER.endpoint.ip}"))
    assert not kit.core.query(0, ASKER.endpoint.pack(), 0, kit.now)
    assert not kit.core.query_raw(ASKER.endpoint.pack(), 0, kit.now, b"d1:q4:ping1:t4:", b"1:y1:qe")
    assert kit.sent() == []
    assert kit.counter("query_blocked") == 2
    good = builders.contact(4)
    kit.befriend(good)
    slot = kit.core.open_lookup(1, builders.node_id(9), 8, 8, 0, 50, kit.now + 60_000_000, kit.now,
                                [ASKER.endpoint.pack()])
    kit.core.step_lookups([Eager()] * (slot + 1), kit.now)
    [(asked, target)] = kit.outgoing()
    assert target == good.endpoint
    named = builders.contacts(4, first=3)       # numbers 3 to 6: the third is on the list
    kit.send(builders.reply(good.id, asked["tid"], nodes=named), good.endpoint)
    kit.core.step_lookups([Eager()] * (slot + 1), kit.now)
    assert {target for _, target in kit.outgoing()} == {each.endpoint for each in named} - {
        good.endpoint, builders.contact(5).endpoint}


class Eager:
    """Asks whoever has not been asked."""

    def step(self, in_flight: int, fresh: int, pending: int, answered: int, flags: int) -> int:
        return fresh

    def on_results(self) -> None: ...


def test_node_that_is_told_to_ask_a_blocked_address_says_so() -> None:
    async def scenario() -> None:
        async with Node("127.0.0.1:0", bootstrap=(), allow_net=["127.0.0.0/8"],
                        blocklist=Blocklist.parse("127.0.0.9")) as node:
            with pytest.raises(NoResponse, match=r"127\.0\.0\.9:5 is on the block list"):
                await node.ping("127.0.0.9:5")

    asyncio.run(scenario())


def test_config_without_a_block_list_is_the_default() -> None:
    assert CoreConfig().blocklist is None
