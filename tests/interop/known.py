"""What peers are known to do instead of what the BEPs say: a word for the matrix, and the reason."""
from __future__ import annotations

SERVER = "we ask"
CLIENT = "they ask"
NETWORK = "all in one"

Known = dict[tuple[str, str], dict[str, tuple[str, str]]]

QUIET = "it answers what it understands, and says nothing to the rest"
NO_BEP_32 = "one address family, and no look at `want`"
NO_BEP_42 = "BEP 42 is not implemented"
NO_BEP_43 = "BEP 43 is not implemented: whoever asks is listed"

LISTS_WHO_ANSWERED = "it names only nodes that have answered it, and asks no stranger back"
NO_BEP_33 = "BEP 33 is not implemented"
NO_BEP_44 = "BEP 44 is not implemented"
NO_BEP_51 = "BEP 51 is not implemented"
SWAPPED = "0.9.8 stores the announced port in the machine's byte order: 5555 returns as 45845"
MISREAD = "0.9.8 reads each value two bytes too early: its `6:` becomes the address 54.58"

KNOWN: Known = {
    (SERVER, "v"): {
        "transmission": ("none", "3.00 sends `v` in no answer"),
        "bittorrent-dht": ("none", "a library without a version of its own"),
    },
    (SERVER, "8 nodes per reply"): {
        "bittorrent-dht": ("whole table", "it asks its table for the closest without saying how many"),
    },
    (SERVER, "get_peers, hit"): {
        "rtorrent": ("port swapped", SWAPPED),
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
        "transmission": ("lists nobody", LISTS_WHO_ANSWERED),
        "rtorrent": ("ignored", NO_BEP_43), "aria2": ("ignored", NO_BEP_43), "bittorrent-dht": ("ignored", NO_BEP_43),
    },
    (SERVER, "ro, announcing"): {
        "libtorrent": ("listed", "a good token proves the address, and then `ro` is not looked at"),
        "transmission": ("lists nobody", LISTS_WHO_ANSWERED),
        "rtorrent": ("listed", NO_BEP_43), "aria2": ("listed", NO_BEP_43), "bittorrent-dht": ("listed", NO_BEP_43),
    },
    (SERVER, "scrape (BEP 33)"): {
        "transmission": ("none", NO_BEP_33), "rtorrent": ("none", NO_BEP_33), "aria2": ("none", NO_BEP_33),
        "bittorrent-dht": ("none", NO_BEP_33),
    },
    (SERVER, "noseed (BEP 33)"): {
        "transmission": ("ignored", NO_BEP_33), "rtorrent": ("ignored", NO_BEP_33), "aria2": ("ignored", NO_BEP_33),
        "bittorrent-dht": ("ignored", NO_BEP_33),
    },
    (SERVER, "samples (BEP 51)"): {
        "transmission": ("silent", NO_BEP_51), "rtorrent": ("204", NO_BEP_51), "aria2": ("silent", NO_BEP_51),
        "bittorrent-dht": ("silent", NO_BEP_51),
    },
    (SERVER, "get (BEP 44)"): {
        "transmission": ("silent", NO_BEP_44), "rtorrent": ("204", NO_BEP_44), "aria2": ("silent", NO_BEP_44),
    },
    (SERVER, "1,001 bytes: 205"): {
        "bittorrent-dht": ("answers", "it measures the value before it is encoded"),
    },
    (SERVER, "bad signature: 206"): {"bittorrent-dht": ("silent", "it drops the query without a word")},
    (SERVER, "salt of 65 bytes: 207"): {
        "bittorrent-dht": ("answers", "it limits the salt of its own puts, not of others'"),
    },
    (SERVER, "get with seq"): {
        "bittorrent-dht": ("value all the same", "it does not look at `seq`; the newest value is no harm"),
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
    (CLIENT, "get_peers"): {"rtorrent": ("misread", MISREAD)},
    (NETWORK, "stored"): {"rtorrent": ("port swapped", SWAPPED)},
    (NETWORK, "found again"): {"rtorrent": ("misread", MISREAD)},
}

SILENT = "no answer"
TAKEN = "answered as if nothing were wrong"
LISTED = "we are listed"
NO_ERRORS = ("unknown-method", "unknown-with-target", "no-method", "no-arguments")

# Peer → check of `fastdht conform` → what it says, and the reason.
DEVIATIONS: dict[str, dict[str, tuple[str, str]]] = {
    "libtorrent": {
        "unknown-method": ("error 203 unknown message", "to it a query it does not know is one with wrong arguments"),
        "put-equal-seq": (TAKEN, "it keeps the old value, but says that it has taken the new one"),
        "short-error": ("an error of", "it tells its version and our port in each error, and measures none"),
    },
    "transmission": {
        **dict.fromkeys((*NO_ERRORS, "no-id", "short-id"), (SILENT, QUIET)),
        "tid-20": ("returns as empty", "it keeps no more of a tid than 15 bytes"),
        "no-target": (TAKEN, "that the target is missing is not noticed"),
        "short-target": (TAKEN, "the target's length is not checked"),
    },
    "rtorrent": {
        "announce-port": (TAKEN, "a port above 65535 is not noticed"),
        "announced": ("do not name our address", SWAPPED),
        "implied-port": ("do not name our address", "`implied_port` came after its DHT was written"),
        "no-kind": ("answered with error 203 No message type", "it answers what it cannot use"),
        "stray-error": ("answered with error 203 Invalid transaction ID", "it answers what it cannot use"),
        "read-only": (LISTED, NO_BEP_43),
        "short-error": ("an error of", "it tells its version in each error, and measures none"),
    },
    "aria2": {
        **dict.fromkeys((*NO_ERRORS, "no-id", "short-id", "no-target", "short-target", "announce-forged",
                         "announce-port"), (SILENT, QUIET)),
        "implied-port": ("do not name our address", "`implied_port` came after its DHT was written"),
        "read-only": (LISTED, NO_BEP_43),
    },
    "bittorrent-dht": {
        **dict.fromkeys((*NO_ERRORS, "announce-port"), (SILENT, QUIET)),
        "no-id": (TAKEN, "it looks at the id only to list the asker"),
        "short-id": (TAKEN, "it looks at the id only to list the asker"),
        "short-target": (TAKEN, "the target's length is not checked"),
        "read-only": (LISTED, NO_BEP_43),
        "put-too-large": (TAKEN, "it measures the value before it is encoded"),
        "put-unsorted": (TAKEN, "the order of a value's keys is not looked at"),
        "put-long-salt": (TAKEN, "it limits the salt of its own puts, not of others'"),
        "get-seq": ("sent, though the asker has them", "it does not look at `seq`; the newest value is no harm"),
    },
}
# Peer → BEPs of which it keeps no rule: those it lacks.
LACKS: dict[str, set[int]] = {
    "libtorrent": set(),
    "transmission": {33, 42, 44, 51},
    "rtorrent": {33, 42, 43, 44, 51},
    "aria2": {33, 42, 43, 44, 51},
    "bittorrent-dht": {33, 42, 43, 51},
}
