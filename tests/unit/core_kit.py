"""A Core without network for unit tests: what went in, what comes out."""
from __future__ import annotations

from typing import Any

from fastdht._ext import krpc
from fastdht._ext.core import Core
from fastdht.config import CoreConfig
from fastdht.testing import builders
from fastdht.types import Contact, Endpoint

OWN_ID = bytes(range(20, 40))
SECRET = bytes(range(96))
ASKER = builders.contact(1)
SECOND = 1_000_000


class Kit:
    """One Core, a clock that only the test moves, and the last datagrams it sent."""

    def __init__(self, **settings: Any) -> None:
        self.core = Core(CoreConfig(lookups=4, **settings), OWN_ID, SECRET, 7)
        self.now = 1_000 * SECOND

    def send(self, data: bytes, source: Endpoint = ASKER.endpoint) -> list[dict[str, Any]]:
        """Let a datagram arrive; the parsed datagrams that leave in answer."""
        self.core.receive(data, source.pack(), self.now)
        return self.sent()

    def sent(self) -> list[dict[str, Any]]:
        return [parsed(data) for data, _ in self.core.drain()]

    def outgoing(self) -> list[tuple[dict[str, Any], Endpoint]]:
        return [(parsed(data), Endpoint.unpack(target)) for data, target in self.core.drain()]

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.core.advance(self.now)

    def counter(self, name: str) -> int:
        count: int = self.core.counters()[name]
        return count

    def befriend(self, *contacts: Contact) -> None:
        """Have contacts answer a ping of ours, so that they stand in the table."""
        for contact in contacts:
            assert self.core.query(0, contact.endpoint.pack(), 0, self.now)
            [(ping, _)] = self.outgoing()
            self.send(builders.reply(contact.id, ping["tid"]), contact.endpoint)
        self.core.take_events()


def parsed(data: bytes) -> dict[str, Any]:
    message = krpc.parse(data)
    assert message is not None, data
    return message
