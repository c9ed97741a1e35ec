"""The page of a census: who was found, how well spread, how they answered, and what was missed. Rate class: command."""
from __future__ import annotations

from typing import Any

from fastdht.crawl.cost import ANSWER_BYTES, QUERY_BYTES
from fastdht.crawl.report import plots
from fastdht.crawl.report.content import (
    TOP,
    Fact,
    Page,
    Section,
    Source,
    Table,
    counts_table,
    decimal,
    interval,
    number,
    percent,
    ratio,
    seconds,
    size,
)
from fastdht.crawl.report.nodes import Findings, gather, rtt_edges
from fastdht.crawl.report.sybil import judge_density, widen

CURVE = ("elapsed_s", "sent", "found", "contacts", "rate", "found_rate")
POOR_DEPTHS = ("fast", "random", "own")


def build(source: Source) -> Page:
    """Raises PersistError."""
    findings = gather(source)
    page = Page(f"Census {source.directory.name}", facts(findings, source))
    page.sections += recall(findings, source.summary)
    page.sections += course(findings)
    if findings.nodes:
        page.sections.append(spread(findings))
        page.sections += properties(findings)
    page.sections += cost(source.summary)
    if findings.nodes:
        page.sections += crowds(findings)
    page.undone = undone(findings, source)
    return page


def facts(findings: Findings, source: Source) -> list[Fact]:
    """The headline figures."""
    summary, found = source.summary, findings.nodes
    sent, recall_share = summary.get("sent"), summary.get("recall_estimate")
    return [
        ("Nodes found", number(found), f"of {summary['contacts']:,} heard of" if "contacts" in summary else ""),
        ("State", str(source.note.get("state", "unknown")), str(summary.get("reason") or "")),
        ("Recall, estimated", percent(recall_share) if recall_share is not None else "not measured",
         interval(summary.get("recall_low"), summary.get("recall_high"), percent)),
        ("Queries sent", number(sent), f"{sent / found:.2f} per found node" if sent and found else ""),
        ("Answered", percent(ratio(summary.get("answered"), sent)), "of the queries"),
        ("Most to one address", number(summary.get("max_packets_per_ip")), "packets"),
        ("Lost in our kernel", number(summary.get("kernel_drops")), "datagrams"),
        ("Time", seconds(summary.get("elapsed_s")), ""),
    ]


def recall(findings: Findings, summary: dict[str, Any]) -> list[Section]:
    """What share of the reachable nodes was found, where the crawl estimated it."""
    share, low, high = (summary.get(f"recall_{name}") for name in ("estimate", "low", "high"))
    if not share:
        return []
    rows = [("found", "", number(findings.nodes)),
            ("reachable, estimated", "", number(summary.get("reachable_estimate") or findings.nodes / share)),
            ("share found", interval(low, high, percent), percent(share))]
    if summary.get("found_twice"):
        rows.append(("found by both passes", "", number(summary["found_twice"])))
    texts = [f"{title}: {summary[name]}."
             for title, name in (("Method", "recall_method"), ("Assumed", "recall_assumptions")) if summary.get(name)]
    span = plots.Span("recall", *(100 * (share if each is None else each) for each in (share, low, high)))
    return [Section("Recall", " ".join(["Of the nodes that any crawl could reach.", *texts]),
                    plots.spans_plot([span], "Estimated recall with its interval", "% found", starts_at_zero=False),
                    Table(("", "", ""), rows))]


def course(findings: Findings) -> list[Section]:
    """How the crawl went, from its timeline."""
    points = [point for point in findings.timeline if all(isinstance(point.get(name), int | float) for name in CURVE)]
    if len(points) < 2:
        return []
    curve = {name: [point[name] for point in points] for name in CURVE}
    discovery = plots.lines_plot(
        [plots.Line("found", curve["sent"], curve["found"]), plots.Line("heard of", curve["sent"], curve["contacts"])],
        "Nodes found and heard of as queries were sent", "queries sent", "nodes")
    pace = plots.lines_plot(
        [plots.Line("queries", curve["elapsed_s"], curve["rate"]),
         plots.Line("nodes found", curve["elapsed_s"], curve["found_rate"])],
        "Queries and found nodes per second over time", "seconds", "per second")
    return [Section("Discovery", "Where the curve of found nodes is flat, more queries would have found little.",
                    discovery),
            Section("Pace", "Queries per second as sent, and what they brought.", pace)]


def spread(findings: Findings) -> Section:
    """Whether ids gather somewhere."""
    slices = widen(findings.prefixes)
    density = judge_density(slices)
    digits = len(f"{len(slices) - 1:x}")
    plot = plots.density_plot(slices, density)
    if not density.crowded:
        return Section(
            "Spread over the key space",
            f"No slice holds more nodes than chance allows ({density.limit:.0f}, with {density.mean:.1f} expected). "
            f"Divergence from uniform {density.divergence:.5f} bits; chance alone gives about {density.expected:.5f}.",
            plot)
    rows = [(f"{place:0{digits}x}…", number(count)) for place, count in density.crowded[:TOP]]
    return Section(
        "Spread over the key space",
        f"{len(density.crowded)} of {len(slices)} slices hold more nodes than chance allows ({density.limit:.0f}): "
        "somebody may be gathering around targets there.",
        plot, Table(("ids that begin with", "nodes"), rows), is_alarm=True)


def properties(findings: Findings) -> list[Section]:
    """Round-trip times, clients, and what the rows say of each node."""
    edges, total = rtt_edges(), findings.nodes
    clients, versions = findings.clients.most_common(TOP), findings.versions.most_common(TOP)
    shares = [("id fits the address (BEP 42)", findings.bep42), ("IPv6 (BEP 32)", findings.ipv6),
              ("says its version", total - findings.clients["says nothing"]),
              ("answered under another id", findings.statuses["renamed"])]
    return [
        Section("Round-trip times", "Of the answer that proved each node.",
                plots.histogram_plot([*edges, edges[-1] * edges[1] / edges[0]], findings.rtt,
                                     "Round-trip times of found nodes", "round-trip time, ms", "nodes")),
        Section("Clients", "From the first two letters of the version that a node sends (BEP 20).",
                plots.bars_plot(clients, "Clients of found nodes", "nodes", total)),
        Section("Versions", "The two bytes after the letters, as numbers.",
                plots.bars_plot(versions, "Versions of found nodes", "nodes", total)),
        Section("Properties", "Of the found nodes.",
                plots.bars_plot(shares, "Share of found nodes by property", "nodes", total)),
    ]


def cost(summary: dict[str, Any]) -> list[Section]:
    """What became of the queries, what was not counted, and what it took."""
    sent, answered = summary.get("sent"), summary.get("answered")
    if not sent or answered is None:
        return []
    timeouts = summary.get("timeouts", 0)
    outcomes = [("answered", answered), ("timed out", timeouts),
                ("anything else", max(0, sent - answered - timeouts))]
    sections = [Section("Replies", "What became of each query; anything else is late, refused, or no answer to it.",
                        plots.bars_plot(outcomes, "Queries by outcome", "queries", sent))]
    refused = [(name.replace("_", " "), count)
               for name, count in sorted(summary.get("filtered", {}).items(), key=lambda each: -each[1])]
    refused += [("found under another id than named", summary.get("renamed", 0))]
    sections.append(Section("Reply quality", "Contacts and answers that were not counted, by reason; and nodes whose "
                            "id was not the one they were known by.",
                            table=counts_table(("reason", "of contacts", "count"), refused,
                                               summary.get("contacts") or 0)))
    rows = [
        ("queries for each found node", decimal(summary.get("msgs_per_found"))),
        ("asked again after silence", number(summary.get("retries"))),
        ("questions given up at the end", number(summary.get("not_asked"))),
        ("answers per second", number(summary.get("rpc_per_s"))),
        ("nodes found per second", number(summary.get("found_per_s"))),
        ("traffic out, about", size(sent * QUERY_BYTES)),
        ("traffic in, about", size(answered * ANSWER_BYTES)),
        ("most packets to one address", number(summary.get("max_packets_per_ip"))),
        ("longest pause of the loop", f"{summary.get('longest_pause_ms', 0):,.1f} ms"),
        ("passes", number(summary.get("passes"))),
    ]
    return [*sections, Section("Cost", "Traffic is estimated from usual sizes of datagrams, headers included.",
                               table=Table(("", ""), rows))]


def crowds(findings: Findings) -> list[Section]:
    """Networks and addresses that have most nodes."""
    sections = []
    if findings.networks:
        sections.append(Section("Fullest networks", table=counts_table(
            ("IPv4 /24", "of all", "nodes"), findings.networks, findings.nodes)))
    sections.append(Section(
        "Addresses with several nodes",
        f"{findings.addresses:,} different addresses. Many ids on one are a shared address, or one machine that wants "
        "to look like many.", table=counts_table(("address", "nodes"), findings.crowded)))
    return sections


def undone(findings: Findings, source: Source) -> list[str]:
    """What this census does not know."""
    config, summary = source.note.get("config", {}), source.summary
    rows = []
    if summary.get("zone"):
        rows.append(f"Only the zone {summary['zone']} of the key space was crawled.")
    for family, count in ((6, findings.ipv6), (4, findings.nodes - findings.ipv6)):
        if findings.nodes and not count:
            rows.append(f"IPv{family} was not crawled: it is a network of its own.")
    if summary.get("recall_estimate") is None:
        rows.append("Recall was not estimated. A crawl misses nodes that few others know.")
    if config.get("depth") in POOR_DEPTHS:
        rows.append(f"Depth {config['depth']}: one question per contact misses nodes that stand in few tables.")
    if summary.get("not_asked"):
        rows.append(f"{summary['not_asked']:,} questions were not asked: their addresses had too many contacts.")
    return [
        *rows,
        "Which nodes know BEP 33 (scrapes), 44 (items) or 51 (samples) was not measured: only find_node was asked.",
        "Nodes behind address translators that answer only those they have asked are invisible to any crawl.",
        "No peers, no content and no torrents were asked for.",
    ]


