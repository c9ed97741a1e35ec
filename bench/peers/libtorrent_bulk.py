"""Peers of a list of infohashes by libtorrent: libtorrent_bulk.py IP:PORT BOOTSTRAP_IP:PORT CONCURRENCY HASHES.

Its clock runs once it has joined and a hundred random look-ups have filled its table. A look-up counts as ended when it
is no longer in the list of running ones. One JSON line.
"""
import json
import sys
import time
from pathlib import Path

import libtorrent
from libtorrent_lookups import POLL_S, START_TIMEOUT_S, Client, own_cpu_s

WARM_UP_LOOKUPS = 100
PATIENCE_S = 120.0
GRACE_S = 0.2               # answers that came too late for the last look of the list


class BulkClient(Client):
    def __init__(self, listen: str, bootstrap: str) -> None:
        super().__init__(listen, bootstrap, 1)
        self.peers: dict[bytes, set[tuple[str, int]]] = {}

    def take(self, alert: libtorrent.alert) -> None:
        super().take(alert)
        if isinstance(alert, libtorrent.dht_get_peers_reply_alert):
            self.peers.setdefault(alert.info_hash.to_bytes(), set()).update(alert.peers())

    def look_up_all(self, hashes: list[bytes], concurrency: int) -> int:
        """Keep that many running until all have ended, or patience; returns how many ended."""
        started = 0
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for _ in range(min(concurrency - self.running, len(hashes) - started)):
                self.session.dht_get_peers(libtorrent.sha1_hash(hashes[started]))
                started += 1
            time.sleep(POLL_S)
            self.update()
            if started == len(hashes) and not self.running:
                break
        return started - self.running


def main() -> None:
    listen, bootstrap, concurrency, path = sys.argv[1:5]
    hashes = [bytes.fromhex(line) for line in Path(path).read_text().split()]
    client = BulkClient(listen, bootstrap)
    client.join()
    client.look_up(int(concurrency), WARM_UP_LOOKUPS, START_TIMEOUT_S)
    client.look_up(0, 1, 0.2)
    client.peers.clear()
    queries, cpu, start = client.queries_sent(), own_cpu_s(), time.monotonic()
    ended = client.look_up_all(hashes, int(concurrency))
    cpu, wall = own_cpu_s() - cpu, time.monotonic() - start
    time.sleep(GRACE_S)
    client.update()
    print(json.dumps({"lookups": ended, "queries": client.queries_sent() - queries,
                      "peers": sum(len(client.peers.get(each, ())) for each in hashes), "wall_s": wall, "cpu_s": cpu}))


if __name__ == "__main__":
    main()
