"""`fastdht conform`: check any node against the BEPs, from outside. Rate class: command."""
from __future__ import annotations

import asyncio
from typing import Any

import click

from fastdht.cli.conform_checks import CHECKS
from fastdht.cli.conform_judges import Bench, Check, Verdict
from fastdht.cli.options import json_option
from fastdht.cli.params import ENDPOINT, LISTEN, TIMEOUT
from fastdht.cli.probe import Probe
from fastdht.cli.render import emit, emit_remark
from fastdht.cli.run import run_async
from fastdht.errors import DHTError, NoResponse
from fastdht.types import Endpoint

PAUSE_S = 0.15              # between queries: nodes mute who asks too fast
MARKS = {Verdict.CONFORMS: "ok", Verdict.DEVIATES: "DEVIATES", Verdict.UNSUPPORTED: "unsupported",
         Verdict.SKIPPED: "not checked"}


@click.command()
@click.argument("remote", type=ENDPOINT, metavar="HOST:PORT")
@click.option("--bep", "beps", type=click.IntRange(1), multiple=True, metavar="N",
              help="Only checks of this BEP; may be repeated. Default: all.")
@click.option("--listen", type=LISTEN, metavar="HOST:PORT", help="Address to ask from. Default: any port.")
@click.option("--query-timeout", type=TIMEOUT, default="2s", show_default=True, metavar="DURATION",
              envvar="FASTDHT_QUERY_TIMEOUT", help="After how long a node counts as silent.")
@json_option
def conform(remote: Endpoint, beps: tuple[int, ...], listen: Endpoint | None, query_timeout: float,
            as_json: bool) -> None:
    """Check a node against the BEPs by what it answers, and name each deviation.

    Stores a peer and some small items at the node, which forgets them by itself. Extensions that it does not speak
    are no deviations. Fails when there is one, or when the node does not answer at all.
    """
    known = {check.bep for check in CHECKS}
    if set(beps) - known:
        raise click.UsageError(f"--bep {min(set(beps) - known)}: checks are of {', '.join(map(str, sorted(known)))}")
    run_async(run_conform(remote, beps, listen, query_timeout, as_json))


async def run_conform(remote: Endpoint, beps: tuple[int, ...], listen: Endpoint | None, patience: float,
                      as_json: bool) -> None:
    probe = await Probe.open(listen or Endpoint("::" if remote.is_ipv6 else "0.0.0.0", 0), patience)
    try:
        results = await check_all(Bench(probe, remote), [each for each in CHECKS if not beps or each.bep in beps])
    finally:
        probe.close()
    value = {"endpoint": str(remote), "checks": [plain_check(*result) for result in results],
             "deviations": sum(verdict is Verdict.DEVIATES for _, verdict, _ in results)}
    rows = [(f"BEP {check.bep}", check.name, MARKS[verdict], remark) for check, verdict, remark in results]
    emit(as_json, value, ("source", "check", "verdict", "remark"), rows)
    counts = {verdict: sum(found is verdict for _, found, _ in results) for verdict in Verdict}
    if counts[Verdict.DEVIATES]:
        raise DHTError(f"{remote} deviates in {counts[Verdict.DEVIATES]} of {len(results)} checks")
    if not as_json:
        emit_remark(f"{remote} conforms in {counts[Verdict.CONFORMS]} checks; {counts[Verdict.UNSUPPORTED]} are of "
                    f"extensions it does not speak")


async def check_all(bench: Bench, checks: list[Check]) -> list[tuple[Check, Verdict, str]]:
    """Every check in turn. Raises NoResponse when the node does not even answer a ping."""
    if await bench.ask(b"ping") is None:
        raise NoResponse(f"{bench.remote}: no answer to a ping within {bench.probe.patience:g} s")
    results = []
    for check in checks:
        await asyncio.sleep(PAUSE_S)
        verdict, remark = await check.run(bench)
        results.append((check, verdict, remark))
    return results


def plain_check(check: Check, verdict: Verdict, remark: str) -> dict[str, Any]:
    return {"bep": check.bep, "name": check.name, "clause": check.clause, "verdict": verdict.value,
            "remark": remark or None}
