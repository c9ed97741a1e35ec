"""Builders build what BEP 5 and BEP 42 show; liars lie in the one way they are named for."""
from __future__ import annotations

import pytest

from fastdht._ext import ids, krpc
from fastdht._ext.addresses import AddressFilter
from fastdht.testing import SimNetwork, VirtualLoop, builders, liars
from fastdht.types import Contact, Endpoint
from tests.unit.sim_toys import Toy, settle

OWN = b"0123456789abcdefghij"
ASKER = b"abcdefghij0123456789"
TARGET = b"mnopqrstuvwxyz123456"
A, B = Endpoint("11.0.0.1", 6881), Endpoint("11.0.1.1", 6881)


def test_endpoints_when_many_then_all_public_and_no_two_in_a_24() -> None:
    numbers = [*range(70_000), builders.MAX_NUMBER - 1]
    places = [builders.endpoint(number) for number in numbers]
    public = AddressFilter()
    assert all(public.allows(place.pack()) for place in places)
    assert len({place.pack()[:3] for place in places}) == len(places)


def test_endpoints_when_ipv6_then_all_public_and_no_two_in_a_48() -> None:
    places = [builders.endpoint(number, is_ipv6=True) for number in range(70_000)]
    public = AddressFilter()
    assert all(public.allows(place.pack()) for place in places)
    assert len({place.pack()[:6] for place in places}) == len(places)


@pytest.mark.parametrize("number", [-1, builders.MAX_NUMBER])
def test_endpoint_when_its_number_is_out_of_range_then_refused(number: int) -> None:
    with pytest.raises(ValueError, match="endpoint number"):
        builders.endpoint(number)


@pytest.mark.parametrize("is_ipv6", [False, True])
def test_contacts_when_built_then_bep_42_accepts_them_and_seeds_differ(is_ipv6: bool) -> None:
    first, second = builders.contacts(100, 1, is_ipv6=is_ipv6), builders.contacts(100, 2, is_ipv6=is_ipv6)
    assert all(ids.is_secure(bytes(found.id), found.endpoint.pack()) for found in first)
    assert first == builders.contacts(100, 1, is_ipv6=is_ipv6)
    assert not {found.id for found in first} & {found.id for found in second}


@pytest.mark.parametrize("bits", [0, 1, 7, 8, 100, 159])
def test_id_sharing_when_asked_for_bits_then_shares_exactly_them(bits: int) -> None:
    for seed in range(20):
        assert ids.shared_prefix(TARGET, bytes(builders.id_sharing(TARGET, bits, seed))) == bits


def test_closest_when_asked_then_by_xor_distance() -> None:
    population = [Contact(builders.id_sharing(TARGET, bits, bits), builders.endpoint(bits)) for bits in range(20)]
    assert builders.closest(population, TARGET, 3) == [population[19], population[18], population[17]]


def test_query_when_built_then_is_the_example_of_bep_5() -> None:
    # BEP 5, find_node, with our four-byte tid and version (BEP 20)
    assert builders.query("find_node", ASKER, target=TARGET) == (
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t4:aaaa1:v4:FD\0\x011:y1:qe")


def test_reply_when_it_names_nodes_then_they_come_back_in_order() -> None:
    named = builders.contacts(3)
    message = krpc.parse(builders.reply(OWN, b"aa", nodes=named, token=b"t", external=A, values=[B]))
    assert message is not None
    assert builders.unpack_nodes(message["nodes"]) == named
    assert (message["id"], message["tid"], message["token"]) == (OWN, b"aa", b"t")
    assert message["external"] == A.pack() and message["values"] == [B.pack()]


def test_reply_when_nodes_are_ipv6_then_under_nodes6() -> None:
    named = builders.contacts(3, is_ipv6=True)
    message = krpc.parse(builders.reply(OWN, b"aa", nodes=named))
    assert message is not None and "nodes" not in message
    assert builders.unpack_nodes(message["nodes6"], is_ipv6=True) == named


def test_error_when_built_then_is_the_example_of_bep_5() -> None:
    assert b"d1:eli201e13:Generic Errore1:t2:aa" in builders.error(b"aa")


@pytest.fixture
def loop():
    loop = VirtualLoop(seed=1)
    yield loop
    loop.close()


def ask(loop: VirtualLoop, behaviour: object, method: str = "find_node", times: int = 1) -> list[bytes]:
    """What a node gets back from a behaviour."""
    network = SimNetwork(loop)
    asker = Toy(network, A)
    network.act(B, behaviour)
    for _ in range(times):
        asker.send(builders.query(method, ASKER, target=None if method == "ping" else TARGET), B)
    settle(loop)
    assert all(source == B for _, _, source in asker.got)
    return [data for _, data, _ in asker.got]


def one(answers: list[bytes]) -> dict[str, object]:
    message = krpc.parse(*answers)
    assert message is not None
    return message


def test_honest_when_asked_then_names_the_nearest_of_its_table(loop: VirtualLoop) -> None:
    table = builders.contacts(50)
    message = one(ask(loop, liars.honest(OWN, table)))
    assert (message["kind"], message["id"], message["tid"]) == ("r", OWN, b"aaaa")
    assert builders.unpack_nodes(message["nodes"]) == builders.closest(table, TARGET)
    assert message["external"] == A.pack()


def test_honest_when_pinged_or_asked_for_peers_then_answers_that(loop: VirtualLoop) -> None:
    assert "nodes" not in one(ask(loop, liars.honest(OWN), "ping"))


def test_honest_when_asked_for_peers_then_gives_a_token(loop: VirtualLoop) -> None:
    assert one(ask(loop, liars.honest(OWN), "get_peers"))["token"] == liars.TOKEN


def test_honest_when_it_gets_a_reply_or_noise_then_silent() -> None:
    behave = liars.honest(OWN)
    assert not list(behave(builders.reply(OWN, b"aa"), A.pack()))
    assert not list(behave(b"noise", A.pack()))


def test_silent_when_asked_then_no_answer(loop: VirtualLoop) -> None:
    assert ask(loop, liars.silent()) == []


def test_wrong_id_when_asked_twice_then_two_ids(loop: VirtualLoop) -> None:
    answers = ask(loop, liars.wrong_id(), times=2)
    assert len({krpc.parse(data)["id"] for data in answers}) == 2


def test_mirrors_id_when_asked_then_claims_to_be_the_asker(loop: VirtualLoop) -> None:
    assert one(ask(loop, liars.mirrors_id()))["id"] == ASKER


def test_next_to_target_when_asked_then_159_bits_shared(loop: VirtualLoop) -> None:
    assert ids.shared_prefix(one(ask(loop, liars.next_to_target()))["id"], TARGET) == 159


def test_wrong_tid_when_asked_then_the_tid_is_another_of_the_same_length(loop: VirtualLoop) -> None:
    tid = one(ask(loop, liars.wrong_tid(OWN)))["tid"]
    assert tid != b"aaaa" and len(tid) == 4


def test_names_only_when_asked_then_only_colluders(loop: VirtualLoop) -> None:
    colluders = builders.contacts(3, seed=9)
    message = one(ask(loop, liars.names_only(OWN, colluders)))
    assert set(builders.unpack_nodes(message["nodes"])) == set(colluders)


def test_votes_when_asked_then_tells_a_false_address(loop: VirtualLoop) -> None:
    assert one(ask(loop, liars.votes(OWN, Endpoint("11.6.6.6", 1))))["external"] == Endpoint("11.6.6.6", 1).pack()


def test_garbage_when_asked_then_no_message(loop: VirtualLoop) -> None:
    answers = ask(loop, liars.garbage(), times=20)
    assert len(answers) == 20 and all(krpc.parse(data) is None for data in answers)


def test_reflects_when_asked_then_the_question_comes_back(loop: VirtualLoop) -> None:
    assert ask(loop, liars.reflects()) == [builders.query("find_node", ASKER, target=TARGET)]


def test_repeats_when_asked_once_then_answers_three_times(loop: VirtualLoop) -> None:
    answers = ask(loop, liars.repeats(liars.honest(OWN), 3))
    assert len(answers) == 3 and len(set(answers)) == 1
