"""The slow twin of Frontier: a dictionary of contacts, each with what it is to be asked next.

The fast one chooses order and targets; the twin says which choices are legal, and works out all counts and rows.
"""
from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field

FIRST, RETRY, OWN, VERIFY, BUCKET, SILENT, DONE = range(7)
FAST, STANDARD, EXHAUSTIVE = range(3)
CONTROL_SHARE = 64
ENOUGH_INSIDE, MAX_GUIDES, SEED_REPEATS, MAX_NAMED = 64, 512, 3, 300

Question = tuple[bytes, bytes, "bytes | None", int, int]


def shared_prefix(a: bytes, b: bytes) -> int:
    return 160 - (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_length()


def is_public(packed: bytes) -> bool:
    return ipaddress.ip_address(packed[:-2]).is_global or packed[0] == 127


@dataclass
class Known:
    """One contact."""

    id: bytes | None
    referrers: int = 1
    stage: int = FIRST
    step: int = 0               # buckets still open
    failures: int = 0           # of a seed
    is_out: bool = False
    is_found: bool = False
    is_doubted: bool = False
    is_repeated: bool = False
    asked: int = 0


@dataclass
class SlowFrontier:
    """Told of every question and outcome, in order; asserts that each question was legal."""

    own_id: bytes
    depth: int = STANDARD
    zone: bytes = bytes(20)
    zone_bits: int = 0
    max_contacts: int = 1 << 20
    retry_share: float = 0.45
    retry_referrers: int = 3
    contacts: dict[bytes, Known] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[bytes, bytes, str]] = field(default_factory=list)
    guides: int = 0
    inside: int = 0

    def in_zone(self, node_id: bytes) -> bool:
        return shared_prefix(node_id, self.zone) >= self.zone_bits

    # contacts

    def offer(self, endpoint: bytes) -> None:
        self.name(endpoint, None, None)

    def name(self, endpoint: bytes, node_id: bytes | None, referrer: bytes | None) -> None:
        if endpoint in self.contacts:
            self.contacts[endpoint].referrers += 1
            self.counts["duplicates"] += 1
            return
        reason = self.reason(endpoint, node_id, referrer)
        if reason:
            self.counts[f"filtered_{reason}"] += 1
            return
        self.contacts[endpoint] = Known(node_id)
        self.inside += node_id is not None and self.in_zone(node_id)

    def reason(self, endpoint: bytes, node_id: bytes | None, referrer: bytes | None) -> str:
        if endpoint[-2:] == b"\0\0":
            return "port_zero"
        if not is_public(endpoint):
            return "bogon"
        if node_id == self.own_id:
            return "own_id"
        if node_id is not None and not self.in_zone(node_id):
            is_closer = referrer is None or shared_prefix(node_id, self.zone) > shared_prefix(referrer, self.zone)
            if self.inside >= ENOUGH_INSIDE or self.guides >= MAX_GUIDES or not is_closer:
                return "outside_zone"
            self.guides += 1
        return "full" if len(self.contacts) >= self.max_contacts else ""

    # questions

    def has_budget(self) -> bool:
        if self.depth == EXHAUSTIVE:
            return True
        return self.depth == STANDARD and self.counts["retries"] < self.retry_share * self.counts["found"]

    def may_retry(self, contact: Known) -> bool:
        return self.has_budget() and (self.depth == EXHAUSTIVE or contact.referrers >= self.retry_referrers)

    def ready(self) -> list[Known]:
        """Contacts that a question is due to, retries apart."""
        return [each for each in self.contacts.values() if not each.is_out and each.stage not in (SILENT, DONE)]

    def silent(self) -> list[Known]:
        return [each for each in self.contacts.values() if not each.is_out and each.stage == SILENT]

    def asked(self, question: Question) -> None:
        endpoint, target, expected, _, number = question
        contact = self.contacts[endpoint]
        assert not contact.is_out, "asked while a question to it is out"
        assert expected == contact.id
        if contact.stage == SILENT:
            assert self.may_retry(contact), "a retry beyond the budget, or of a contact too few have named"
            contact.stage = RETRY
        assert contact.stage == number & 15, f"is in stage {contact.stage}, was asked as in stage {number & 15}"
        self.counts["retries"] += contact.stage == RETRY
        self.check_target(contact, target)
        contact.is_out = True
        contact.asked += 1
        self.counts["asked"] += 1

    def check_target(self, contact: Known, target: bytes) -> None:
        is_near = contact.id is not None and target != contact.id and target[:12] == contact.id[:12]
        if contact.id is None or not self.in_zone(contact.id):
            assert self.in_zone(target)
        elif contact.stage == BUCKET:
            assert shared_prefix(target, contact.id) == contact.step - 1
        elif contact.stage in (OWN, VERIFY) or self.depth == EXHAUSTIVE:
            assert is_near
        elif self.depth == STANDARD:
            assert self.in_zone(target)
        else:
            assert is_near or self.in_zone(target)

    def given_back(self, question: Question) -> None:
        contact = self.contacts[question[0]]
        contact.is_out = False
        contact.asked -= 1
        self.counts["asked"] -= 1
        self.counts["retries"] -= contact.stage == RETRY

    # outcomes

    def failed(self, question: Question, kind: str) -> None:
        contact = self.contacts[question[0]]
        contact.is_out = False
        self.counts[kind] += 1
        self.fail(contact)

    def fail(self, contact: Known) -> None:
        if contact.id is None and contact.failures < SEED_REPEATS:
            contact.failures += 1
        elif contact.stage == FIRST and contact.id is not None and self.in_zone(contact.id) and self.depth != FAST:
            contact.stage = SILENT
        elif not contact.is_repeated and (contact.stage == BUCKET or contact.is_doubted):
            contact.is_repeated = True
            self.counts["repeats"] += 1
        else:
            contact.stage = DONE

    def answered(self, question: Question, node_id: bytes | None, nodes: list[tuple[bytes, bytes]]) -> None:
        """`nodes`: (id, endpoint) of each contact in the answer."""
        contact = self.contacts[question[0]]
        contact.is_out = False
        if node_id is None:
            self.counts["filtered_no_id"] += 1
            self.fail(contact)
            return
        if node_id == self.own_id:
            self.counts["filtered_reflected"] += 1
            contact.stage = DONE
            return
        self.counts["answered"] += 1
        for named_id, endpoint in nodes[:MAX_NAMED]:
            self.name(endpoint, named_id, node_id)
        self.counts["filtered_too_many"] += max(0, len(nodes) - MAX_NAMED)
        contact.is_repeated = False
        is_first = contact.stage == FIRST
        contact.stage = self.next_stage(contact, nodes) if self.judge(question[0], contact, node_id) else DONE
        if is_first and self.depth == FAST and contact.is_found and contact.stage == DONE and self.is_control_due():
            self.counts["repeats"] += 1
            contact.stage = OWN

    def is_control_due(self) -> bool:
        return self.counts["repeats"] * CONTROL_SHARE < self.counts["asked"]

    def judge(self, endpoint: bytes, contact: Known, node_id: bytes) -> bool:
        if contact.is_found:
            return True
        if contact.id == node_id:
            if self.in_zone(node_id):
                self.rows.append((endpoint, node_id, "renamed" if contact.is_doubted else "ok"))
                self.counts["found"] += 1
                contact.is_found = True
            contact.is_doubted = False
            return True
        if contact.is_doubted:
            self.counts["filtered_changed_id"] += 1
            return False
        contact.id = node_id
        contact.is_doubted = True
        self.counts["renamed"] += 1
        return True

    def next_stage(self, contact: Known, nodes: list[tuple[bytes, bytes]]) -> int:
        assert contact.id is not None
        if not self.in_zone(contact.id):
            return DONE
        if self.depth == STANDARD and contact.stage in (FIRST, RETRY):
            return OWN
        if self.depth == EXHAUSTIVE:
            if contact.stage == BUCKET:
                contact.step -= 1
            elif contact.is_doubted:
                return OWN
            else:
                contact.step = self.open_buckets(contact.id, nodes)
            if contact.step > self.zone_bits:
                return BUCKET
        return VERIFY if contact.is_doubted else DONE

    def open_buckets(self, node_id: bytes, nodes: list[tuple[bytes, bytes]]) -> int:
        if not nodes:
            return 0
        cap = max(16, 2 + len(self.contacts).bit_length())
        return min(cap, 1 + min(shared_prefix(node_id, named) for named, _ in nodes[:MAX_NAMED]))
