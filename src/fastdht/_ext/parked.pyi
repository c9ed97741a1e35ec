from typing import Self

class ParkedPuts:
    waiting_count: int
    count: int
    def __new__(
        cls,
        *,
        max_parked: int = 64,
        parked_per_ip: int = 8,
        parked_per_subnet: int = 16,
        verifications_per_s: float = 200,
    ) -> Self: ...
    def check_invariants(self) -> None: ...
