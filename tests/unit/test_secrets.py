"""Token secrets that follow from one secret and the time."""
from __future__ import annotations

import pytest

from fastdht import ConfigError
from fastdht.engine.secrets import SECRET_SIZE, SharedSecrets


def test_secret_when_user_and_step_are_the_same_then_is_the_same() -> None:
    one, other = SharedSecrets(b"ours", lambda: 0.0), SharedSecrets(b"ours", lambda: 1e9)
    assert one.derive(7) == other.derive(7)
    assert len(one.derive(7)) == SECRET_SIZE


def test_secret_when_user_or_step_differs_then_differs() -> None:
    secrets = SharedSecrets(b"ours", lambda: 0.0)
    assert len({secrets.derive(7), secrets.derive(8), SharedSecrets(b"theirs", lambda: 0.0).derive(7)}) == 3


@pytest.mark.parametrize(("wall", "step"), [(0.0, 0), (299.9, 0), (300.0, 1), (1_700_000_100.5, 5_666_667)])
def test_step_when_five_minutes_have_passed_then_is_the_next(wall: float, step: int) -> None:
    assert SharedSecrets(b"ours", lambda: wall).step == step


def test_secret_when_empty_then_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        SharedSecrets(b"", lambda: 0.0)
