"""Nodes and peers: what BEP 5 asks. Rate class: lookup and command."""
from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fastdht._ext.ids import as_id
from fastdht.engine.bridge import Lookup
from fastdht.errors import LocalProtocolError, WriteRejected
from fastdht.ops.asking import ANNOUNCE_PEER, FIND_NODE, GET_PEERS, PING, Asking, to_endpoint, writable
from fastdht.stats import Pong, WriteReport
from fastdht.types import Endpoint, InfoHash, NodeId


class PeerCalls(Asking):
    """ping, find_node, get_peers, announce_peer."""

    async def ping(self, endpoint: Endpoint | str) -> Pong:
        """Ask one node who it is (BEP 5). Raises NoResponse or RemoteError."""
        remote = to_endpoint(endpoint)
        answer, rtt = await self._query(PING, remote)
        return Pong(NodeId(answer["id"]), remote, rtt, answer.get("version"))

    def find_node(self, target: bytes, *, to: Iterable[Endpoint | str] | None = None) -> Lookup:
        """Look for the nodes closest to a 20-byte id (BEP 5); with `to`, ask only those."""
        return self._walk(FIND_NODE, as_id(NodeId, target), to, self._lookup)

    def get_peers(self, info_hash: bytes, *, to: Iterable[Endpoint | str] | None = None,
                  noseed: bool = False) -> Lookup:
        """Look for the peers of a torrent (BEP 5): iterate for them as they come, await for the report.

        noseed: ask nodes to leave out peers that are seeds (BEP 33); not every node does.
        """
        return self._walk(GET_PEERS, as_id(InfoHash, info_hash), to, self._lookup, noseed)

    async def announce_peer(self, info_hash: bytes, port: int, *, implied_port: bool = False, seed: bool = False,
                            to: Iterable[Endpoint | str] | None = None) -> WriteReport:
        """Announce ourselves as a peer on `port` (1 to 65535) at the closest nodes (BEP 5).

        Raises LocalProtocolError for a bad port, LookupFailed when no node answered, WriteRejected when none accepted.
        """
        if not 1 <= port <= 65535:
            raise LocalProtocolError(f"port is {port}; 1 to 65535")
        report = await self._walk(GET_PEERS, InfoHash(info_hash), to, self._write_lookup)
        outcomes = await asyncio.gather(*(
            self._write_to(found, ANNOUNCE_PEER, target=bytes(info_hash), port=port, implied_port=implied_port,
                           seed=seed) for found in writable(report, to)))
        written = WriteReport(report.target, tuple(outcome for outcome, _ in outcomes), report)
        if not written.accepted:
            raise WriteRejected(f"none of {len(outcomes)} nodes accepted the announce of {report.target}", written)
        return written
