from typing import Self

class Throttle:
    dropped_source: int
    dropped_subnet: int
    mutes: int
    denied_subnet: int
    denied_budget: int
    denied_items: int
    denied_outbound: int
    def __new__(
        cls,
        secret: bytes,
        *,
        per_ip_rate: float = 8,
        per_ip_burst: int = 40,
        per_subnet_rate: float = 40,
        per_subnet_burst: int = 120,
        mute_factor: float = 3,
        mute_s: int = 300,
        reply_bytes_per_s: int = 64_000,
        subnet_reply_bytes_per_s: int = 20_000,
        amplification: int = 6,
        outbound_per_ip: int = 4,
        outbound_per_subnet: int = 16,
        outbound_window_s: int = 10,
        proved_s: int = 600,
        sources: int = 65_536,
        subnets: int = 16_384,
        proved: int = 16_384,
        destinations: int = 16_384,
        enabled: bool = True,
    ) -> Self: ...
    def admits(self, packed: bytes, now_us: int) -> bool: ...
    def allowance(self, packed: bytes, query_size: int, now_us: int) -> int: ...
    def spent(self, packed: bytes, reply_size: int, now_us: int) -> None: ...
    def proved(self, packed: bytes, now_us: int) -> None: ...
    def admits_query_to(self, packed: bytes, now_us: int) -> bool: ...
