from fastdht._ext.addresses import AddressFilter

class CrawlQueue:
    def __init__(
        self,
        own_id: bytes,
        address_filter: AddressFilter,
        *,
        depth: int = ...,
        seed: int = ...,
        families: int = ...,
        max_contacts: int = ...,
        slots: int = ...,
        rate: float = ...,
        max_in_flight: int = ...,
        zone: bytes = ...,
        zone_bits: int = ...,
        address_rate: float = ...,
        address_burst: int = ...,
        address_cells: int = ...,
        retry_share: float = ...,
        retry_referrers: int = ...,
    ) -> None: ...
    def offer(self, packed: bytes, family: int = ...) -> int: ...
    def tend(self, budget: int = ...) -> bool: ...
    def make_ready(self) -> None: ...
    def forget_all(self) -> None: ...
    def give_up_crowded(self, now_us: int, patience_us: int) -> int: ...
    def stop(self) -> None: ...
    def set_rate(self, rate: float) -> None: ...
    def set_max_in_flight(self, limit: int) -> None: ...
