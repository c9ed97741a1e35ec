"""`fastdht crawl verify` for all but a census: the figures beside the truth. Rate class: command."""
from __future__ import annotations

from pathlib import Path

from fastdht.cli.render import Row, count, emit_json, percent, print_summary
from fastdht.crawl.size_verify import verify_size
from fastdht.crawl.verify import Verdict
from fastdht.crawl.verify_harvest import place_of, verify_harvest
from fastdht.crawl.verify_peers import PeersVerdict, ScrapeVerdict, as_plain, mode_of, verify_peers, verify_scrape
from fastdht.errors import PersistError
from fastdht.testing.catalog import beside, read_crowds, read_hashes, read_peers
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


def recall_rows(verdict: Verdict) -> list[Row]:
    """What a census said of its own recall, where it said something."""
    if verdict.recall_estimate is None or verdict.recall_low is None or verdict.recall_high is None:
        return []
    error = 100 * (verdict.recall_estimate - verdict.recall)
    holds = "holds" if verdict.recall_low <= verdict.recall <= verdict.recall_high else "does not hold"
    interval = f"{100 * verdict.recall_low:.1f} to {percent(verdict.recall_high)}"
    return [Row("recall, estimated", percent(verdict.recall_estimate),
                f"{error:+.2f} points; {interval} {holds} the truth")]


def show_size(directory: Path, truth_file: Path, truth: int, *, as_json: bool) -> None:
    """Compare with `truth`, the number of reachable nodes."""
    verdicts = verify_size(directory, truth)
    if as_json:
        emit_json({"truth": truth, "methods": {name: each.as_dict() for name, each in verdicts.items()}})
        return
    print_summary(f"{directory} against {truth_file}: {count(truth)} nodes", [
        Row(name, f"{100 * each.error:+.2f} %", f"{count(each.nodes)}; {count(each.low)} to {count(each.high)} "
            + ("holds the truth" if each.is_held else "does not hold the truth")) for name, each in verdicts.items()])


def show_peers(directory: Path, truth_file: Path, *, as_json: bool) -> None:
    """Compare with FILE.crowds or, where the network has none, FILE.peers. Raises PersistError."""
    has_crowds = beside(truth_file, "crowds").exists()
    is_scrape = mode_of(directory) == "scrape"
    if not has_crowds and (is_scrape or not beside(truth_file, "peers").exists()):
        raise PersistError(f"{truth_file} says nothing of peers: run the swarm with --torrents"
                           + " and --largest-swarm" * is_scrape)
    verdict: PeersVerdict | ScrapeVerdict
    if is_scrape:
        verdict = verify_scrape(directory, read_crowds(truth_file))
        rows = scrape_rows(verdict)
    else:
        verdict = verify_peers(directory, read_crowds(truth_file) if has_crowds else read_peers(truth_file))
        rows = peers_rows(verdict)
    if as_json:
        emit_json(as_plain(verdict))
        return
    print_summary(f"{directory} against {truth_file}", [
        *rows,
        Row("messages per infohash", f"{verdict.msgs_per_hash:.2f}"),
        Row("infohashes", count(verdict.infohashes), f"{count(verdict.hashes_per_s)}/s; {count(verdict.unknown)} more "
            "that the network does not have"),
    ])


def peers_rows(verdict: PeersVerdict) -> list[Row]:
    missed = "by their number: addresses were not kept whole" if verdict.precision is None else "of the announced peers"
    false = "unknown" if verdict.precision is None else percent(verdict.precision)
    return [
        Row("recall", percent(verdict.recall), missed),
        Row("precision", false, f"{count(verdict.found)} found, {count(verdict.announced)} announced"),
        Row("written twice", count(verdict.doubled_rows), "rows"),
    ]


def scrape_rows(verdict: ScrapeVerdict) -> list[Row]:
    return [
        Row("seeds within bounds", percent(verdict.seeds_held), f"median error {percent(verdict.seeds_error)}"),
        Row("downloaders within bounds", percent(verdict.downloaders_held),
            f"median error {percent(verdict.downloaders_error)}"),
        Row("saturated", count(verdict.saturated), "infohashes"),
    ]
