from typing import Self

from fastdht._ext.addresses import AddressFilter

class ShortlistPool:
    def __new__(cls, capacity: int, max_values: int, secret: bytes, addresses: AddressFilter) -> Self: ...
    def check_invariants(self) -> None: ...
