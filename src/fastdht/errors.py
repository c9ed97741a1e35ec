"""Every error fastdht raises. Rate class: command.

Nothing that arrives from the network raises: it is dropped and counted. These say what the caller did wrong, what
a remote node answered, or what the operating system refused; each message names the value and the limit.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastdht.stats import ItemReport, LookupReport, WriteReport


class DHTError(Exception):
    """Base of every error of this package."""


class ConfigError(DHTError, ValueError):
    """A setting is malformed or outside its limits."""


class LocalProtocolError(DHTError, ValueError):
    """You asked for what the BEPs forbid."""


class DecodeError(DHTError, ValueError):
    """Bytes that are not the bencode, id or endpoint they should be."""


class RemoteError(DHTError):
    """A node answered a query with a KRPC error (BEP 5): `code` and its text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"remote node answered error {code}: {message}")
        self.code = code
        self.message = message


class NoResponse(DHTError, TimeoutError):
    """A node did not answer within the query timeout."""


class LookupFailed(DHTError):
    """A lookup ended without a single answer; `report` tells what was tried."""

    def __init__(self, message: str, report: LookupReport) -> None:
        super().__init__(message)
        self.report = report


class NotFound(DHTError):
    """Nodes have answered, but none held the item; `report` (an ItemReport) tells what they did hold."""

    def __init__(self, message: str, report: ItemReport) -> None:
        super().__init__(message)
        self.report = report


class WriteRejected(DHTError):
    """No node accepted a write; `report` holds the outcome at each of them."""

    def __init__(self, message: str, report: WriteReport) -> None:
        super().__init__(message)
        self.report = report


class PersistError(DHTError):
    """State could not be written or is not ours to read."""


class NodeClosed(DHTError):
    """The node has been closed, or was never started."""
