"""Loads what a node kept, warms its tables with it, and saves it again. Rate class: second.

Theory of operation. Before the sockets are opened the file is read: it gives ids and entry hosts. Then every saved
contact is pinged, the best first, PINGS_AT_ONCE a tenth of a second; only an answer brings it into the table. While
the node runs it is saved every few minutes at random moments, off the loop, and once more when it closes.
Saved contacts that a table does not hold (yet) are kept as long as it is poor: a run without a network costs nothing.
A file that a newer version wrote is never replaced.
"""
from __future__ import annotations

import asyncio
import ipaddress
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from fastdht.engine.engine import Engine
from fastdht.engine.upkeep import Bootstrap, Upkeep
from fastdht.errors import PersistError
from fastdht.persist.files import NewerFile, write_file
from fastdht.persist.state import (
    MAX_CONTACTS, Capability, SavedContact, SavedSocket, SavedState, format_state, load_state)
from fastdht.persist.stores import SavedStores, format_stores, load_stores
from fastdht.types import Endpoint, NodeId

log = logging.getLogger(__name__)

PING = 0
FIRST_SAVE_S = 60.0             # a node that crashes early has still learned something
SAVE_S = 300.0                  # what a crash may cost
JITTER = 0.25                   # many nodes on one disk do not write at once
PINGS_AT_ONCE = 24              # 240 a second: far below any limit of a router, and 500 contacts take two seconds
PING_GAP_S = 0.1
ENTRY_CONTACTS = 16             # saved contacts that the first join starts from
MAX_CAPABLE = 4000              # contacts whose capabilities are remembered: more than tables hold
POOR_TABLE = 100                # contacts; below, saved ones that have not answered are kept in the file


class SavedHosts:
    """Entry hosts: the saved contacts at first, those configured when that has not sufficed."""

    def __init__(self, hosts: Bootstrap, saved: Sequence[SavedContact]) -> None:
        self._hosts = hosts
        self._saved = tuple(found.endpoint.pack() for found in saved)

    async def __call__(self, family: int) -> tuple[bytes, ...]:
        saved, self._saved = self._saved, ()
        size = 18 if family == 6 else 6
        entries = tuple(packed for packed in saved if len(packed) == size)[:ENTRY_CONTACTS]
        return entries or await self._hosts(family)


class Saver:
    """Keeps one node's file, and with `has_stores` what it stores for others in `<file>.stores`.

    `wall` gives wall time in seconds.
    """

    def __init__(self, path: Path, wall: Callable[[], float], *, has_stores: bool = False) -> None:
        self.path = path
        self.stores_path = path.with_name(f"{path.name}.stores")
        self._has_stores = has_stores
        self._stores = SavedStores()
        self._capabilities: dict[Endpoint, int] = {}    # of MAX_CAPABLE contacts; the longest unseen goes first
        self.state = SavedState()
        self._wall = wall
        self._may_write = True
        self._has_complained = False
        self._writing = threading.Lock()    # closing may meet a save that still runs off the loop
        self._sockets: list[tuple[str, Engine, Upkeep, tuple[SavedContact, ...]]] = []
        self._rng = Random(0)
        self._tasks: list[asyncio.Task[None]] = []

    def load(self) -> None:
        """Read the file; whatever it holds, this raises nothing."""
        self._sockets, self._tasks, self._may_write = [], [], True
        try:
            self.state = load_state(self.path)
            if self._has_stores:
                self._stores = load_stores(self.stores_path)
        except NewerFile as error:
            log.warning("%s; starting without, and the file stays as it is", error)
            self.state, self._stores, self._may_write = SavedState(), SavedStores(), False

    def recall(self, bind: Endpoint) -> SavedSocket:
        """What is known of a bound address from earlier; contacts are those of its family."""
        taken = sum(bind_text.rpartition(":")[0] == str(bind).rpartition(":")[0] for bind_text, *_ in self._sockets)
        found = self.state.for_bind(str(bind), taken) or SavedSocket(str(bind), None)
        known = found.contacts + self.state.strangers
        contacts = tuple(each for each in known if each.endpoint.is_ipv6 == bind.is_ipv6)
        return SavedSocket(str(bind), found.id, found.external, contacts)

    def add(self, saved: SavedSocket, engine: Engine, upkeep: Upkeep) -> None:
        """Save what this socket learns, from now on, and give back what it stored."""
        self._sockets.append((saved.bind, engine, upkeep, saved.contacts))
        dumps = self._stores.of(saved.bind)
        if dumps is None:
            return
        away_us = max(0, int((self._wall() - self._stores.saved_at) * 1_000_000))
        try:
            engine.core.load_peers(dumps[0], engine.clock(), away_us)
            engine.core.items.load(dumps[1], engine.clock(), away_us)
        except ValueError as error:
            log.warning("%s: what %s had stored cannot be used: %s", self.stores_path, saved.bind, error)

    def note(self, endpoint: Endpoint, capability: Capability) -> None:
        """Remember what a contact has been seen to do."""
        known = self._capabilities.pop(endpoint, 0)
        self._capabilities[endpoint] = known | capability
        if len(self._capabilities) > MAX_CAPABLE:
            del self._capabilities[next(iter(self._capabilities))]

    def entries(self) -> tuple[bytes, ...]:
        """Saved contacts that a first lookup may ask, of each socket."""
        return tuple(found.endpoint.pack() for *_, contacts in self._sockets for found in contacts[:ENTRY_CONTACTS])

    def start(self, rng: Random) -> None:
        """Warm the tables, and save now and then."""
        self._rng = rng
        create = asyncio.get_running_loop().create_task
        self._tasks = [create(self._warm(engine, contacts)) for _, engine, _, contacts in self._sockets if contacts]
        self._tasks.append(create(self._run()))

    async def stop(self) -> None:
        """Save a last time; call it while the tables still stand."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            self.save()

    def save(self) -> None:
        """Write the file now; a failure is said once, and the next call tries again."""
        self._write(self._files())

    def snapshot(self) -> SavedState:
        """What would be saved now."""
        sockets = [snapshot_socket(*each, self._capabilities) for each in self._sockets]
        return SavedState(tuple(sockets), int(self._wall()))

    def _files(self) -> list[tuple[Path, bytes]]:
        """Each file and its whole content."""
        files = [(self.path, format_state(self.snapshot()))]
        if self._has_stores:
            dumps = tuple((bind, engine.core.dump_peers(engine.clock()), engine.core.items.dump())
                          for bind, engine, *_ in self._sockets)
            files.append((self.stores_path, format_stores(SavedStores(int(self._wall()), dumps))))
        return files

    async def _run(self) -> None:
        delay = FIRST_SAVE_S
        while True:
            await asyncio.sleep(delay * (1 + JITTER * (2 * self._rng.random() - 1)))
            delay = SAVE_S
            files = self._files()
            await asyncio.get_running_loop().run_in_executor(None, self._write, files)  # a disk may take its time

    def _write(self, files: Sequence[tuple[Path, bytes]]) -> None:
        if not self._may_write:
            return
        try:
            with self._writing:
                for path, data in files:
                    write_file(path, data)
            self._has_complained = False
        except PersistError as error:
            if not self._has_complained:
                log.warning("state was not saved: %s", error)
            self._has_complained = True

    async def _warm(self, engine: Engine, contacts: Sequence[SavedContact]) -> None:
        """Ping every saved contact; whoever answers enters the table, as with any answer."""
        for at in range(0, len(contacts), PINGS_AT_ONCE):
            if at:
                await asyncio.sleep(PING_GAP_S)
            if engine.is_closed:
                return
            for found in contacts[at:at + PINGS_AT_ONCE]:
                arguments: dict[str, Any] = {} if found.id is None else {"expected_id": bytes(found.id)}
                engine.query(PING, found.endpoint.pack(), ignore, **arguments)


def ignore(outcome: object) -> None:
    """The core has filed the answer already."""


def snapshot_socket(bind: str, engine: Engine, upkeep: Upkeep, earlier: Sequence[SavedContact],
                    capabilities: Mapping[Endpoint, int]) -> SavedSocket:
    """Contacts in good standing before questionable ones, fast ones first; bad ones are left out."""
    known = {found.endpoint: found for found in earlier}
    entries = [entry for entry in engine.core.table.contacts() if entry[2] != "bad"]
    entries.sort(key=lambda entry: (entry[2] != "good", entry[3] or MAX_CONTACTS * 1000))
    contacts = []
    for node_id, packed, _, rtt_us, _ in entries:
        endpoint = Endpoint.unpack(packed)
        before = known.pop(endpoint, None)
        able = capabilities.get(endpoint, 0) | (before.capabilities if before else 0)
        contacts.append(SavedContact(endpoint, NodeId(node_id), rtt_us, able))
    if len(contacts) < POOR_TABLE:
        contacts += known.values()
    external = upkeep.external.adopted
    return SavedSocket(bind, NodeId(engine.core.own_id), str(ipaddress.ip_address(external)) if external else None,
                       tuple(contacts[:MAX_CONTACTS]))
