"""Token secrets that outlive a process. Rate class: second.

They follow from one secret of the user's and from wall time, in steps of the five minutes after which BEP 5 rotates
them: nodes with the same secret honour each other's write tokens, and a restarted one those that it gave before.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable

from fastdht.errors import ConfigError

STEP_S = 300                # as upkeep rotates random ones
SECRET_SIZE = 16


class SharedSecrets:
    """The secret of each step; `wall` gives wall time in seconds. Raises ConfigError for an empty secret."""

    def __init__(self, secret: bytes, wall: Callable[[], float]) -> None:
        if not secret:
            raise ConfigError("token secret is empty; at least one byte needed")
        self._key = hashlib.blake2b(secret, digest_size=32).digest()
        self._wall = wall

    @property
    def step(self) -> int:
        """The present step's number."""
        return int(self._wall() // STEP_S)

    def derive(self, step: int) -> bytes:
        """16 bytes."""
        return hashlib.blake2b(b"%d" % step, key=self._key, digest_size=SECRET_SIZE).digest()
