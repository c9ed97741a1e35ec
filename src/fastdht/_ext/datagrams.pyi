from collections import deque
from collections.abc import Callable

from fastdht._ext.packets import Inbox, Outbox

def receive_all(inbox: Inbox, arrived: deque[tuple[bytes, tuple[str, int]]]) -> int: ...
def send_some(
    outbox: Outbox, sendto: Callable[[bytes, tuple[str, int]], object], ipv6: bool, limit: int
) -> tuple[int, int, list[Exception]]: ...
