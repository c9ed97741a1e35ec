from typing import Any

from fastdht._ext.addresses import AddressFilter
from fastdht._ext.queue import CrawlQueue

FILTER_NAMES: tuple[str, ...]

class Frontier(CrawlQueue):
    previous: Frontier | None
    def __init__(
        self,
        own_id: bytes,
        address_filter: AddressFilter,
        *,
        row_capacity: int = ...,
        previous: Frontier | None = ...,
        **options: Any,
    ) -> None: ...
    def take_found(self) -> bytes: ...
    def rows_waiting(self) -> int: ...
    def is_exhausted(self) -> bool: ...
    def counters(self) -> dict[str, int]: ...
    def rtt_histogram(self) -> list[int]: ...
    def max_packets_per_address(self) -> int: ...
