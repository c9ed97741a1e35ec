"""`fastdht crawl verify` for a harvest or an estimate of size: the figures beside the truth. Rate class: command."""
from __future__ import annotations

from pathlib import Path

from fastdht.cli.render import Row, count, emit_json, percent, print_summary
from fastdht.crawl.size_verify import verify_size
from fastdht.crawl.verify_harvest import place_of, verify_harvest
from fastdht.testing.catalog import read_hashes
from fastdht.testing.truth import RECORD, read_counters


def show_harvest(directory: Path, truth_file: Path, records: bytes, honest: int, *, as_json: bool) -> None:
    """Compare with the network's `records`, the first `honest` of which tell the truth, and with FILE.infohashes, and
    FILE.counters when the network has ended."""
    hashes = read_hashes(truth_file)
    counters = truth_file.with_name(truth_file.name + ".counters")
    violations = read_counters(counters).violations if counters.exists() else None
    places = {place_of(records[i:i + 6]): i // RECORD.size for i in range(0, len(records), RECORD.size)}
    verdict = verify_harvest(directory, hashes.index(), hashes.holders, hashes.allowed(), places, violations,
                             honest)
    if as_json:
        emit_json(verdict.as_dict())
        return
    early = "the network has not ended yet" if violations is None else count(violations)
    error = "no estimate" if verdict.total_error is None else f"{100 * verdict.total_error:+.1f} %"
    print_summary(f"{directory} against {truth_file}", [
        Row("coverage", percent(verdict.coverage), f"{count(verdict.infohashes)} of {count(verdict.existing)}"),
        Row("of what one sweep can see", percent(verdict.share), f"the formula allows {percent(verdict.allowed)}"),
        Row("total estimated", error, "against the truth"),
        Row("false infohashes", count(verdict.false_hashes), f"{count(verdict.misplaced)} rows of the wrong node"),
        *([Row("told by adversaries", count(verdict.lies), "rows")] if verdict.lies else []),
        Row("asked too early", early, "questions, as the network counted them"),
        Row("messages per found node", f"{verdict.msgs_per_found:.3f}",
            f"{verdict.contacts_per_found:.3f} contacts per found node"),
        Row("written twice", count(verdict.doubled_rows), "rows"),
    ])


def show_size(directory: Path, truth_file: Path, truth: int, *, as_json: bool) -> None:
    """Compare with `truth`, the number of reachable nodes."""
    verdicts = verify_size(directory, truth)
    if as_json:
        emit_json({"truth": truth, "methods": {name: each.as_dict() for name, each in verdicts.items()}})
        return
    print_summary(f"{directory} against {truth_file}: {count(truth)} nodes", [
        Row(name, f"{100 * each.error:+.2f} %", f"{count(each.nodes)}; {count(each.low)} to {count(each.high)} "
            + ("holds the truth" if each.is_held else "does not hold the truth")) for name, each in verdicts.items()])
