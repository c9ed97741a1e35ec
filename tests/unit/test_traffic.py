"""What a watched transport shows, and how a datagram reads in the log."""
from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from fastdht._ext.packets import Inbox, Outbox
from fastdht.cli.traffic import describe
from fastdht.engine.traffic import RECEIVED, SENT, WatchedTransport
from fastdht.types import Endpoint
from tests.oracle import wire

HERE, THERE = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.2", 2)


class Pipe:
    """A transport that hands over what was put in, and sends as many datagrams as there is room for."""

    def __init__(self, arriving: list[tuple[bytes, bytes]], room: int) -> None:
        self.local = HERE
        self.arriving, self.room, self.sent = arriving, room, list[bytes]()

    def start(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None: ...

    def receive(self, inbox: Inbox) -> int:
        inbox.clear()
        for data, source in self.arriving:
            inbox.put(data, source)
        return len(inbox)

    def receive_errors(self, inbox: Inbox) -> int:
        return 0

    def flush(self, outbox: Outbox) -> int:
        waiting = outbox.take()
        self.sent += [data for data, _ in waiting[:self.room]]
        for data, target in waiting[self.room:]:
            outbox.put(data, target)
        return min(self.room, len(waiting))

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None: ...


def test_received_when_watched_then_arrive_unchanged_and_in_order() -> None:
    seen: list[tuple[bool, bytes, bytes]] = []
    batch = [(b"one", THERE.pack()), (b"two", HERE.pack())]
    inbox = Inbox(4)
    assert WatchedTransport(Pipe(batch, 9), lambda *each: seen.append(each)).receive(inbox) == 2
    assert inbox.take() == batch
    assert seen == [(RECEIVED, *each) for each in batch]


def test_sent_when_some_must_wait_then_each_is_shown_once() -> None:
    seen: list[bytes] = []
    pipe = Pipe([], room=2)
    watched = WatchedTransport(pipe, lambda is_sent, data, _: seen.append(data) if is_sent is SENT else None)
    outbox = Outbox(8)
    for number in range(5):
        outbox.put(b"%d" % number, THERE.pack())
    assert watched.flush(outbox) == 2
    outbox.put(b"late", THERE.pack())
    while len(outbox):
        watched.flush(outbox)
    assert seen == pipe.sent == [b"0", b"1", b"2", b"3", b"4", b"late"]


@pytest.mark.parametrize(("data", "line"), [
    (wire.query(b"announce_peer", b"\0\1", ro=True, info_hash=b"\xab" * 20, port=7, implied_port=0, token=b"tokentok"),
     ('quy 127.0.0.2:2              tx:0001 id:"6173...6564" q:announce_peer   info_hash:abab...abab '
     "token:746f...6f6b port 7 implied false ro")),
    (wire.query(b"announce_peer", b"\0\1", info_hash=b"\xab" * 20, port=7, implied_port=1, token=b"t"),
     ('quy 127.0.0.2:2              tx:0001 id:"6173...6564" q:announce_peer   info_hash:abab...abab '
     "token:74 port 7 implied true")),
    (wire.encode({b"t": b"a", b"y": b"r", b"r": {b"id": b"\1" * 20, b"nodes": bytes(52), b"values": [bytes(6)],
                                                 b"token": b"\2" * 8}, b"ip": b"\x7f\0\0\1\0\7", b"v": b"LT\1\2"}),
     'res 127.0.0.2:2              tx:61 id:"0101...0101" nodes:2 values:1 token:0202...0202 ip:127.0.0.1:7 v:4c540102'),
    (wire.encode({b"t": b"a", b"y": b"e", b"e": [203, b"bad token"]}),
     'err 127.0.0.2:2              tx:61 code:203 msg:"bad token"'),
    (wire.encode({b"t": b"a", b"y": b"e", b"e": [203, b"\x1b[2J\nred"]}),
     'err 127.0.0.2:2              tx:61 code:203 msg:"?[2J?red"'),
    (b"gibberish", "??? 127.0.0.2:2              9 bytes: "),
])
def test_datagram_when_described_then_reads_as_documented(data: bytes, line: str) -> None:
    assert describe(data, THERE).startswith(line)


@given(st.recursive(st.binary(max_size=9) | st.integers(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
    st.sampled_from([b"t", b"y", b"q", b"r", b"e", b"a", b"v", b"ip", b"id", b"nodes", b"values", b"port"]) |
    st.binary(max_size=2), inner, max_size=5)), st.sampled_from([b"q", b"r", b"e", b""]))
def test_datagram_when_it_holds_anything_then_is_one_line(value: object, kind: bytes) -> None:
    message = value if isinstance(value, dict) else {b"a": value, b"r": value, b"e": value, b"t": value, b"q": value}
    text = describe(wire.encode(message | {b"y": kind}), THERE)
    assert text.isprintable()
