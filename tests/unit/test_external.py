"""Our address by vote: reliability against liars, and adoption of a true change (BEP 42)."""
from __future__ import annotations

from fastdht.engine.external import HOLD_US, MINUTE_US, ExternalAddress

TRUE = bytes([80, 1, 2, 3]) + b"\x1a\xe1"
FALSE = bytes([66, 6, 6, 6]) + b"\x1a\xe1"
OTHER = bytes([90, 9, 9, 9]) + b"\x1a\xe1"


def voter(number: int) -> bytes:
    """A compact endpoint in a /24 of its own."""
    return bytes([20 + number // 256, number % 256, 7, 1]) + b"\x1a\xe1"


def test_decide_when_the_user_has_said_it_then_votes_do_not_count():
    external = ExternalAddress()
    external.fix(TRUE[:4])
    for number in range(100):
        external.vote(voter(number), FALSE, 0)
    assert (external.decide(1), external.adopted) == (None, TRUE[:4])


def test_decide_when_four_agree_then_waits_for_a_fifth():
    external = ExternalAddress()
    for number in range(4):
        external.vote(voter(number), TRUE, 0)
    assert external.decide(1) is None
    external.vote(voter(4), TRUE, 0)
    assert external.decide(1) == TRUE[:4]


def test_decide_when_one_subnet_votes_often_then_it_has_one_voice():
    external = ExternalAddress()
    for host in range(100):
        external.vote(bytes([20, 1, 7, host]) + b"\0\1", FALSE, 0)
    assert external.decide(1) is None


def test_decide_when_three_in_ten_lie_for_a_day_then_never_adopts_the_lie():
    external = ExternalAddress()
    adopted = []
    for minute in range(24 * 60):
        now = minute * MINUTE_US
        for number in range(20):
            external.vote(voter((minute * 20 + number) % 400), FALSE if number % 10 < 3 else TRUE, now)
        adopted.append(external.decide(now))
    assert [address for address in adopted if address] == [TRUE[:4]]


def test_decide_when_voices_are_split_then_adopts_none():
    external = ExternalAddress()
    for number in range(10):
        external.vote(voter(number), TRUE if number % 2 else OTHER, 0)
    assert external.decide(1) is None


def test_decide_when_the_address_changes_then_adopts_it_with_twelve_voices_after_the_hold_time():
    external = ExternalAddress()
    for number in range(10):
        external.vote(voter(number), TRUE, 0)
    assert external.decide(0) == TRUE[:4]
    for number in range(11):
        external.vote(voter(number), OTHER, MINUTE_US)
    assert external.decide(HOLD_US) is None             # eleven voices may be liars
    external.vote(voter(11), OTHER, MINUTE_US)
    assert external.decide(MINUTE_US) is None           # too soon after the last change
    assert external.decide(HOLD_US) == OTHER[:4]


def test_decide_when_voices_are_old_then_they_are_forgotten():
    external = ExternalAddress()
    for number in range(10):
        external.vote(voter(number), TRUE, 0)
    assert external.decide(11 * MINUTE_US) is None
