"""The slow twin of RoutingTable: one list of entries; every question is answered by looking at all of them."""
from __future__ import annotations

from dataclasses import dataclass

NEVER = -(1 << 62)
PING_GAP_US = 15_000_000
BAD_GAP_US = 300_000_000


@dataclass(eq=False)
class SlowEntry:
    id: bytes
    packed: bytes
    rtt_us: int
    seen_us: int
    role: str = "new"               # live, replacement, candidate
    failures: int = 0
    pinged_us: int = NEVER


def shared_prefix(a: bytes, b: bytes) -> int:
    return 8 * len(a) - (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_length()


def distance(a: bytes, b: bytes) -> int:
    return int.from_bytes(a, "big") ^ int.from_bytes(b, "big")


class SlowTable:
    def __init__(self, own_id: bytes, family: int, *, k: int, replacements: int, max_buckets: int, one_per_ip: bool,
                 bucket_subnet_limit: int, table_subnet_limit: int, network_limit: int, questionable_us: int, candidate_wait_us: int,
                 max_failures: int) -> None:
        self.own_id, self.k, self.replacements, self.max_buckets = own_id, k, replacements, max_buckets
        self.one_per_ip = one_per_ip
        self.bucket_subnet_limit, self.table_subnet_limit = bucket_subnet_limit, table_subnet_limit
        self.network_limit = network_limit
        self.questionable_us, self.candidate_wait_us = questionable_us, candidate_wait_us
        self.max_failures = max_failures
        # Bytes of the address that name what a limit counts: an IP or /64, a /24 or /56, a /24 or /48, a /16 or /32.
        self.ip_bytes, self.bucket_net_bytes, self.table_net_bytes = (4, 3, 3) if family == 4 else (8, 7, 6)
        self.network_bytes = 2 if family == 4 else 4
        self.packed_size = 6 if family == 4 else 18
        self.entries: list[SlowEntry] = []
        self.bucket_count = 1
        self.now_us = 0

    # -- questions ----------------------------------------------------------------------------------------------

    def bucket(self, node_id: bytes) -> int:
        return min(shared_prefix(self.own_id, node_id), self.bucket_count - 1)

    def members(self, bucket: int, *roles: str) -> list[SlowEntry]:
        return [e for e in self.entries if self.bucket(e.id) == bucket and e.role in (roles or (e.role,))]

    def find(self, packed: bytes) -> SlowEntry | None:
        return next((e for e in self.entries if e.packed == packed), None)

    def is_good(self, e: SlowEntry) -> bool:
        return e.failures == 0 and self.now_us < e.seen_us + self.questionable_us

    def standing(self, e: SlowEntry) -> str:
        if self.is_good(e):
            return "good"
        return "bad" if e.failures >= self.max_failures else "questionable"

    def closest(self, target: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        live = sorted((e for e in self.entries if e.role == "live"), key=lambda e: distance(e.id, target))
        good = [e for e in live if self.standing(e) == "good"][:limit]
        others = [e for e in live if self.standing(e) == "questionable"][: limit - len(good)]
        return [(e.id, e.packed) for e in sorted(good + others, key=lambda e: distance(e.id, target))]

    def due(self, now_us: int) -> list[SlowEntry]:
        """What may be picked for a ping: all that is due and has been silent longest."""
        self.now_us = max(self.now_us, now_us)
        due = [e for e in self.entries if self.is_due(e)]
        return [e for e in due if e.seen_us == min(d.seen_us for d in due)]

    def is_due(self, e: SlowEntry) -> bool:
        bucket, gap, silence = self.bucket(e.id), PING_GAP_US, self.now_us - e.seen_us
        if e.role == "live":
            if self.is_good(e):
                return False
            if self.standing(e) == "bad":
                gap = BAD_GAP_US * 2 ** min(e.failures - self.max_failures, 4)
        else:
            live = self.members(bucket, "live")
            wanted = len(live) < self.k or self.can_split(bucket) or not all(map(self.is_good, live))
            if not wanted or silence < (self.candidate_wait_us if e.role == "candidate" else self.questionable_us):
                return False
        return self.now_us - e.pinged_us >= gap

    def can_split(self, bucket: int) -> bool:
        return bucket == self.bucket_count - 1 < self.max_buckets - 1

    def is_crowded(self, bucket: int) -> bool:
        """Full, nobody failing, and all who wait have answered within a minute: a newcomer is no gain."""
        live, waiting = self.members(bucket, "live"), self.members(bucket, "candidate", "replacement")
        return (len(live) == self.k and not any(e.failures for e in live) and not self.can_split(bucket)
                and len(waiting) == self.replacements > 0
                and all(e.role == "replacement" and e.seen_us > self.now_us - 60_000_000 for e in waiting))

    # -- events -------------------------------------------------------------------------------------------------

    def reply_from(self, node_id: bytes, packed: bytes, rtt_us: int, now_us: int) -> None:
        self.now_us = max(self.now_us, now_us)
        if not self.is_fileable(node_id, packed):
            return
        e = self.find(packed)
        if e is not None and e.role != "candidate" and e.id != node_id:
            self.remove(e)
            self.offer(node_id, packed)
        elif e is not None and e.role != "candidate":
            e.rtt_us, e.failures, e.seen_us = rtt_us, 0, self.now_us
            self.settle(self.bucket(e.id))
        else:
            if e is not None:
                self.entries.remove(e)
            elif self.is_crowded(self.bucket(node_id)):
                return
            self.file(node_id, packed, rtt_us, self.now_us)

    def query_from(self, node_id: bytes, packed: bytes, now_us: int) -> None:
        self.now_us = max(self.now_us, now_us)
        if not self.is_fileable(node_id, packed):
            return
        e = self.find(packed)
        if e is None:
            self.offer(node_id, packed)
        elif e.id == node_id and e.failures == 0:
            e.seen_us = self.now_us

    def failure_of(self, packed: bytes, now_us: int) -> None:
        self.now_us = max(self.now_us, now_us)
        e = self.find(packed)
        if e is None:
            return
        if e.role != "live":
            self.entries.remove(e)
            return
        e.failures = min(255, e.failures + 1)
        self.settle(self.bucket(e.id))

    # -- rules --------------------------------------------------------------------------------------------------

    def is_fileable(self, node_id: bytes, packed: bytes) -> bool:
        return len(packed) == self.packed_size and node_id not in (self.own_id, bytes(20))

    def file(self, node_id: bytes, packed: bytes, rtt_us: int, seen_us: int) -> None:
        if self.admit(node_id, packed):
            e = SlowEntry(node_id, packed, rtt_us, seen_us)
            self.entries.append(e)
            self.place(e)

    def offer(self, node_id: bytes, packed: bytes) -> None:
        bucket = self.bucket(node_id)
        if any(e.id == node_id or (self.one_per_ip and self.same_ip(e, packed)) for e in self.entries):
            return
        if self.crowd(bucket, packed, "live", "replacement", "candidate") is not None:
            return
        if len(self.members(bucket, "replacement", "candidate")) >= self.replacements:
            stale = [e for e in self.members(bucket, "candidate") if self.now_us - e.seen_us >= self.questionable_us]
            if not stale:
                return
            self.entries.remove(min(stale, key=lambda e: e.seen_us))
        self.entries.append(SlowEntry(node_id, packed, 0, self.now_us, "candidate"))

    def admit(self, node_id: bytes, packed: bytes) -> bool:
        for holds in (lambda e: e.id == node_id, lambda e: self.one_per_ip and self.same_ip(e, packed)):
            for e in [e for e in self.entries if holds(e)]:
                if e.role != "candidate" and e.failures == 0:
                    return False
                self.remove(e)
        for _ in range(3):              # the bucket may be crowded, then the table by a subnet, then by a network
            crowd = self.crowd(self.bucket(node_id), packed, "live", "replacement")
            if crowd is None:
                return True
            failing = [e for e in crowd if e.failures > 0]
            if not failing:
                return False
            self.remove(max(failing, key=lambda e: (e.failures, -e.seen_us)))
        return self.crowd(self.bucket(node_id), packed, "live", "replacement") is None

    def crowd(self, bucket: int, packed: bytes, *roles: str) -> list[SlowEntry] | None:
        """The entries that fill a subnet's quota in this bucket or, if not there, in the table."""
        near = [e for e in self.members(bucket, *roles)
                if e.packed[: self.bucket_net_bytes] == packed[: self.bucket_net_bytes]]
        if self.bucket_subnet_limit and len(near) >= self.bucket_subnet_limit:
            return near
        far = [e for e in self.entries
               if e.role in roles and e.packed[: self.table_net_bytes] == packed[: self.table_net_bytes]]
        if self.table_subnet_limit and len(far) >= self.table_subnet_limit:
            return far
        wide = [e for e in self.entries
                if e.role in roles and e.packed[: self.network_bytes] == packed[: self.network_bytes]]
        if self.network_limit and len(wide) >= self.network_limit:
            return wide
        return None

    def same_ip(self, e: SlowEntry, packed: bytes) -> bool:
        return e.packed[: self.ip_bytes] == packed[: self.ip_bytes]

    def place(self, e: SlowEntry) -> None:
        while True:
            bucket = self.bucket(e.id)
            live = self.members(bucket, "live")
            failing = [other for other in live if other.failures > 0]
            if len(live) < self.k or failing:
                if len(live) == self.k:
                    self.entries.remove(max(failing, key=lambda other: (other.failures, -other.seen_us)))
                e.role = "live"
                return
            if not self.can_split(bucket):
                break
            self.split()
        if self.replacements == 0:
            self.entries.remove(e)
            return
        waiting = self.members(bucket, "candidate") or self.members(bucket, "replacement")
        if len(self.members(bucket, "candidate", "replacement")) >= self.replacements:
            self.entries.remove(min(waiting, key=lambda other: other.seen_us))
        e.role = "replacement"

    def split(self) -> None:
        while True:
            self.bucket_count += 1
            self.settle(self.bucket_count - 2)
            self.settle(self.bucket_count - 1)
            if not (self.members(self.bucket_count - 1, "replacement") and self.can_split(self.bucket_count - 1)):
                return

    def settle(self, bucket: int) -> None:
        while spare := self.members(bucket, "replacement"):
            fresh = max(spare, key=lambda e: e.seen_us)
            live = self.members(bucket, "live")
            if len(live) == self.k:
                failing = [e for e in live if e.failures > 0]
                if not failing or not self.is_good(fresh):
                    return
                self.entries.remove(max(failing, key=lambda e: (e.failures, -e.seen_us)))
            fresh.role = "live"

    def remove(self, e: SlowEntry) -> None:
        bucket = self.bucket(e.id)
        self.entries.remove(e)
        self.settle(bucket)
