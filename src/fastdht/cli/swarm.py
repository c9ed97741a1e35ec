"""`fastdht swarm`: run a virtual network until a signal. Rate class: command.

Prints one JSON line when it serves (the truth is written by then) and one of totals when it ends.
"""
from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import click

from fastdht.cli.params import DURATION
from fastdht.testing.catalog import HASH_ROW, write_crowds, write_hashes, write_peers
from fastdht.testing.sessions import write_sessions
from fastdht.testing.swarm import LIARS, PROFILES, Swarm
from fastdht.testing.truth import write_counters, write_truth


class Share(click.ParamType):  # type: ignore[type-arg]     # generic only since click 8.3
    """`5%` or `0.05`."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{text!r} is no share; write 5% or 0.05", param, ctx)
        if not 0 <= share <= 10:
            self.fail(f"{text} is outside 0 to 1000%", param, ctx)
        return share


def liar_options(command: click.Command) -> click.Command:
    """One option a kind of liar: `--ring 100`."""
    for name in reversed(LIARS):
        option = click.Option([f"--{name}", name.replace("-", "_")], type=click.IntRange(0, 10_000_000), default=0,
                              metavar="N", help=f"N adversaries of kind {name}.")
        command.params.append(option)
    return command


@click.command()
@click.option("--nodes", type=click.IntRange(1, 100_000_000), required=True, help="Alive nodes; the rest comes on top.")
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=1, show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True,
              help="First UDP port; 0: the system picks one, printed with the bootstrap list.")
@click.option("--profile", type=click.Choice(list(PROFILES)), default="clean", show_default=True)
@click.option("--rtt", type=click.Choice(["none", "real"]), default="none", show_default=True,
              help="real: each node has its own delay, median 120 ms.")
@click.option("--loss", type=Share(), default=None, help="Share lost each way, instead of the profile's.")
@click.option("--truth", "truth_file", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Write who is there (FILE) and, at the end, what each received (FILE.counters).")
@click.option("--net", default="127.0.0.0/8", show_default=True, help="Range of addresses to live in.")
@click.option("--torrents", type=click.IntRange(0, (1 << 32) - 1), default=0, show_default=True,
              help="Synthetic torrents whose 8 closest nodes tell 10 peers.")
@click.option("--values-everywhere", is_flag=True, help="Any infohash is such a torrent.")
@click.option("--infohashes", type=click.IntRange(0, 1 << 40), default=0, show_default=True,
              help="About so many infohashes that nodes hold and give samples of (BEP 51).")
@click.option("--support", type=Share(), default=0.6, show_default=True,
              help="Share of the nodes that answer sample_infohashes; of the others half refuse it.")
@click.option("--sample-interval", "interval_s", type=click.IntRange(0, 21_600), default=21_600, show_default=True,
              help="Seconds that a sample stays the same; asking sooner is counted.")
@click.option("--largest-swarm", type=click.IntRange(0, 1_000_000), default=0, metavar="N",
              help="Torrents have 1 to N peers, spread over all sizes, and answer scrapes (BEP 33). Default: 10 each.")
@click.option("--full-filters", type=Share(), default=0, help="Share of the nodes that answer scrapes with every bit.")
@click.option("--churn", type=Share(), default=0, help="Share of the nodes that come and go.")
@click.option("--session", "session_s", type=DURATION, default="200m", show_default=True,
              help="Median of their sessions and of their absences.")
@click.option("--node-limit", type=click.IntRange(0, 1_000_000), default=0, show_default=True,
              help="Answers of a node to one address in 10 s; it ignores what is more. 0: all.")
@click.option("--adversaries", type=Share(), default=0, help="Adversaries of all kinds mixed, as a share of --nodes.")
@click.option("--ids-per-ip", type=click.IntRange(1, 250), default=200, show_default=True,
              help="How many of the adversary many-ids share an address.")
def swarm(nodes: int, seed: int, port: int, profile: str, rtt: str, loss: float | None, truth_file: Path | None,
          net: str, torrents: int, values_everywhere: bool, infohashes: int, support: float, interval_s: int,
          churn: float, session_s: float, node_limit: int, largest_swarm: int, full_filters: float, adversaries: float,
          ids_per_ip: int, **liars: int) -> None:
    """Run a virtual network on 127.0.0.0/8 until SIGTERM or Ctrl-C."""
    chosen = {name: liars[name.replace("-", "_")] for name in LIARS if liars[name.replace("-", "_")]}
    if chosen and adversaries:
        raise click.UsageError("--adversaries mixes all kinds; give it or single kinds, not both")
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: ending.set())
    try:
        network = Swarm(nodes, seed, port, profile=profile, rtt=rtt, loss=loss, net=net, torrents=torrents,
                        values_everywhere=values_everywhere, infohashes=infohashes, support=support,
                        interval_s=interval_s, adversaries=chosen or adversaries, ids_per_ip=ids_per_ip, churn=churn,
                        session_s=session_s, node_limit=node_limit, largest_swarm=largest_swarm,
                        full_filters=full_filters)
    except MemoryError:
        raise click.ClickException(f"no memory for {nodes} nodes; each contact takes 28 bytes") from None
    run(network, truth_file, ending)


def run(network: Swarm, truth_file: Path | None, ending: threading.Event) -> None:
    """Open, write the truth, say so, serve until told to end, write the counters, print the totals."""
    network.open()                      # a port that is taken ends it before anything is written
    if truth_file is not None:
        write_truths(network, truth_file)
    with network:
        print_line({**network.describe(), "bootstrap": network.bootstrap})
        while not ending.wait(0.5):     # a bare wait() would hold signals back on some platforms
            pass
    totals = network.counters()
    asked = network.asked()
    if truth_file is not None:
        write_cycles(network, truth_file)
        write_counters(truth_file.with_name(truth_file.name + ".counters"), totals["kernel_drops"],
                       totals["received"], asked, violations=totals.get("interval_violations", 0))
    print_line({**totals, "max_packets_per_ip": network.max_packets_per_ip(),
                "received_by_kind": network.asked_by_kind()})


def write_truths(network: Swarm, truth_file: Path) -> None:
    write_truth(truth_file, network.seed, network.nodes, network.contacts, network.truth_records)
    write_cycles(network, truth_file)
    if network.catalog is not None:
        write_hashes(truth_file, network.seed, network.catalog)
    if network.crowds is not None:
        write_crowds(truth_file, network.seed, list_crowds(network))
    elif network.torrents:
        write_peers(truth_file, network.seed, network.torrent_rows(), network.torrents)


def write_cycles(network: Swarm, truth_file: Path) -> None:
    sessions = network.sessions()
    if sessions is not None:
        write_sessions(truth_file, sessions)


def list_crowds(network: Swarm) -> list[tuple[bytes, bytes]]:
    """Each infohash that has peers, and the record of them."""
    assert network.crowds is not None
    hashes = [network.torrent(number) for number in range(network.torrents)]
    if network.catalog is not None:
        for cell in range(network.catalog.cells()):
            records = network.catalog.records(cell)
            hashes += [records[at : at + 20] for at in range(0, len(records), HASH_ROW.size)]
    return [(info_hash, network.crowds.record(info_hash)) for info_hash in hashes]


def print_line(values: dict[str, object]) -> None:
    click.echo(json.dumps(values))
    sys.stdout.flush()


swarm = liar_options(swarm)
