"""Ids, contacts and external addresses as they are kept in a file. Rate class: command.

One sealed file of JSON: per bound address the id, our address as others saw it, and the verified contacts, best first,
with round-trip time and what they can do. mh-cbon/dht's bootstrap.json (addresses without ids) is read as well, and
kept as `<name>.bak` before ours takes its place. Nothing that a file holds raises: it is used, or set aside.
"""
from __future__ import annotations

import ipaddress
import json
import logging
import shutil
from dataclasses import dataclass, field
from enum import IntFlag
from pathlib import Path
from typing import Any

from fastdht.errors import DHTError, PersistError
from fastdht.persist.files import NewerFile, Sealed, open_sealed, read_file, remove_leftovers, seal, set_aside
from fastdht.types import Endpoint, NodeId

log = logging.getLogger(__name__)

KIND, VERSION = "state", 1
MAX_SOCKETS = 256
MAX_CONTACTS = 2000             # of one socket; about 100 bytes each
MAX_RTT_US = 3_600_000_000
MALFORMED = (DHTError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


class Capability(IntFlag):
    """What a contact has been seen to do beyond BEP 5."""

    ITEMS = 1                   # stored an item (BEP 44)
    SCRAPE = 2                  # answered with filters (BEP 33)
    SAMPLES = 4                 # answered with samples (BEP 51)


@dataclass(frozen=True, slots=True)
class SavedContact:
    """A contact that had answered; `id` is None for one of which only the address is known.

    rtt_us: microseconds, 0 if unknown. capabilities: bits of `Capability`.
    """

    endpoint: Endpoint
    id: NodeId | None = None
    rtt_us: int = 0
    capabilities: int = 0


@dataclass(frozen=True, slots=True)
class SavedSocket:
    """One bound address: as it was given (its port may be 0), the id, and our address as others saw it."""

    bind: str
    id: NodeId | None
    external: str | None = None
    contacts: tuple[SavedContact, ...] = ()

    @property
    def ip(self) -> str:
        return self.bind.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class SavedState:
    """What one node keeps; `saved_at` is wall time in seconds, 0 if unknown."""

    sockets: tuple[SavedSocket, ...] = ()
    saved_at: int = 0
    strangers: tuple[SavedContact, ...] = field(default=())     # of a file that does not say which socket knew them

    def for_bind(self, bind: str, taken: int = 0) -> SavedSocket | None:
        """What was saved of this bound address; of the `taken`-th on the same IP when the ports were chosen freely."""
        exact = [each for each in self.sockets if each.bind == bind]
        if len(exact) > taken:
            return exact[taken]
        same = [each for each in self.sockets if each.ip == bind.rpartition(":")[0]]
        return same[taken] if not exact and len(same) > taken else None


def load_state(path: Path) -> SavedState:
    """What the file holds; an empty state, and a warning, for a file that cannot be used.

    Raises NewerFile when a newer version wrote it: the file must then not be replaced.
    """
    try:
        remove_leftovers(path)
        data = read_file(path)
    except (PersistError, OSError) as error:
        log.warning("state file: %s; starting without", error)
        return SavedState()
    if data is None:
        return SavedState()
    try:
        if data.lstrip()[:1] in (b"{", b"["):
            return keep_reference(path, parse_reference(data))
        return parse_state(open_sealed(path, data, KIND, VERSION))
    except NewerFile:
        raise
    except MALFORMED as error:
        set_aside(path, error)
        return SavedState()


def keep_reference(path: Path, state: SavedState) -> SavedState:
    try:
        shutil.copyfile(path, path.with_name(f"{path.name}.bak"))
    except OSError as error:
        log.warning("%s is another program's and could not be copied: %s", path, error)
    return state


def format_state(state: SavedState) -> bytes:
    """The whole file."""
    sockets = [{"bind": each.bind, "id": None if each.id is None else each.id.hex(), "external": each.external,
                "contacts": [[None if found.id is None else found.id.hex(), str(found.endpoint), found.rtt_us,
                              found.capabilities] for found in each.contacts[:MAX_CONTACTS]]}
               for each in state.sockets[:MAX_SOCKETS]]
    body = json.dumps({"saved_at": state.saved_at, "sockets": sockets}, separators=(",", ":"))
    return seal(Sealed(KIND, VERSION, body.encode()))


def parse_state(body: bytes) -> SavedState:
    """From the body of a file; raises one of MALFORMED."""
    content = json.loads(body)
    return SavedState(tuple(parse_socket(each) for each in content["sockets"][:MAX_SOCKETS]), int(content["saved_at"]))


def parse_socket(content: dict[str, Any]) -> SavedSocket:
    external = content["external"]
    return SavedSocket(
        bind=str(content["bind"]),
        id=None if content["id"] is None else NodeId.parse(content["id"]),
        external=None if external is None else str(ipaddress.ip_address(external)),
        contacts=tuple(parse_contact(*each) for each in content["contacts"][:MAX_CONTACTS]))


def parse_contact(node_id: str | None, endpoint: str, rtt_us: int, capabilities: int) -> SavedContact:
    if not 0 <= rtt_us <= MAX_RTT_US or not 0 <= capabilities < 1 << 32:
        raise ValueError(f"contact {endpoint} with a round trip of {rtt_us} µs and capabilities {capabilities}")
    return SavedContact(Endpoint.parse(endpoint), None if node_id is None else NodeId.parse(node_id), rtt_us,
                        capabilities)


def parse_reference(data: bytes) -> SavedState:
    """From mh-cbon/dht's bootstrap.json: {"OldIP": null or {"IP", "Port"}, "Nodes": ["ip:port", …]}, or the bare list.

    Addresses that are none are left out, as that program does. Raises one of MALFORMED.
    """
    content = json.loads(data)
    nodes, old = (content, None) if isinstance(content, list) else (content["Nodes"] or [], content.get("OldIP"))
    if not isinstance(nodes, list):
        raise PersistError("Nodes is not a list")
    places = [place for place in map(parse_place, nodes[:MAX_CONTACTS]) if place is not None]
    external = None if old is None else str(ipaddress.ip_address(old["IP"]))
    sockets = () if external is None else (SavedSocket("[::]:0" if ":" in external else "0.0.0.0:0", None, external),)
    return SavedState(sockets, strangers=tuple(SavedContact(place) for place in places))


def parse_place(text: object) -> Endpoint | None:
    try:
        return Endpoint.parse(text) if isinstance(text, str) else None
    except DHTError:
        return None
