from typing import Self

from fastdht._ext.items_slab import ItemSlab

DUMP_MAGIC: bytes
DUMP_HEAD: int

VERDICTS: tuple[str, ...]

class ItemStore(ItemSlab):
    ttl_us: int
    evicted: int
    def __new__(
        cls,
        *,
        max_items: int = 1024,
        items_per_ip: int = 16,
        items_per_subnet: int = 64,
        ttl_us: int = 7_200_000_000,
        secret: bytes,
        seed: int,
        own_id: bytes = ...,
    ) -> Self: ...
    def put_value(self, value: bytes, source: bytes, now_us: int) -> bytes: ...
    def put_signed(
        self,
        public_key: bytes,
        signature: bytes,
        value: bytes,
        seq: int,
        source: bytes,
        now_us: int,
        *,
        salt: bytes = b"",
        cas: int | None = None,
    ) -> str: ...
    def get(self, target: bytes, now_us: int) -> tuple[bytes, bytes | None, bytes | None, int | None] | None: ...
    def reclaim(self, now_us: int, budget: int) -> int: ...
    def dump(self) -> bytes: ...
    def load(self, dumped: bytes, now_us: int, elapsed_us: int = 0) -> int: ...
