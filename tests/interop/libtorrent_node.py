"""Libtorrent DHT nodes on loopback: python -m tests.interop.libtorrent_node IP:PORT,…

Prints one line when all sessions are up, then obeys lines on standard input, answering each with one JSON line:
`announce INFOHASH PORT`, `lookup SECONDS INFOHASH,…` (the peers found of each) and `quit`.
"""
from __future__ import annotations

import json
import sys
import time

import libtorrent as lt

from tests.interop.peers.children.libtorrent_session import open_session

KNOWN = (1, 7, 19, 31)      # whom node i is told of: nodes i+1, i+7, …


def look_up(sessions: list[lt.session], info_hashes: list[bytes], seconds: float) -> dict[str, list[str]]:
    """The peers of each infohash, looked up by all sessions in turn, a few at a time; ends early once all have some."""
    found: dict[str, set[str]] = {info_hash.hex(): set() for info_hash in info_hashes}
    waiting = list(enumerate(info_hashes))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(found.values()):
        for turn, info_hash in waiting[:20]:
            sessions[turn % len(sessions)].dht_get_peers(lt.sha1_hash(info_hash))
        del waiting[:20]
        time.sleep(0.1)
        for session in sessions:
            for alert in session.pop_alerts():
                if isinstance(alert, lt.dht_get_peers_reply_alert) and alert.info_hash.to_bytes().hex() in found:
                    found[alert.info_hash.to_bytes().hex()].update(f"{ip}:{port}" for ip, port in alert.peers())
    return {info_hash: sorted(peers) for info_hash, peers in found.items()}


def obey(sessions: list[lt.session], words: list[str], turn: int) -> object:
    session = sessions[turn % len(sessions)]
    if words[0] == "announce":
        session.dht_announce(lt.sha1_hash(bytes.fromhex(words[1])), int(words[2]))
        return {"by": turn % len(sessions)}
    if words[0] == "lookup":
        return look_up(sessions, [bytes.fromhex(text) for text in words[2].split(",")], float(words[1]))
    return {"error": f"unknown command {words[0]}"}


def main() -> None:
    """Open all sessions, then tell each of `KNOWN` others: a bootstrap list would be asked before they are up."""
    listens = sys.argv[1].split(",")
    sessions = [open_session(listen) for listen in listens]
    for index, session in enumerate(sessions):
        for step in KNOWN:
            ip, port = listens[(index + step) % len(listens)].rsplit(":", 1)
            session.add_dht_node((ip, int(port)))
    print(json.dumps({"sessions": len(sessions), "version": lt.version}), flush=True)
    for turn, line in enumerate(sys.stdin):
        words = line.split()
        if not words or words[0] == "quit":
            break
        print(json.dumps(obey(sessions, words, turn)), flush=True)


main()
