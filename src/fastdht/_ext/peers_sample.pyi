from typing import Self

from fastdht._ext.peers import PeerStore

class InfoHashSample:
    def __new__(cls, store: PeerStore, interval_s: int, seed: int) -> Self: ...
    def take(self, limit: int, now_us: int) -> tuple[int, list[bytes]]: ...
