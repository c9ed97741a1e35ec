"""Tokens: how long they live, whom and what they bind, and that guessing fails."""
from __future__ import annotations

import random

import pytest

from fastdht._ext.tokens import TokenIssuer
from tests.oracle.tokens import SlowTokens, siphash24

SECOND = 1_000_000
HERE = bytes([192, 0, 2, 7]) + (6881).to_bytes(2, "big")
THERE = bytes([192, 0, 2, 8]) + (6881).to_bytes(2, "big")
HERE_V6 = bytes.fromhex("20010db8000000000000000000000007") + (6881).to_bytes(2, "big")
TARGET = bytes(range(20))
OTHER_TARGET = bytes(range(1, 21))


def make_issuer(seed: int = 1) -> TokenIssuer:
    return TokenIssuer(random.Random(seed).randbytes(32), 0)


def test_oracle_siphash_on_the_paper_vector_agrees() -> None:
    # Appendix A of the SipHash paper: key 00 … 0f, message 00 … 0e.
    assert siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


@pytest.mark.parametrize("packed", [HERE, THERE, HERE_V6])
def test_token_for_a_source_equals_the_oracle(packed: bytes) -> None:
    secret = random.Random(2).randbytes(32)
    issuer, slow = TokenIssuer(secret, 0), SlowTokens(secret)
    for _ in range(3):
        assert issuer.issue_to(packed, TARGET) == slow.issue(packed, TARGET)
        issuer.rotate(b"r" * 16, 0)
        slow.rotate(b"r" * 16)


def test_token_issued_at_any_second_lives_300_to_600_seconds() -> None:
    rng = random.Random(3)
    for issued_s in range(0, 300, 7):
        issuer = make_issuer()
        issued = None
        for now_s in range(0, issued_s + 902):
            if now_s and now_s % 300 == 0:
                issuer.rotate(rng.randbytes(16), now_s * SECOND)
            if now_s == issued_s:
                issued = issuer.issue_to(HERE, TARGET)
            if issued is None:
                continue
            age_s = now_s - issued_s
            if age_s <= 300:
                assert issuer.accepts_from(HERE, TARGET, issued)
            if age_s > 600:
                assert not issuer.accepts_from(HERE, TARGET, issued)


def test_token_for_another_target_is_refused() -> None:
    issuer = make_issuer()
    assert not issuer.accepts_from(HERE, OTHER_TARGET, issuer.issue_to(HERE, TARGET))


@pytest.mark.parametrize("packed", [THERE, HERE_V6])
def test_token_from_another_address_is_refused(packed: bytes) -> None:
    issuer = make_issuer()
    assert not issuer.accepts_from(packed, TARGET, issuer.issue_to(HERE, TARGET))


def test_token_from_another_port_is_accepted() -> None:
    issuer = make_issuer()
    assert issuer.accepts_from(HERE[:4] + b"\x00\x01", TARGET, issuer.issue_to(HERE, TARGET))


@pytest.mark.parametrize("size", [0, 1, 4, 7, 9, 16, 64])
def test_token_of_another_size_is_refused(size: int) -> None:
    issuer = make_issuer()
    token = issuer.issue_to(HERE, TARGET)
    assert not issuer.accepts_from(HERE, TARGET, (token * 8)[:size])


def test_random_tokens_a_million_of_them_are_all_refused() -> None:
    issuer, rng = make_issuer(), random.Random(4)
    guesses = rng.randbytes(8_000_000)
    accepts = issuer.accepts_from
    assert sum(accepts(HERE, TARGET, guesses[i : i + 8]) for i in range(0, 8_000_000, 8)) == 0


def test_issuer_given_bad_sizes_names_value_and_limit() -> None:
    with pytest.raises(ValueError, match="secret is 16 bytes; 32 needed"):
        TokenIssuer(bytes(16), 0)
    with pytest.raises(ValueError, match="secret is 32 bytes; 16 needed"):
        make_issuer().rotate(bytes(32), 0)
    with pytest.raises(ValueError, match="target is 19 bytes; 20 needed"):
        make_issuer().issue_to(HERE, bytes(19))
