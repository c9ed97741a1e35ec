"""transmission-daemon: the DHT library of Juliusz Chroboczek, as most Debian users run it.

Two of its ways: it drops what comes from loopback addresses, so it is shown them as 11.0.0.0/8; and it answers at most
a hundred queries a second, four hundred at once.
"""
from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from fastdht import Endpoint
from tests.interop.peers.native import SHOWN_AS, NativePeer, magnet
from tests.interop.peers.process import free_port, until

SETTINGS = {
    "dht-enabled": True,
    "lpd-enabled": False,
    "pex-enabled": False,
    "utp-enabled": False,
    "port-forwarding-enabled": False,
    "peer-port-random-on-start": False,
    "encryption": 0,
    "bind-address-ipv6": "::1",
    "rpc-bind-address": "127.0.0.1",
    "rpc-host-whitelist-enabled": False,
    "rpc-whitelist-enabled": False,
    "speed-limit-down-enabled": False,
    "start-added-torrents": True,
    "message-level": 3,
}


class Transmission(NativePeer):
    name = "transmission"
    programs = ("transmission-daemon",)

    def start(self, known: Sequence[Endpoint]) -> None:
        self.rpc_port = free_port()
        self._session_id = ""
        settings = {**SETTINGS, "bind-address-ipv4": self.endpoint.ip, "peer-port": self.endpoint.port,
                    "rpc-port": self.rpc_port, "download-dir": str(self.folder)}
        (self.folder / "settings.json").write_text(json.dumps(settings))
        lines = [f"{SHOWN_AS}.{each.ip.partition('.')[2]} {each.port}\n" for each in known]
        (self.folder / "dht.bootstrap").write_text("".join(lines))
        self.run(["transmission-daemon", "--foreground", "--config-dir", str(self.folder)],
                 {"LOOPBACK_SHOWN_AS": str(SHOWN_AS)})

    def join_torrent(self, info_hash: bytes) -> None:
        result = until(lambda: self.rpc("torrent-add", filename=magnet(info_hash)), "transmission takes commands")
        assert result["result"] == "success", result

    def rpc(self, method: str, **arguments: Any) -> dict[str, Any] | None:
        """One remote call; None while it does not listen yet. The first is refused, with the session id to use."""
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        for _ in range(2):
            request = urllib.request.Request(f"http://127.0.0.1:{self.rpc_port}/transmission/rpc", body,
                                             {"X-Transmission-Session-Id": self._session_id})
            try:
                with urllib.request.urlopen(request, timeout=5) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                self._session_id = error.headers.get("X-Transmission-Session-Id", "")
            except OSError:
                return None
        return None
