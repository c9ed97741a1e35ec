"""Inbox and Outbox: order, bounds, refusal. The layout itself is exercised by every test that sends a packet."""
from __future__ import annotations

import random

import pytest

from fastdht._ext.packets import Inbox, Outbox
from fastdht.types import Endpoint

V4 = Endpoint("127.0.0.1", 6881).pack()
V6 = Endpoint("::1", 6881).pack()


def test_inbox_when_filled_gives_back_data_and_sources_in_order() -> None:
    inbox = Inbox(capacity=3)
    batch = [(b"one", V4), (b"", V6), (b"x" * 8192, V4)]
    assert [inbox.put(*datagram) for datagram in batch] == [True, True, True]
    assert len(inbox) == 3
    assert inbox.take() == batch
    assert len(inbox) == 0


def test_inbox_when_full_refuses_the_newest() -> None:
    inbox = Inbox(capacity=1)
    assert inbox.put(b"kept", V4)
    assert not inbox.put(b"refused", V4)
    assert inbox.take() == [(b"kept", V4)]


def test_inbox_when_a_datagram_is_too_long_cuts_and_flags_it() -> None:
    inbox = Inbox(capacity=2)
    inbox.put(b"a" * 8192, V4)
    inbox.put(b"b" * 8193, V4)
    assert inbox.truncated == 1
    assert [len(data) for data, _ in inbox.take()] == [8192, 8192]


def test_inbox_when_cleared_is_empty() -> None:
    inbox = Inbox()
    inbox.put(b"gone", V4)
    inbox.clear()
    assert len(inbox) == 0 and inbox.take() == []


@pytest.mark.parametrize("source", [b"", b"12345", b"1234567", b"1" * 19])
def test_put_when_the_endpoint_is_malformed_raises_and_queues_nothing(source: bytes) -> None:
    inbox, outbox = Inbox(), Outbox()
    with pytest.raises(ValueError, match=f"{len(source)} bytes; 6"):
        inbox.put(b"data", source)
    with pytest.raises(ValueError, match=f"{len(source)} bytes; 6"):
        outbox.put(b"data", source)
    assert len(inbox) == len(outbox) == 0


@pytest.mark.parametrize("capacity", [0, -1, 65537, 1 << 40])
def test_construction_when_the_capacity_is_absurd_raises(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity is"):
        Inbox(capacity)
    with pytest.raises(ValueError, match="capacity is"):
        Outbox(capacity)


@pytest.mark.parametrize(("asked", "held"), [(1, 1), (2, 2), (3, 4), (64, 64), (65, 128)])
def test_outbox_when_full_refuses_and_counts(asked: int, held: int) -> None:
    outbox = Outbox(asked)
    assert sum(outbox.put(b"x", V4) for _ in range(held + 5)) == held
    assert len(outbox) == held
    assert outbox.refused == 5


def test_outbox_when_a_datagram_is_too_long_raises() -> None:
    outbox = Outbox()
    assert outbox.put(b"x" * 1488, V4)
    with pytest.raises(ValueError, match="1489 bytes; at most 1488"):
        outbox.put(b"x" * 1489, V4)
    assert len(outbox) == 1


def test_outbox_when_it_wraps_keeps_the_order_of_a_queue() -> None:
    seed = 20
    print(f"seed {seed}")
    rng = random.Random(seed)
    outbox, oracle = Outbox(8), []
    for step in range(2000):
        if rng.random() < 0.9:
            datagram = (step.to_bytes(4, "big") * rng.randrange(300), rng.choice([V4, V6]))
            assert outbox.put(*datagram) == (len(oracle) < 8)
            oracle = (oracle + [datagram])[:8]
        else:
            assert outbox.take() == oracle
            oracle = []
