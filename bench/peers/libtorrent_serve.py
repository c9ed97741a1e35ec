"""A libtorrent DHT node with its limits off: libtorrent_serve.py IP:PORT BOOTSTRAP_IP:PORT; one JSON line when up.

Three of its ways to know: it answers only on an explicit loopback address, never through a wildcard; it must have a
bootstrap list, or it asks a public router; and dht_block_ratelimit is multiplied by ten in 32 bits, so a value that
says "no limit" too loudly blocks everybody.
"""
import json
import os
import sys
import time

import libtorrent

NO_LIMITS = {
    "dht_upload_rate_limit": 100_000_000,
    "dht_block_ratelimit": 10_000_000,
    "dht_block_timeout": 1,
    "dht_max_peers_reply": 100,
    "dht_max_peers": 100_000,
    "dht_max_torrents": 100_000,
}
LOOPBACK_COUNTS_AS_PUBLIC = {
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_enforce_node_id": False,
    "dht_prefer_verified_node_ids": False,
    "dht_ignore_dark_internet": False,
}


def open_session(listen: str, bootstrap: str, alert_mask: int = 0) -> libtorrent.session:
    return libtorrent.session({
        "listen_interfaces": listen,
        "outgoing_interfaces": "",
        "dht_bootstrap_nodes": bootstrap,
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "recv_socket_buffer_size": 4 << 20,     # the default loses replies under parallel lookups
        "send_socket_buffer_size": 4 << 20,
        "alert_mask": alert_mask,
        **NO_LIMITS,
        **LOOPBACK_COUNTS_AS_PUBLIC,
    })


def main() -> None:
    session = open_session(sys.argv[1], sys.argv[2])
    print(json.dumps({"endpoint": sys.argv[1], "pid": os.getpid(), "version": libtorrent.version}), flush=True)
    while True:
        time.sleep(1)
        session.pop_alerts()


if __name__ == "__main__":
    main()
