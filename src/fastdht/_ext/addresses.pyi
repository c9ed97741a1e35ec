from collections.abc import Iterable

from fastdht._ext.blocklist import AddressRanges

class AddressFilter:
    def __init__(self, allowed: Iterable[str] = (), blocked: AddressRanges | None = None) -> None: ...
    def allows(self, packed: bytes) -> bool: ...
