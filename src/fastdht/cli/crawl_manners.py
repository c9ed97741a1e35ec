"""Options that modes of `fastdht crawl` share: who is left alone, who can be reached, how fast. Rate class: command."""
from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

STDIN = "-"

exclude_option = click.option(
    "--exclude", type=click.Path(path_type=Path, allow_dash=True), multiple=True,
    help="Opt-out list: addresses never asked, one address, range or CIDR a line; - for stdin.")
contact_option = click.option(
    "--contact", default="", metavar="URL", help="Where who is asked can reach you; kept in crawl.json.")
own_network_option = click.option(
    "--i-own-this-network", is_flag=True, help="Whoever is asked has agreed; --rate max needs it.")
nat_friendly_option = click.option(
    "--nat-friendly", is_flag=True, help="At most 200 packets per second, for a home router.")
new_endpoints_option = click.option(
    "--new-endpoints-per-minute", type=click.IntRange(1), default=None,
    help="At most so many addresses and ports a minute that were not asked before; lowers the rate.")


def check_rate(rate: float, allow_net: tuple[str, ...], *, owns_network: bool) -> None:
    """Raises UsageError for `--rate max` (0) where nobody has said whose network it is."""
    if rate == 0 and not allow_net and not owns_network:
        raise click.UsageError(
            "--rate max floods whoever is crawled; it needs --i-own-this-network, or --allow-net for a test network")


def require_one_stdin(hashes: TextIO | None, exclude: tuple[Path, ...]) -> None:
    """Raises UsageError where two lists are to come from standard input."""
    lists = [str(path) for path in exclude].count(STDIN) + (hashes is not None and hashes.name == "<stdin>")
    if lists > 1:
        raise click.UsageError(f"{lists} lists are to be read from - (stdin); 1 can be")
