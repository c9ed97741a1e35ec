from typing import Self

from fastdht._ext.peers_slab import PeerSlab

class PeerStore(PeerSlab):
    ttl_us: int
    refused: int
    evicted: int
    def __new__(
        cls,
        family: int,
        *,
        max_info_hashes: int = 4096,
        max_peers: int = 200_000,
        peers_per_info_hash: int = 500,
        ports_per_ip: int = 2,
        peers_per_subnet: int = 16,
        info_hashes_per_ip: int = 64,
        info_hashes_per_subnet: int = 256,
        ttl_us: int = 2_700_000_000,
        secret: bytes,
        seed: int,
        own_id: bytes = ...,
    ) -> Self: ...
    def announce(self, info_hash: bytes, packed: bytes, is_seed: bool, now_us: int) -> bool: ...
    def values(self, info_hash: bytes, limit: int, now_us: int, noseed: bool = False, seed: int = 0) -> bytes: ...
    def filters(self, info_hash: bytes, now_us: int) -> tuple[bytes, bytes] | None: ...
    def refuses(self, info_hash: bytes, packed: bytes, now_us: int) -> bool: ...
    def reclaim(self, now_us: int, budget: int) -> int: ...
    def info_hash_at(self, index: int) -> bytes | None: ...
