from fastdht._ext.frontier import Frontier

def ask(frontier: Frontier, now_us: int, families: int = ...) -> tuple[bytes, bytes, bytes | None, int, int] | None: ...
def give_back(frontier: Frontier, question: tuple[bytes, bytes, bytes | None, int, int]) -> None: ...
def answer(
    frontier: Frontier,
    question: tuple[bytes, bytes, bytes | None, int, int],
    node_id: bytes | None,
    *,
    nodes: bytes = ...,
    nodes6: bytes = ...,
    version: bytes = ...,
    samples: bytes | None = ...,
    num: int = ...,
    interval: int = ...,
    sent_us: int = ...,
    now_us: int = ...,
    is_stalled: bool = ...,
) -> None: ...
def answer_error(
    frontier: Frontier,
    question: tuple[bytes, bytes, bytes | None, int, int],
    *,
    now_us: int = ...,
    is_stalled: bool = ...,
) -> None: ...
def stall(frontier: Frontier, question: tuple[bytes, bytes, bytes | None, int, int], now_us: int = ...) -> None: ...
def time_out(
    frontier: Frontier,
    question: tuple[bytes, bytes, bytes | None, int, int],
    *,
    now_us: int = ...,
    is_stalled: bool = ...,
) -> None: ...
def due(frontier: Frontier, now_us: int, families: int = ...) -> int: ...
def method_of(question: tuple[bytes, bytes, bytes | None, int, int]) -> str: ...
