from collections.abc import Sequence
from typing import Self

from fastdht._ext.swarm_sessions import Sessions

ROLE_NAMES: tuple[str, ...]

class Population:
    def __new__(
        cls,
        counts: Sequence[int],
        seed: int,
        base_port: int,
        *,
        net_base: int = 0,
        net_bits: int = ...,
        secure_share: float = 1.0,
        sigma: float = 0.0,
        stale: int = 0,
        ids_per_ip: int = 200,
        same_id_group: int = 1000,
        sessions: Sessions | None = None,
    ) -> Self: ...
    @property
    def base_port(self) -> int: ...
    @property
    def listed(self) -> int: ...
    @property
    def plain_ports(self) -> int: ...
    @property
    def ports(self) -> int: ...
    @property
    def sessions(self) -> Sessions | None: ...
    @property
    def total(self) -> int: ...
    def truth_records(self, start: int, count: int) -> bytes: ...
    def serial_at(self, host: int, port: int) -> int: ...
