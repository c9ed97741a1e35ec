"""An rTorrent DHT node, when rtorrent is installed: rtorrent_serve.py IP:PORT BOOTSTRAP_IP:PORT FOLDER.

Prints one JSON line, then becomes rtorrent by exec, so that the process measured is the node itself. FOLDER holds its
session. It needs no terminal as a daemon and knows no rate limit.
"""
import json
import os
import sys
from pathlib import Path

CONFIGURATION = """\
directory.default.set = {folder}
session.path.set = {folder}
network.bind_address.set = {ip}
network.local_address.set = {ip}
network.port_range.set = {port}-{port}
network.port_random.set = no
dht.mode.set = on
dht.port.set = {port}
protocol.pex.set = no
trackers.use_udp.set = no
system.daemon.set = true
schedule2 = bootstrap, 1, 3, "dht.add_node={bootstrap}"
"""


def main() -> None:
    ip, _, port = sys.argv[1].rpartition(":")
    folder = sys.argv[3]
    settings = Path(folder) / "rtorrent.rc"
    settings.write_text(CONFIGURATION.format(folder=folder, ip=ip, port=port, bootstrap=sys.argv[2]))
    print(json.dumps({"endpoint": sys.argv[1], "pid": os.getpid()}), flush=True)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    os.execvp("rtorrent", ["rtorrent", "-n", "-o", f"import={settings}"])


if __name__ == "__main__":
    main()
