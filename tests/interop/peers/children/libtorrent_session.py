"""A libtorrent node: libtorrent_session.py IP:PORT IP:PORT,… [--read-only].

Each line on standard input is a JSON object with `do`; each is answered with one line. Bytes are hexadecimal digits.
Loopback addresses count as nodes here, every limit is lifted, and nothing leaves the machine.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import libtorrent as lt

WAIT_MS = 200
IMPLIED_PORT = 2            # a flag of dht_announce that the binding has no name for
SECONDS = 20.0              # in which whatever was asked for has happened, or will not


def open_session(listen: str, *, read_only: bool = False) -> lt.session:
    return lt.session({
        "listen_interfaces": listen, "outgoing_interfaces": "", "enable_dht": True, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "", "user_agent": "test",
        "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_enforce_node_id": False,
        "dht_prefer_verified_node_ids": False, "dht_ignore_dark_internet": False, "dht_read_only": read_only,
        # libtorrent multiplies the block limit by ten in 32 bits: a larger "no limit" would block everybody.
        "dht_upload_rate_limit": 100_000_000, "dht_block_ratelimit": 10_000_000, "dht_block_timeout": 1,
        "dht_max_peers_reply": 100, "dht_max_torrents": 100_000, "dht_max_peers": 100_000,
        "dht_max_dht_items": 100_000, "dht_sample_infohashes_interval": 0,
        "recv_socket_buffer_size": 4 << 20, "alert_queue_size": 100_000,
        "alert_mask": int(lt.alert.category_t.dht_notification) | int(lt.alert.category_t.dht_operation_notification),
    })


class Child:
    def __init__(self, session: lt.session) -> None:
        self.session = session

    def alerts_until(self, wanted: type, fits: Callable[[Any], bool], seconds: float = SECONDS) -> Any | None:
        """The first alert of that kind that fits."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.session.wait_for_alert(WAIT_MS)
            for alert in self.session.pop_alerts():
                if isinstance(alert, wanted) and fits(alert):
                    return alert
        return None

    def do_look_up(self, info_hash: str, wanted: str, seconds: float = SECONDS) -> list[str]:
        """The end of a lookup is not told: it is over when the wanted peer has been found, or time is."""
        target, found = lt.sha1_hash(bytes.fromhex(info_hash)), set()

        def is_found(alert: lt.dht_get_peers_reply_alert) -> bool:
            if alert.info_hash == target:
                found.update(f"{ip}:{port}" for ip, port in alert.peers())
            return wanted in found

        self.session.dht_get_peers(target)
        self.alerts_until(lt.dht_get_peers_reply_alert, is_found, seconds)
        return sorted(found)

    def do_announce(self, info_hash: str, port: int) -> None:
        self.session.dht_announce(lt.sha1_hash(bytes.fromhex(info_hash)), port, 0 if port else IMPLIED_PORT)

    def do_put(self, v: str) -> dict[str, Any]:
        """Store a byte string; how many nodes took it."""
        target = self.session.dht_put_immutable_item(bytes.fromhex(v))
        done = self.alerts_until(lt.dht_put_alert, lambda alert: alert.target == target)
        return {"target": target.to_bytes().hex(), "stored": done.num_success if done else 0}

    def do_put_mutable(self, v: str, key: str, k: str, salt: str = "") -> dict[str, Any]:
        """Store a byte string, one seq above what is found; `key` is the 64-byte expanded secret key."""
        public, plain_salt = bytes.fromhex(k), bytes.fromhex(salt)
        self.session.dht_put_mutable_item(bytes.fromhex(key), public, bytes.fromhex(v), plain_salt)
        done = self.alerts_until(lt.dht_put_alert, lambda alert: alert.public_key == public and alert.salt == plain_salt)
        return {"stored": done.num_success if done else 0, "seq": done.seq if done else None}

    def do_get(self, target: str) -> dict[str, Any] | None:
        wanted = lt.sha1_hash(bytes.fromhex(target))
        self.session.dht_get_immutable_item(wanted)
        found = self.alerts_until(lt.dht_immutable_item_alert, lambda alert: alert.target == wanted)
        return {"v": as_bytes(found.item).hex()} if found and found.item is not None else None

    def do_get_mutable(self, k: str, salt: str = "") -> dict[str, Any] | None:
        """What it settles on once the whole lookup has ended."""
        public, plain_salt = bytes.fromhex(k), bytes.fromhex(salt)
        self.session.dht_get_mutable_item(public, plain_salt)
        found = self.alerts_until(lt.dht_mutable_item_alert,
                                  lambda alert: alert.key == public and alert.salt == plain_salt and alert.authoritative)
        if not found or found.item is None:
            return None
        return {"v": as_bytes(found.item).hex(), "seq": found.seq, "sig": found.signature.hex()}

    def do_sample(self, endpoint: str, target: str) -> dict[str, Any] | None:
        ip, port = endpoint.rsplit(":", 1)
        self.session.dht_sample_infohashes((ip, int(port)), lt.sha1_hash(bytes.fromhex(target)))
        found = self.alerts_until(lt.dht_sample_infohashes_alert, lambda alert: tuple(alert.endpoint) == (ip, int(port)))
        if found is None:
            return None
        return {"samples": [each.to_bytes().hex() for each in found.samples], "num": found.num_infohashes,
                "nodes": found.num_nodes}


def as_bytes(item: Any) -> bytes:
    return item if isinstance(item, bytes) else lt.bencode(item)


def main() -> None:
    listen, known, *options = sys.argv[1:]
    child = Child(open_session(listen, read_only="--read-only" in options))
    for text in filter(None, known.split(",")):
        ip, port = text.rsplit(":", 1)
        child.session.add_dht_node((ip, int(port)))
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            print(json.dumps({"result": getattr(child, f"do_{arguments.pop('do')}")(**arguments)}), flush=True)
        except Exception as error:      # reported to the test, which fails with it
            print(json.dumps({"error": repr(error)}), flush=True)


if __name__ == "__main__":
    main()
