"""What peers are known to do instead of what the BEPs say: a word for the matrix, and the reason."""
from __future__ import annotations

SERVER = "we ask"
CLIENT = "they ask"

Known = dict[tuple[str, str], dict[str, tuple[str, str]]]

QUIET = "it answers what it understands, and says nothing to the rest"
NO_BEP_32 = "one address family, and no look at `want`"
NO_BEP_42 = "BEP 42 is not implemented"
NO_BEP_43 = "BEP 43 is not implemented: whoever asks is listed"

KNOWN: Known = {
    (SERVER, "v"): {
        "transmission": ("none", "3.00 sends `v` in no answer"),
        "bittorrent-dht": ("none", "a library without a version of its own"),
    },
    (SERVER, "8 nodes per reply"): {
        "bittorrent-dht": ("whole table", "it asks its table for the closest without saying how many"),
    },
    (SERVER, "get_peers, hit"): {
        "rtorrent": ("port swapped", "0.9.8 stores the announced port in the machine's byte order: 5555 returns as 45845"),
    },
    (SERVER, "implied_port"): {
        "aria2": ("ignored", "`implied_port` came after its DHT was written"),
        "rtorrent": ("ignored, swapped", "`implied_port` came after its DHT was written; the port is swapped as ever"),
    },
    (SERVER, "nodes beside values"): {
        "rtorrent": ("values only", "BEP 5 asks for either; most send both"),
        "bittorrent-dht": ("values only", "BEP 5 asks for either; most send both"),
    },
    (SERVER, "forged token: 203"): {"aria2": ("silent", QUIET)},
    (SERVER, "another's token: 203"): {"aria2": ("silent", QUIET)},
    (SERVER, "want (BEP 32)"): {
        "rtorrent": ("ignored", NO_BEP_32), "aria2": ("ignored", NO_BEP_32), "bittorrent-dht": ("ignored", NO_BEP_32),
    },
    (SERVER, "ip (BEP 42)"): {
        "transmission": ("none", NO_BEP_42), "rtorrent": ("none", NO_BEP_42), "aria2": ("none", NO_BEP_42),
        "bittorrent-dht": ("none", NO_BEP_42),
    },
    (SERVER, "ro (BEP 43)"): {
        "transmission": ("lists nobody", "it names only nodes that have answered it, and asks no stranger back"),
        "rtorrent": ("ignored", NO_BEP_43), "aria2": ("ignored", NO_BEP_43), "bittorrent-dht": ("ignored", NO_BEP_43),
    },
    (SERVER, "unknown method: 204"): {
        "libtorrent": ("203", "to it a query it does not know is one whose arguments are wrong"),
        "transmission": ("silent", QUIET), "aria2": ("silent", QUIET), "bittorrent-dht": ("silent", QUIET),
    },
    (SERVER, "query without id: 203"): {
        "transmission": ("silent", QUIET), "aria2": ("silent", QUIET),
        "bittorrent-dht": ("answers", "it looks at the id only to list the asker"),
    },
    (SERVER, "short target: 203"): {
        "transmission": ("answers", "the target's length is not checked"),
        "aria2": ("silent", QUIET),
        "bittorrent-dht": ("answers", "the target's length is not checked"),
    },
    (SERVER, "tid of 20 bytes"): {
        "transmission": ("8 bytes", "it keeps no more of a tid than 15 bytes"),
    },
    (CLIENT, "get_peers"): {
        "rtorrent": ("misread", "0.9.8 reads each value two bytes too early: its `6:` becomes the address 54.58"),
    },
}
