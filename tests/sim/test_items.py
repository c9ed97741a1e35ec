"""Items of BEP 44 against scripted storing nodes: what is believed, what is sent where, what a write reports."""
from __future__ import annotations

import asyncio

import pytest

from fastdht import (
    LocalProtocolError, LookupFailed, NotFound, WriteRejected, crypto, load_item, make_item, sign_item)
from fastdht.testing import builders
from tests.oracle.responder import Responder, Stored, value_of
from tests.sim.sim_kit import simulate
from tests.sim.stage import stage

KEY = crypto.SigningKey.from_seed(bytes(range(32)))
HELLO = b"12:Hello World!"
HELLO_TARGET = bytes.fromhex("e5f96f6f38320f0f33959cb4d3d656452117aadb")        # BEP 44, test 3


def signed(seq: int, value: object = b"x", salt: bytes = b"") -> Stored:
    item = sign_item(KEY, value, seq=seq, salt=salt)
    return Stored(item.raw, item.public_key, item.signature, item.seq)


def closest(scripted: list[Responder], target: bytes, count: int = 8) -> list[Responder]:
    chosen = {found.id for found in builders.closest([each.contact for each in scripted], target, count)}
    return [each for each in scripted if each.contact.id in chosen]


def test_get_when_one_node_has_the_value_then_it_comes_and_the_lookup_stops(fastdht_seed):
    async def main():
        async with stage(40, seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.items[HELLO_TARGET] = Stored(HELLO)
            item = await node.get(HELLO_TARGET)
            await asyncio.sleep(5)
            return item, sum(len(each.asked("get")) for each in scripted)

    item, asked = simulate(main, fastdht_seed)
    assert (item.value, item.raw, bytes(item.target), item.is_mutable) == (b"Hello World!", HELLO, HELLO_TARGET, False)
    assert asked <= 4                   # alpha: nobody is asked once the first answer is there


def test_get_when_the_value_is_not_canonical_then_its_bytes_are_hashed_as_they_came(fastdht_seed):
    raw = b"d1:bi1e1:ai2ee"             # keys out of order

    async def main():
        async with stage(seed=fastdht_seed) as ([node], scripted):
            target = crypto.immutable_target(raw)
            closest(scripted, target)[0].items[target] = Stored(raw)
            return await node.get(target)

    item = simulate(main, fastdht_seed)
    assert (item.raw, item.value) == (raw, {b"a": 2, b"b": 1})


def test_get_when_every_value_is_forged_then_not_found_and_nothing_believed(fastdht_seed):
    async def main():
        async with stage(seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.items[HELLO_TARGET] = Stored(b"5:Hello")
            with pytest.raises(NotFound) as caught:
                await node.get(HELLO_TARGET)
            return caught.value.report

    report = simulate(main, fastdht_seed)
    assert report.copies == ()
    assert report.lookup.responses >= 8


def test_get_when_nobody_answers_then_lookup_failed(fastdht_seed):
    async def main():
        async with stage(seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.silences = lambda query: True
            with pytest.raises(LookupFailed):
                await node.get(HELLO_TARGET)

    simulate(main, fastdht_seed)


def test_get_mutable_when_nodes_differ_then_the_newest_with_a_good_signature(fastdht_seed):
    target = crypto.mutable_target(KEY.public_key)

    async def main():
        async with stage(seed=fastdht_seed) as ([node], scripted):
            near = closest(scripted, target)
            for each, seq in zip(near, (3, 5, 4, 5, 1, 2, 3, 4)):
                each.items[target] = signed(seq, seq)
            forged = signed(9, 9)
            forged.value = b"i8e"
            near[-1].items[target] = forged
            near[-2].items[target] = Stored(b"i7e", KEY.public_key, bytes(64), 2**63 - 1)
            found = await node.get_mutable(KEY.public_key)
            with pytest.raises(NotFound, match="seq 5; at least 6"):
                await node.get_mutable(KEY.public_key, seq=6)
            return found, await node.get_mutable(KEY.public_key, seq=5)

    found, same = simulate(main, fastdht_seed)
    assert (found.seq, found.value, found.public_key) == (5, 5, KEY.public_key)
    assert same == found
    assert crypto.verify(found.signature, crypto.signing_buffer(found.raw, 5), KEY.public_key)


def test_get_mutable_when_salted_then_only_with_its_salt(fastdht_seed):
    target = crypto.mutable_target(KEY.public_key, b"one")

    async def main():
        async with stage(seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.items[target] = signed(1, b"salted", b"one")
            with pytest.raises(NotFound):
                await node.get(target)          # without the salt nothing proves that it belongs there
            return await node.get_mutable(KEY.public_key, salt=b"one")

    item = simulate(main, fastdht_seed)
    assert (item.value, item.salt) == (b"salted", b"one")


def test_find_item_when_some_hold_it_then_each_copy_is_told(fastdht_seed):
    target = crypto.mutable_target(KEY.public_key)

    async def main():
        async with stage(seed=fastdht_seed) as ([node], scripted):
            holders = closest(scripted, target)[:3]
            for each, seq in zip(holders, (1, 2, 2)):
                each.items[target] = signed(seq)
            report = await node.find_item(target)
            return {copy.contact: copy.item.seq for copy in report.copies}, report.newest, holders

    copies, newest, holders = simulate(main, fastdht_seed)
    assert copies == dict(zip((each.contact for each in holders), (1, 2, 2)))
    assert newest.seq == 2


def test_put_when_immutable_then_the_eight_closest_store_it_under_its_hash(fastdht_seed):
    async def main():
        async with stage(40, seed=fastdht_seed) as ([node], scripted):
            report = await node.put("Hello World!")
            holders = {each.contact.id for each in scripted if HELLO_TARGET in each.items}
            puts = [query for each in scripted for query in each.asked("put")]
            return report, holders, {each.contact.id for each in closest(scripted, HELLO_TARGET)}, puts

    report, holders, expected, puts = simulate(main, fastdht_seed)
    assert bytes(report.target) == HELLO_TARGET
    assert holders == expected
    assert report.accepted == 8 == len(puts)
    assert {query["target"] for query in puts} == {HELLO_TARGET}       # some nodes refuse a put without it
    assert report.seq is None


def test_put_when_a_reply_is_lost_then_repeated_and_accepted(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.silences = lambda query, each=each: query["method"] == "put" and len(each.asked("put")) == 1
            return await node.put(b"x"), [len(each.asked("put")) for each in scripted]

    report, puts = simulate(main, fastdht_seed)
    assert report.accepted == 8
    assert puts == [2] * 8


def test_put_with_cas_when_a_reply_is_lost_then_our_own_write_is_no_conflict(fastdht_seed):
    target = crypto.mutable_target(KEY.public_key)

    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.items[target] = signed(1)
                each.silences = lambda query, each=each: query["method"] == "put" and len(each.asked("put")) == 1
            return await node.put_mutable(KEY, b"y", cas=1)

    report = simulate(main, fastdht_seed)
    assert (report.accepted, report.conflicts, report.seq) == (8, (), 2)


def test_put_mutable_when_no_seq_is_given_then_one_more_than_the_newest(fastdht_seed):
    async def main():
        async with stage(seed=fastdht_seed) as ([node], _):
            seqs = [(await node.put_mutable(KEY, turn, salt=b"s")).seq for turn in range(3)]
            return seqs, await node.get_mutable(KEY.public_key, salt=b"s")

    seqs, item = simulate(main, fastdht_seed)
    assert seqs == [1, 2, 3]
    assert (item.seq, item.value) == (3, 2)


def test_put_with_cas_when_nodes_differ_then_cas_goes_only_where_it_was_read(fastdht_seed):
    """None where there is no value (BEP 44); a stale node's own seq; the caller's everywhere else."""
    target = crypto.mutable_target(KEY.public_key)

    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for each, seq in zip(scripted, (5, 5, 4, 7)):
                each.items[target] = signed(seq, seq)
            report = await node.put_mutable(KEY, b"new", seq=6, cas=5)
            sent = [each.asked("put")[0].get("cas") for each in scripted]
            codes = {outcome.contact: outcome.code for outcome in report.outcomes}
            return sent, [codes[each.contact] for each in scripted], report

    sent, codes, report = simulate(main, fastdht_seed)
    assert sent == [5, 5, 4, 5, None, None, None, None]
    assert codes == [None, None, None, 301, None, None, None, None]
    assert report.accepted == 7
    assert [outcome.code for outcome in report.conflicts] == [301]


def test_put_when_every_node_refuses_then_the_codes_stand_in_the_report(fastdht_seed):
    target = crypto.mutable_target(KEY.public_key)

    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.items[target] = signed(9)
            with pytest.raises(WriteRejected, match="error 302") as caught:
                await node.put_mutable(KEY, b"old", seq=8)
            return caught.value.report

    report = simulate(main, fastdht_seed)
    assert {outcome.code for outcome in report.outcomes} == {302}
    assert len(report.conflicts) == 8


def test_put_item_when_signed_by_somebody_else_then_stored_again_as_it_is(fastdht_seed):
    item = sign_item(KEY, [1, b"two", {"three": 3}], seq=7, salt=b"salt")

    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            again = load_item(item.raw, public_key=item.public_key, signature=item.signature, seq=7, salt=b"salt")
            await node.put_item(again, to=[scripted[0].contact.endpoint])
            return [value_of(each.items.values()) for each in scripted], again

    stored, again = simulate(main, fastdht_seed)
    assert stored == [[[1, b"two", {b"three": 3}]], [], [], [], [], [], [], []]
    assert again == item


def test_get_when_two_ask_at_once_then_they_share_the_traffic(fastdht_seed):
    async def main():
        async with stage(seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.items[HELLO_TARGET] = Stored(HELLO)
            first, second = await asyncio.gather(node.get(HELLO_TARGET), node.get(HELLO_TARGET))
            return first == second, max(len(each.asked("get")) for each in scripted)

    assert simulate(main, fastdht_seed) == (True, 1)


def test_get_when_its_task_is_cancelled_then_its_traffic_stops(fastdht_seed):
    async def main():
        async with stage(40, seed=fastdht_seed) as ([node], scripted):
            task = asyncio.ensure_future(node.get(HELLO_TARGET))
            await asyncio.sleep(0.03)
            task.cancel()
            await asyncio.sleep(0.001)
            before = sum(len(each.queries) for each in scripted)
            await asyncio.sleep(0.5)
            return sum(len(each.asked("get")) for each in scripted) - before, node.stats().lookups

    assert simulate(main, fastdht_seed) == (0, 0)


async def count_up(node, to, turns: int) -> int:
    """Add one to the stored number, `turns` times; how many tries another writer was ahead of."""
    conflicts = 0
    for _ in range(turns):
        while True:
            held = await node.get_mutable(KEY.public_key, to=to)
            try:
                report = await node.put_mutable(KEY, held.value + 1, cas=held.seq, to=to)
            except WriteRejected as error:
                report = error.report
            conflicts += len(report.conflicts)
            assert report.accepted + len(report.conflicts) == len(to)
            if report.accepted:
                break
    return conflicts


def test_two_writers_when_one_node_stores_then_no_update_is_lost(fastdht_seed):
    async def main():
        async with stage(1, clients=2, seed=fastdht_seed) as ([first, second], [storing]):
            to = [storing.contact.endpoint]
            await first.put_mutable(KEY, 0, seq=1, to=to)
            conflicts = await asyncio.gather(count_up(first, to, 500), count_up(second, to, 500))
            return sum(conflicts), await first.get_mutable(KEY.public_key, to=to)

    conflicts, item = simulate(main, fastdht_seed)
    assert (item.value, item.seq) == (1000, 1001)
    assert conflicts > 0


LIMITS = [
    ({"value": b"x" * 996}, "1000 bytes"),
    ({"value": 1.5}, "float"),
    ({"value": True}, "bool"),
    ({"value": b"x", "salt": b"s" * 65}, "salt is 65 bytes; BEP 44 allows 64"),
    ({"value": b"x", "seq": -1}, "seq is -1"),
    ({"value": b"x", "seq": 2**63}, "seq is 9223372036854775808"),
    ({"value": b"x", "seq": 5, "cas": 2**63}, "cas is 9223372036854775808"),
    ({"value": b"x", "cas": 2**63 - 1}, "the last one"),
]


@pytest.mark.parametrize(("arguments", "message"), LIMITS, ids=[message for _, message in LIMITS])
def test_put_mutable_when_outside_the_limits_then_refused_before_anybody_is_asked(fastdht_seed, arguments, message):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            with pytest.raises(LocalProtocolError, match=message):
                await node.put_mutable(KEY, arguments.pop("value"), **arguments)
            return sum(len(each.queries) for each in scripted)

    assert simulate(main, fastdht_seed) == 0


def test_put_when_the_value_is_of_999_bytes_then_stored(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], _):
            return (await node.put(b"x" * 995)).accepted        # 999 with its length and colon

    assert simulate(main, fastdht_seed) == 8


def test_load_item_when_the_signature_is_of_another_value_then_refused():
    item = sign_item(KEY, b"value", seq=1)
    with pytest.raises(LocalProtocolError, match="signature"):
        load_item(b"5:other", public_key=item.public_key, signature=item.signature, seq=1)


def test_make_item_when_text_then_its_utf8_bytes():
    assert make_item("é").raw == b"2:\xc3\xa9"
