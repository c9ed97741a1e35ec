"""A libtorrent DHT node on loopback: loopback addresses count as nodes, every limit is lifted, nothing leaves the machine.

No LSD, UPnP or public bootstrap host.
"""
from __future__ import annotations

import libtorrent as lt


def open_session(listen: str) -> lt.session:
    return lt.session({
        "listen_interfaces": listen, "outgoing_interfaces": "", "enable_dht": True, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "", "user_agent": "test",
        "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_enforce_node_id": False,
        "dht_prefer_verified_node_ids": False, "dht_ignore_dark_internet": False,
        "dht_upload_rate_limit": 100_000_000, "dht_block_ratelimit": 10_000_000, "dht_block_timeout": 1,
        "dht_max_peers_reply": 100, "dht_max_torrents": 100_000, "dht_max_peers": 100_000,
        "recv_socket_buffer_size": 4 << 20, "alert_queue_size": 100_000,
        "alert_mask": int(lt.alert.category_t.dht_notification) | int(lt.alert.category_t.dht_operation_notification),
    })
