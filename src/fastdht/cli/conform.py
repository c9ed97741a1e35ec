"""`fastdht conform`: does a node keep to the BEPs? Rate class: command."""
from __future__ import annotations

import click

from fastdht.cli.params import DURATION, RATE, Checked, HostPort, parse_host_port

TARGET = Checked("host:port", parse_host_port)


@click.command()
@click.argument("node", metavar="HOST:PORT", type=TARGET)
@click.option("--writes/--no-writes", default=True, show_default=True,
              help="Also announce to it and store at it, random things that nobody else looks for.")
@click.option("--rate", type=RATE, default=4.0, show_default=True,
              help="Queries per second; nodes of the libtorrent family silence who asks more than 5.")
@click.option("--timeout", type=DURATION, default="2s", show_default=True,
              help="How long to wait for an answer; each question is put up to three times.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True,
              help="Local UDP port to ask from; 0 for any.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("-v", "--verbose", count=True, help="Log the questions to stderr; twice: whole datagrams, too.")
def conform(node: HostPort, writes: bool, rate: float, timeout: float, port: int, as_json: bool, verbose: int) -> None:
    """Ask one node everything the BEPs define, and name each deviation.

    One socket asks, slowly, and says that it is read-only (BEP 43). Exit code 0: nothing deviates (what a node leaves
    out of the optional BEPs does not); 1: something does, or nobody answers; 2: wrong usage.
    """
    raise click.ClickException("not available in this version")
