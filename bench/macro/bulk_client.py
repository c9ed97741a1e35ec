"""One measured run of bench-peers: python -m bench.macro.bulk_client HASHES BOOTSTRAP [CENSUS].

Looks up the peers of every infohash of the file HASHES (one on a line), with the nodes of CENSUS, a directory, or from
BOOTSTRAP alone. One JSON line; its clock runs from the first question to the last answer.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.macro.processes import own_cpu_s
from fastdht.cli.crawl_peers import read_census
from fastdht.cli.run import run_async
from fastdht.crawl.neighbours import HashList
from fastdht.crawl.peers import BulkPeers, PeersConfig

CONCURRENCY = 256           # as libtorrent's


def main() -> None:
    hashes, bootstrap, *census = sys.argv[1:]
    wanted = HashList(bytes.fromhex(line) for line in Path(hashes).read_text().split())
    config = PeersConfig(bootstrap=(bootstrap,), allow_net=("127.0.0.0/8",), rate=0.0, per_ip_rate=0.0,
                         concurrency=CONCURRENCY)
    run = BulkPeers(config, census=read_census(Path(census[0])) if census else None)
    before = own_cpu_s()
    summary = run_async(run.run(wanted))
    print(json.dumps({"lookups": summary.infohashes, "queries": summary.sent, "peers": summary.peers,
                      "wall_s": summary.elapsed_s, "cpu_s": own_cpu_s() - before}))


if __name__ == "__main__":
    main()
