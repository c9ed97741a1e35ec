from typing import Any, Self

from fastdht._ext.frontier import Frontier

class State:
    def __new__(cls, config: Any, own_id: bytes, secret: bytes, seed: int, frontier: Frontier | None) -> Self: ...
