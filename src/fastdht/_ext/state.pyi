from typing import Any

from fastdht._ext.frontier import Frontier

class State:
    def __init__(self, config: Any, own_id: bytes, secret: bytes, seed: int, frontier: Frontier | None) -> None: ...
