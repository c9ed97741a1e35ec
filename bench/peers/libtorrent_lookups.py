"""get_peers lookups by libtorrent: libtorrent_lookups.py IP:PORT BOOTSTRAP_IP:PORT CONCURRENCY SECONDS SEED.

libtorrent says when peers are found but not when a lookup has ended; that is seen in the list of running requests of
dht_stats_alert, asked for every 2 ms. One JSON line.
"""
import json
import random
import resource
import sys
import time

import libtorrent
from libtorrent_serve import open_session

POLL_S = 0.002
WARM_UP_LOOKUPS = 200
START_TIMEOUT_S = 20.0
MIN_CONTACTS = 8            # then the lookups of the warm-up fill the table
GET_PEERS = "dht.dht_get_peers_out"


class Client:
    def __init__(self, listen: str, bootstrap: str, seed: int) -> None:
        self.session = open_session(listen, bootstrap, libtorrent.alert.category_t.dht_operation_notification)
        self.rng = random.Random(seed)
        self.contacts = 0
        self.running = 0
        self.found = 0
        self.counters: dict[str, int] = {}

    def poll(self, wanted: type) -> None:
        """Take alerts until one of the wanted kind has come, at most 2 ms after it was asked for."""
        is_done = False
        while not is_done:
            self.session.wait_for_alert(100)
            for alert in self.session.pop_alerts():
                self.take(alert)
                is_done = is_done or isinstance(alert, wanted)

    def take(self, alert: libtorrent.alert) -> None:
        if isinstance(alert, libtorrent.dht_stats_alert):
            self.running = sum(request["type"] == "get_peers" for request in alert.active_requests)
            self.contacts = sum(bucket["num_nodes"] for bucket in alert.routing_table)
        elif isinstance(alert, libtorrent.dht_get_peers_reply_alert):
            self.found += 1
        elif isinstance(alert, libtorrent.session_stats_alert):
            self.counters = alert.values

    def update(self) -> None:
        self.session.post_dht_stats()
        self.poll(libtorrent.dht_stats_alert)

    def queries_sent(self) -> int:
        self.session.post_session_stats()
        self.poll(libtorrent.session_stats_alert)
        return self.counters[GET_PEERS]

    def join(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.contacts < MIN_CONTACTS:
            if time.monotonic() > deadline:
                raise SystemExit(f"libtorrent knows {self.contacts} contacts after {START_TIMEOUT_S:.0f} s")
            time.sleep(0.05)
            self.update()

    def look_up(self, concurrency: int, enough: float, seconds: float) -> int:
        """Keep that many running until so many have ended or the time is over; returns how many ended."""
        started = ended = 0
        end = time.monotonic() + seconds
        while ended < enough and time.monotonic() < end:
            for _ in range(concurrency - self.running):
                self.session.dht_get_peers(libtorrent.sha1_hash(self.rng.randbytes(20)))
                started += 1
            time.sleep(POLL_S)
            self.update()
            ended = started - self.running
        return ended


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    listen, bootstrap, concurrency, seconds, seed = sys.argv[1:6]
    client = Client(listen, bootstrap, int(seed))
    client.join()
    client.look_up(int(concurrency), WARM_UP_LOOKUPS, START_TIMEOUT_S)
    client.look_up(0, 1, 0.2)
    queries, cpu, start = client.queries_sent(), own_cpu_s(), time.monotonic()
    client.found = 0
    lookups = client.look_up(int(concurrency), float("inf"), float(seconds))
    cpu, wall, queries = own_cpu_s() - cpu, time.monotonic() - start, client.queries_sent() - queries
    print(json.dumps({"lookups": lookups, "queries": queries, "rpcs": queries, "wall_s": wall, "cpu_s": cpu,
                      "peer_alerts": client.found, "contacts": client.contacts}))


if __name__ == "__main__":
    main()
