"""Translators map and filter as RFC 4787 says of their kind."""
from __future__ import annotations

import pytest

from fastdht.testing import Nat, NatKind, SimNetwork, VirtualLoop
from fastdht.types import Endpoint
from tests.unit.sim_toys import Toy, settle

INSIDE = Endpoint("192.168.1.2", 6881)
OUTSIDE = Endpoint("11.9.9.9", 6881)
SAME_IP = Endpoint("11.9.9.9", 7000)
STRANGER = Endpoint("11.8.8.8", 6881)
EXTERNAL_IP = "11.5.5.5"


@pytest.fixture
def loop():
    loop = VirtualLoop(seed=1)
    yield loop
    loop.close()


def make(loop: VirtualLoop, kind: NatKind, **options: float) -> tuple[SimNetwork, Nat, Toy, list[Toy]]:
    network = SimNetwork(loop)
    nat = Nat(kind, Endpoint(EXTERNAL_IP, 1).pack()[:-2], **options)
    inside = Toy(network, INSIDE, nat=nat)
    return network, nat, inside, [Toy(network, place) for place in (OUTSIDE, SAME_IP, STRANGER)]


# Who reaches a node that has sent to OUTSIDE only: OUTSIDE, another port of the same address, a stranger.
REACHES = [
    (NatKind.FULL_CONE, [True, True, True]),
    (NatKind.RESTRICTED, [True, True, False]),
    (NatKind.PORT_RESTRICTED, [True, False, False]),
    (NatKind.SYMMETRIC, [True, False, False]),
]


@pytest.mark.parametrize(("kind", "reaches"), REACHES)
def test_nat_when_one_target_was_contacted_then_filters_by_kind(loop: VirtualLoop, kind: NatKind,
                                                              reaches: list[bool]) -> None:
    _, _, inside, others = make(loop, kind)
    inside.send(b"out", OUTSIDE)
    settle(loop, 1)
    external = others[0].got[0][2]
    assert external.ip == EXTERNAL_IP
    for other in others:
        other.send(b"in", external)
    settle(loop, 1)
    got = {source for _, _, source in inside.got}
    assert [other.transport.local in got for other in others] == reaches


@pytest.mark.parametrize("kind", list(NatKind))
def test_nat_when_two_targets_then_only_symmetric_shows_two_ports(loop: VirtualLoop, kind: NatKind) -> None:
    _, _, inside, others = make(loop, kind)
    inside.send(b"out", OUTSIDE)
    inside.send(b"out", STRANGER)
    settle(loop, 1)
    seen = {others[0].got[0][2], others[2].got[0][2]}
    assert len(seen) == (2 if kind is NatKind.SYMMETRIC else 1)


@pytest.mark.parametrize("kind", list(NatKind))
def test_nat_when_nothing_was_sent_then_nobody_gets_in(loop: VirtualLoop, kind: NatKind) -> None:
    network, _, inside, others = make(loop, kind)
    others[0].send(b"in", Endpoint(EXTERNAL_IP, 20_000))
    others[0].send(b"in", INSIDE)
    settle(loop, 1)
    assert inside.got == []
    assert network.dropped["nat"] == 1


@pytest.mark.parametrize("kind", list(NatKind))
def test_nat_when_the_mapping_expired_then_closed_and_a_new_port_opens(loop: VirtualLoop, kind: NatKind) -> None:
    _, _, inside, others = make(loop, kind, lifetime_s=30)
    inside.send(b"out", OUTSIDE)
    settle(loop, 29)
    old = others[0].got[0][2]
    others[0].send(b"in time", old)
    settle(loop, 2)
    others[0].send(b"too late", old)
    settle(loop, 1)
    inside.send(b"out again", OUTSIDE)
    settle(loop, 1)
    assert [data for _, data, _ in inside.got] == [b"in time"]
    assert others[0].got[1][2] != old


def test_nat_when_sent_through_then_the_mapping_lives_on(loop: VirtualLoop) -> None:
    _, _, inside, others = make(loop, NatKind.PORT_RESTRICTED, lifetime_s=30)
    for _ in range(5):
        inside.send(b"keep", OUTSIDE)
        settle(loop, 20)
    assert len({source for _, _, source in others[0].got}) == 1


def test_nats_when_two_hide_the_same_internal_endpoint_then_told_apart(loop: VirtualLoop) -> None:
    network, _, inside, others = make(loop, NatKind.FULL_CONE)
    other_nat = Nat(NatKind.FULL_CONE, Endpoint("11.6.6.6", 1).pack()[:-2])
    twin = Toy(network, INSIDE, nat=other_nat)
    inside.send(b"first", OUTSIDE)
    twin.send(b"second", OUTSIDE)
    settle(loop, 1)
    for data, place in [(data, source) for _, data, source in others[0].got]:
        others[0].send(b"to " + data, place)
    settle(loop, 1)
    assert [data for _, data, _ in inside.got] == [b"to first"]
    assert [data for _, data, _ in twin.got] == [b"to second"]
    twin.transport.close()
    inside.send(b"still here", STRANGER)
    settle(loop, 1)
    assert len(others[2].got) == 1


def test_nat_when_rebooted_then_ports_change(loop: VirtualLoop) -> None:
    _, nat, inside, others = make(loop, NatKind.FULL_CONE)
    inside.send(b"1", OUTSIDE)
    nat.rebind()
    inside.send(b"2", OUTSIDE)
    settle(loop, 1)
    assert len({source for _, _, source in others[0].got}) == 2


def test_nat_when_ports_run_out_then_the_oldest_mapping_gives_way(loop: VirtualLoop) -> None:
    nat = Nat(NatKind.SYMMETRIC, bytes([11, 5, 5, 5]))
    inside = INSIDE.pack()
    first = nat.outbound(inside, OUTSIDE.pack(), 0)
    targets = [bytes([11, 1, i >> 8, i & 255, 0, 1]) for i in range(65_536 - 20_000)]
    externals = [nat.outbound(inside, target, 0) for target in targets]
    assert externals[-1] == first and len(set(externals)) == len(externals)
    assert nat.inbound(first, OUTSIDE.pack(), 0) is None
    assert nat.inbound(first, targets[-1], 0) == inside
