"""The slow twin of PeerStore: a dictionary of dictionaries. Exact as long as no random victim is needed, that is while
swarms, peers and info-hashes in all stay under their bounds."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Record:
    is_seed: bool
    seen_us: int


class SlowPeers:
    def __init__(self, family: int, *, ports_per_ip: int, peers_per_subnet: int, info_hashes_per_ip: int,
                 info_hashes_per_subnet: int, ttl_us: int) -> None:
        self.family = family
        self.ports_per_ip, self.peers_per_subnet = ports_per_ip, peers_per_subnet
        self.info_hashes_per_ip, self.info_hashes_per_subnet = info_hashes_per_ip, info_hashes_per_subnet
        self.ttl_us = ttl_us
        self.ip_size, self.subnet_size = (4, 3) if family == 4 else (16, 8)
        self.swarms: dict[bytes, dict[bytes, Record]] = {}

    def like(self, info_hash: bytes, packed: bytes, size: int) -> list[bytes]:
        return [other for other in self.swarms.get(info_hash, {}) if other[:size] == packed[:size]]

    def info_hashes_from(self, packed: bytes) -> tuple[int, int]:
        ip = sum(1 for info_hash in self.swarms if self.like(info_hash, packed, self.ip_size))
        return ip, sum(1 for info_hash in self.swarms if self.like(info_hash, packed, self.subnet_size))

    def announce(self, info_hash: bytes, packed: bytes, is_seed: bool, now_us: int) -> bool:
        if len(packed) != self.ip_size + 2:
            return False
        swarm = self.swarms.get(info_hash, {})
        if packed not in swarm:
            of_ip = self.like(info_hash, packed, self.ip_size)
            of_subnet = self.like(info_hash, packed, self.subnet_size)
            by_ip, by_subnet = self.info_hashes_from(packed)
            if not of_ip and by_ip >= self.info_hashes_per_ip:
                return False
            if not of_subnet and by_subnet >= self.info_hashes_per_subnet:
                return False
            if len(of_ip) >= self.ports_per_ip:
                del swarm[min(of_ip, key=lambda other: swarm[other].seen_us)]
            elif len(of_subnet) >= self.peers_per_subnet:
                del swarm[min(of_subnet, key=lambda other: swarm[other].seen_us)]
        swarm[packed] = Record(is_seed, now_us)
        self.swarms[info_hash] = swarm
        return True

    def alive(self, info_hash: bytes, now_us: int, noseed: bool) -> set[bytes]:
        return {packed for packed, record in self.swarms.get(info_hash, {}).items()
                if now_us < record.seen_us + self.ttl_us and not (noseed and record.is_seed)}

    def expire(self, now_us: int) -> int:
        before = sum(map(len, self.swarms.values()))
        for info_hash, swarm in list(self.swarms.items()):
            self.swarms[info_hash] = {p: r for p, r in swarm.items() if now_us < r.seen_us + self.ttl_us}
        self.swarms = {info_hash: swarm for info_hash, swarm in self.swarms.items() if swarm}
        return before - sum(map(len, self.swarms.values()))
