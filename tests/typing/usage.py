"""What users write, as a type checker sees it: read by mypy --strict, never run."""
from __future__ import annotations

from typing import assert_type

import fastdht


def values() -> None:
    endpoint = fastdht.Endpoint.parse("192.0.2.1:6881")
    assert_type(endpoint, fastdht.Endpoint)
    assert_type(endpoint.port, int)
    assert_type(endpoint.pack(), bytes)
    info_hash = fastdht.InfoHash.parse("0123456789abcdef0123456789abcdef01234567")
    assert_type(info_hash, fastdht.InfoHash)
    contact = fastdht.Contact(info_hash, endpoint)
    assert_type(contact.id, fastdht.NodeId)
